"""One browser for all tests of pages; they are skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.curation.review.browser import Page


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser's only page."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from tests.curation.review import browser

    if browser.CHROMIUM is None or browser.CHROMEDRIVER is None:
        pytest.skip("chromium and chromedriver are not installed")
    folder = tmp_path_factory.mktemp("browser")
    driver = browser.start(folder)
    try:
        yield browser.Page(driver, folder / "downloads")
    finally:
        driver.quit()
