"""The page as a process of its own environment, and a real browser that looks at it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, ViewportSize, expect, sync_playwright

from local.processes import serves
from tests.running import Running
from tests.servers import ROOT, free_loopback_port

START_SECONDS = 90
# A click on a machine that does other things too.
PATIENCE_MILLISECONDS = 45_000
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
_LOOK_MILLISECONDS, _AT_REST = 100, 3
_NUMBER = re.compile(r"([-\N{MINUS SIGN}]?)\$?([0-9][0-9,]*(?:\.[0-9]+)?)")
_CHANGED, _ATTEMPTS = "ERR_NETWORK_CHANGED", 5
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable")
# No machine but this one is to be reached. To look at each request instead would switch the browser's cache off.
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@dataclass
class Frontend(Running):
    """A running page: its variables, where it listens, its process."""

    api_url: str
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_loopback_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        python = str(ROOT / ".envs" / "frontend" / "bin" / "python")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [python, "-m", "frontend"], stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
                env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(self.log.parent),
                     "APPRAISER_API_URL": self.api_url, "APPRAISER_PORT": str(self.port), **self.settings},
            )  # fmt: skip
        self.wait_until(lambda: serves(f"{self.url}/_stcore/health"), START_SECONDS)
        return self


@contextmanager
def showing(api_url: str, folder: Path, **settings: str) -> Iterator[Frontend]:
    """Run the page, and end it whatever happens."""
    frontend = Frontend(api_url, folder / "frontend.log", settings)
    try:
        yield frontend.start()
    finally:
        if frontend.process is not None:
            frontend.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium without a screen; a machine without one fails, for nothing would be proved there."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.fail("no Chromium was found; `make browser` installs it, or CHROMIUM= names its program")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", _ALONE])
        yield browser
        browser.close()


@contextmanager
def context(browser: Browser, **how: Any) -> Iterator[BrowserContext]:
    """Give what windows of a browser have in common: nothing of others, and what they have loaded themselves."""
    wanted = {"viewport": DESKTOP, "locale": "en-US", "timezone_id": "UTC", "reduced_motion": "reduce", **how}
    with browser.new_context(**wanted) as opened:
        opened.set_default_timeout(PATIENCE_MILLISECONDS)
        yield opened


@contextmanager
def window(browser: Browser, **how: Any) -> Iterator[Page]:
    """Open a window without a browser's memory of earlier ones."""
    with context(browser, **how) as opened:
        yield opened.new_page()


def open_page(page: Page, url: str) -> None:
    """Go to the page and wait until it is drawn; anew where the machine's network changed meanwhile.

    Chromium breaks off whatever it loads when an interface comes or goes, as they do where containers start beside.
    """
    broken: list[str] = []
    page.on("requestfailed", lambda request: broken.append(request.url) if _CHANGED in str(request.failure) else None)
    tab = page.get_by_role("tab").first
    for _ in range(_ATTEMPTS):
        broken.clear()
        with suppress(Error):
            page.goto(url)
        for _ in range(PATIENCE_MILLISECONDS // _LOOK_MILLISECONDS):
            if broken or tab.is_visible():
                break
            page.wait_for_timeout(_LOOK_MILLISECONDS)
        if not broken:
            break
    tab.wait_for()
    settled(page)


def open_tab(page: Page, name: str) -> None:
    """Open a tab and wait until it is drawn."""
    page.get_by_role("tab", name=name, exact=True).click()
    # On a busy machine the script starts later than one may look.
    expect(page.get_by_role("tabpanel", name=name, exact=True)).not_to_be_empty()
    settled(page)


def settled(page: Page) -> None:
    """Wait until the script has run through: at rest several times in a row, for it starts a moment after a click."""
    at_rest = 0
    while at_rest < _AT_REST:
        page.wait_for_timeout(_LOOK_MILLISECONDS)
        page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
        )
        at_rest = at_rest + 1 if page.locator("[data-stale=true]").count() == 0 else 0


def numbers(told: str) -> Iterator[tuple[float, int]]:
    """Yield every number of a text in its order, with how many places it has after the point."""
    for sign, digits in _NUMBER.findall(told):
        places = len(digits.partition(".")[2])
        yield float(digits.replace(",", "")) * (-1 if sign else 1), places
