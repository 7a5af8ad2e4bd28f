"""A page in headless Chromium, used as a person does: keys, the mouse, files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.mouse_button import MouseButton
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")

_PATIENCE = 10  # seconds


def start(folder: Path) -> webdriver.Chrome:
    """A browser with an empty profile that asks nothing of the network."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1366,900",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    downloads = folder / "downloads"
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
    )
    return driver


class Page:
    """The page that is open."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def open(self, path: Path, forget: bool = False) -> Page:
        """Open a page; `forget` what the browser kept of pages until now."""
        if forget and self.run("return !!window.review"):
            # pages on disk share one storage; what waits to be kept would be written as this page is left
            self.run("review.session.saver.pending = null; localStorage.clear()")
        self.driver.get(path.as_uri())
        self.ready()
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def ready(self) -> None:
        """Wait until the current image is shown."""
        self.wait(lambda: self.run("return !!window.review && (!!review.image || !!review.item.error)"))

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, _PATIENCE, 0.02).until(lambda _: condition())

    def key(self, *keys: str) -> None:
        for one in keys:
            ActionChains(self.driver).send_keys(one).perform()
            self.ready()

    def press(self, identifier: str) -> None:
        self.driver.find_element(By.ID, identifier).click()
        self.ready()

    def text(self, identifier: str) -> str:
        return self.driver.find_element(By.ID, identifier).text

    def listed(self) -> list[str]:
        """Names in the list, from above."""
        return [e.text for e in self.driver.find_elements(By.CSS_SELECTOR, "#list .name")]

    def name(self) -> str:
        return str(self.run("return review.item.stem"))

    def state(self) -> dict[str, Any]:
        return dict(self.run("return review.state"))

    def point(self, panel: str, x: float, y: float, shape: tuple[int, int]) -> tuple[int, int, float, float]:
        """The pixel of the screen nearest to a voxel of the whole image in a panel, and the voxel coordinates there."""
        box = self.run(
            "return (r => [r.left, r.top, r.width, r.height])(document.querySelector("
            "`.panel${arguments[0]} .stage`).getBoundingClientRect())",
            panel,
        )
        left, top, width, height = box
        scale = min(width / shape[1], height / shape[0])
        left += (width - shape[1] * scale) / 2
        top += (height - shape[0] * scale) / 2
        px, py = round(left + (x + 0.5) * scale), round(top + (y + 0.5) * scale)
        return px, py, (px - left) / scale - 0.5, (py - top) / scale - 0.5

    def click(self, x: int, y: int, button: str = MouseButton.LEFT) -> None:
        actions = ActionBuilder(self.driver, duration=0)
        actions.pointer_action.move_to_location(x, y).pointer_down(button).pointer_up(button)
        actions.perform()

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        actions = ActionBuilder(self.driver, duration=0)
        pointer = actions.pointer_action.move_to_location(*start).pointer_down()
        pointer.move_to_location((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
        pointer.move_to_location(*end).pointer_up()
        actions.perform()

    def draw(
        self, corners: list[tuple[float, float]], shape: tuple[int, int], panel: str = ".main"
    ) -> list[tuple[float, float]]:
        """Click corners and close the polygon by a right click; gives the corners where the pixels really are."""
        found = []
        px = py = 0
        for x, y in corners:
            px, py, *voxel = self.point(panel, x, y, shape)
            self.click(px, py)
            found.append((voxel[0], voxel[1]))
        self.click(px, py, MouseButton.RIGHT)
        return found

    def export(self) -> list[Path]:
        """The files that the export gives: decisions, and polygons where there are any."""
        for old in self.downloads.glob("*"):
            old.unlink()
        self.key("x")
        wanted = {"decisions.csv": "export-decisions"}
        if self.driver.find_element(By.ID, "export-polygons").is_enabled():
            wanted["polygons.geojson"] = "export-polygons"
        for name, button in wanted.items():
            self.driver.find_element(By.ID, button).click()
            self.wait((self.downloads / name).exists)
        self.run("document.getElementById('export').close()")
        return [self.downloads / name for name in wanted]

    def load(self, *files: Path) -> str:
        """Open files in the page; gives what it says about them."""
        self.run("document.getElementById('toast').textContent = ''")
        self.driver.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))
        return str(self.wait(lambda: self.run("return document.getElementById('toast').textContent")))

    def complaints(self) -> list[str]:
        """What the browser found wrong with the page."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
