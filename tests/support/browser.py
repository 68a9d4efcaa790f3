"""A headless Chromium for tests of pages; absent where it is not installed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
)
_PATIENCE_SECONDS = 20


def start_browser(profile: Path) -> Any:
    """A browser with a profile of its own; the test skips where there is none.

    Parameters
    ----------
    profile : Path
        An empty folder.
    """
    selenium = pytest.importorskip("selenium", reason="selenium is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert selenium
    for program in (CHROMIUM, DRIVER):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))


class Page:
    """A page in the browser, and what a reader does with it."""

    def __init__(self, driver: Any, path: Path) -> None:
        self.driver = driver
        driver.get("about:blank")
        driver.get_log("performance")
        driver.get_log("browser")
        driver.get(path.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        """The first element of a selector, scrolled into sight."""
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        return element

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements of a selector."""
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
        return list(self.run(script, selector))

    def wait(self, true: Callable[[], Any], what: str) -> None:
        """Until something is so."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < deadline, f"not within {_PATIENCE_SECONDS} s: {what}"
            time.sleep(0.05)

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call, but for what lies in the page itself."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("data:", "blob:"))]

    def complaints(self) -> list[str]:
        """What the browser's console has got since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse in an element, move it and let go; places are shares of the element's width and height."""
        from selenium.webdriver import ActionChains

        element = self.one(selector)
        width, height = element.rect["width"], element.rect["height"]
        x, y = (int(size * (share - 0.5)) for size, share in zip((width, height), start, strict=True))
        across, down = (int(size * (b - a)) for size, a, b in zip((width, height), start, end, strict=True))
        chain = ActionChains(self.driver, duration=50).move_to_element_with_offset(element, x, y).click_and_hold()
        chain.move_by_offset(across // 2, down // 2).move_by_offset(across - across // 2, down - down // 2)
        chain.release().perform()

    def click(self, selector: str, place: tuple[float, float] = (0.5, 0.5), *, twice: bool = False) -> None:
        """Click in an element at a share of its width and height."""
        from selenium.webdriver import ActionChains

        element = self.one(selector)
        size = element.rect["width"], element.rect["height"]
        x, y = (int(length * (share - 0.5)) for length, share in zip(size, place, strict=True))
        chain = ActionChains(self.driver, duration=20).move_to_element_with_offset(element, x, y)
        (chain.double_click() if twice else chain.click()).perform()
