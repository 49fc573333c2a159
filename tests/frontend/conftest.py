"""A deployment with a small history, the API on it, the page on that, and a browser."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from frontend import paragraph, reasons, texts
from local.mlflow_server import MlflowServer
from local.postgres import Server
from tests.frontend import history
from tests.frontend.running import Frontend, chromium, context, open_page, showing
from tests.serving.running import Service
from tests.steps.deployment import Deployment


@dataclass
class Shown:
    """A deployment, the API on it, and the page that shows it."""

    deployment: Deployment
    api: Service
    frontend: Frontend


# Of one module: while Playwright is up, its loop runs in this thread, and `asyncio.run` of any later test is refused.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the machine's browser."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Return a page that shows two promotions, a refusal and a skipped batch."""
    folder = tmp_path_factory.mktemp("shown")
    with history.served(server, mlflow_server, folder) as (deployment, api), showing(api.url, folder) as frontend:
        yield Shown(deployment, api, frontend)


# Of one module, with its cache: to load the page anew took longer than most tests of it.
@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[BrowserContext]:
    """Return what the windows of a module have in common."""
    with context(browser) as opened:
        yield opened


@pytest.fixture
def page(windows: BrowserContext, shown: Shown) -> Iterator[Page]:
    """Return a window with the page in it."""
    with windows.new_page() as opened:
        open_page(opened, shown.frontend.url)
        yield opened


@pytest.fixture(scope="module")
def spanish() -> Iterator[None]:
    """Show the page in Spanish: outside of a browser nobody has chosen a language."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (texts, paragraph, reasons):
            patch.setattr(module, "language", lambda: "es")
        yield
