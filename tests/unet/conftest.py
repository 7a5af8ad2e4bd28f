"""One thread: the networks of these tests are so small that threads would mostly wait for one another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastseg.unet.runner.usable_cores", lambda: 1)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)
