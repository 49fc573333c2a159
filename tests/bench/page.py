"""How long each tab of the page takes to open, in a real Chromium, with the history of two dozen batches in the ledger.

From the click until the tab stands whole and at rest: the script has run, nothing is stale, every chart is drawn. In
each of several new sessions every tab is opened for the first time, then once more; what the API answered is first kept
by neither the page nor the API (`cold`), later by both for their few seconds. Beside that stands what processor time
all that was started here took meanwhile, browser included: on a machine with other work it says what a tab costs.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from playwright.sync_api import Browser, Page

from frontend.texts import every
from tests.bench.batches import Size
from tests.bench.database import postgres
from tests.bench.measuring import goal
from tests.frontend import history
from tests.frontend.running import chromium, open_page, settled, showing, window
from tests.tracking import serving

MOST_SECONDS: Final = 1.0
_BATCHES: Final = 20
_SESSIONS: Final = 6
# Longer than the page and the API keep an answer, one after the other.
_FORGOTTEN_MILLISECONDS: Final = 11_000
_TABS: Final = ("predict", "batch", "explain", "models", "batches", "why")
# Whole and at rest for so long; the time is that at which it became so.
_AT_REST_MILLISECONDS: Final = 400
_OPENED: Final = """
([name, rest]) => new Promise((done) => {
  const find = (role) => [...document.querySelectorAll(`[role=${role}]`)];
  const tab = find('tab').find((one) => one.innerText.trim() === name);
  const drawn = (chart) => chart.querySelector('svg, canvas')?.getBoundingClientRect().height > 0;
  const whole = () => {
    const panel = document.getElementById(tab.getAttribute('aria-controls'));
    return tab.ariaSelected === 'true' && panel && panel.innerText.trim() !== ''
      && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
      && !panel.querySelector('[data-stale=true]')
      && [...panel.querySelectorAll('[data-testid=stVegaLiteChart]')].every(drawn);
  };
  const began = performance.now();
  let since = null;
  const look = () => {
    const now = performance.now();
    if (!whole()) since = null;
    else if (since === null) since = now;
    else if (now - since > rest) return done(since - began);
    requestAnimationFrame(look);
  };
  tab.click();
  look();
})
"""


def run(size: Size) -> Iterator[str]:
    """Yield the report."""
    del size  # a page shows a hundred batches, whatever their size
    with tempfile.TemporaryDirectory(prefix="bench-") as name, postgres() as server:
        folder = Path(name)
        with (
            serving(folder, server, "mlflow") as mlflow,
            history.served(server, mlflow, folder) as (deployment, api),
        ):
            champion = history.lengthen(deployment, _BATCHES)
            api.wait_until(lambda: api.version() == champion)
            with showing(api.url, folder) as frontend, chromium() as browser:
                yield from _report(browser, frontend.url)


def _report(browser: Browser, url: str) -> Iterator[str]:
    yield f"Chromium {browser.version}, {_SESSIONS} sessions, {_BATCHES} batches more than a test's"
    psutil.cpu_percent()
    found = defaultdict[str, list[tuple[float, float]]](list)
    for session in range(_SESSIONS):
        with window(browser) as page:
            open_page(page, url)
            _price(page)
            for how in ("first", "again"):
                for tab in (*_TABS[1:], _TABS[0]):
                    if session == 0:
                        page.wait_for_timeout(_FORGOTTEN_MILLISECONDS)
                    found[f"{tab} {how if session else 'cold'}"].append(_opened(page, tab))
    busy = psutil.cpu_percent()
    yield f"{'tab':10}{'':8}{'p50 s':>8}{'max s':>8}{'cpu s':>8}{'times':>7}"
    for tab in _TABS:
        for how in ("cold", "first", "again"):
            times, processor = zip(*found[f"{tab} {how}"], strict=True)
            middle, work = statistics.median(times), statistics.median(processor)
            yield f"{tab:10}{how:8}{middle:>8.2f}{max(times):>8.2f}{work:>8.2f}{len(times):>7}"
    yield f"the processor was busy {busy:.0f} % of the time, with whatever else the machine did"
    for how in ("first", "again"):
        worst = max(statistics.median(took for took, _ in found[f"{tab} {how}"]) for tab in _TABS)
        yield f"slowest tab, {how}: {worst:.2f} s · {goal(f'{MOST_SECONDS:g} s', met=worst <= MOST_SECONDS)}"


def _price(page: Page) -> None:
    page.get_by_role("button", name=every()["predict.button"]["en"]).click()
    page.get_by_role("button", name=every()["predict.why"]["en"]).wait_for()
    settled(page)


def _opened(page: Page, tab: str) -> tuple[float, float]:
    """Open a tab; return the seconds until it was whole, and the processor's seconds of all that worked for it."""
    began = _processor_seconds()
    took: float = page.evaluate(_OPENED, [every()[f"tab.{tab}"]["en"], _AT_REST_MILLISECONDS])
    return took / 1000, _processor_seconds() - began


def _processor_seconds() -> float:
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent
