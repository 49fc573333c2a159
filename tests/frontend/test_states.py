"""What a person sees when something is not there: a sentence that says what to do, and never a traceback."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from frontend.texts import every
from local.mlflow_server import MlflowServer
from local.postgres import Server
from tests.frontend.running import Frontend, open_page, open_tab, showing, window
from tests.frontend.test_page import TABS, price_it, said
from tests.servers import free_loopback_port, fresh_databases
from tests.serving.running import Service, environment, register, running
from tests.steps.conftest import emptied
from tests.steps.deployment import Deployment

UNREACHABLE = "postgresql+psycopg://serving:none@127.0.0.1:9/ledger"


@dataclass
class Empty:
    """A deployment in which nothing has happened yet, the API on it, and the page on that."""

    deployment: Deployment
    api: Service
    frontend: Frontend


@pytest.fixture(scope="module")
def empty(server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Empty]:
    """Return a page that gives the API two seconds, on a system without history."""
    folder = tmp_path_factory.mktemp("empty")
    with emptied(mlflow_server):
        made = Deployment(fresh_databases(server), mlflow_server, folder)
        variables = environment(made.databases, mlflow_server.url, folder / "state")
        with (
            running(variables, folder) as api,
            showing(api.url, folder, APPRAISER_API_SECONDS="2") as frontend,
        ):
            yield Empty(made, api, frontend)
        made.close()


@pytest.fixture
def page(browser: Browser, empty: Empty) -> Iterator[Page]:
    with window(browser) as opened:
        open_page(opened, empty.frontend.url)
        yield opened


def test_an_empty_system_says_what_to_do_on_every_tab(page: Page) -> None:
    expect(page.get_by_test_id("stSidebar")).to_contain_text(said("status.no_model"))
    page.get_by_role("button", name=said("predict.button")).click()
    expect(page.get_by_text(said("trouble.no_model"))).to_be_visible()
    for tab, key in (("explain", "explain.nothing_yet"), ("models", "models.none"), ("batches", "batches.none"),
                     ("why", "why.none")):  # fmt: skip
        open_tab(page, said(f"tab.{tab}"))
        expect(page.get_by_text(said(key))).to_be_visible()


def test_an_api_that_hangs_is_said_to_be_slow_and_comes_back(page: Page, empty: Empty) -> None:
    assert empty.api.process is not None
    os.kill(empty.api.process.pid, signal.SIGSTOP)
    try:
        page.get_by_role("button", name=said("predict.button")).click()
        expect(page.get_by_text(said("trouble.slow")).first).to_be_visible()
    finally:
        os.kill(empty.api.process.pid, signal.SIGCONT)
    expect(page.get_by_text(said("status.api"), exact=True)).to_be_visible()


def test_a_page_without_an_api_says_so_on_every_tab(browser: Browser, empty: Empty) -> None:
    nowhere = f"http://127.0.0.1:{free_loopback_port()}"
    with showing(nowhere, empty.deployment.folder) as frontend, window(browser) as page:
        open_page(page, frontend.url)
        for tab in TABS:
            open_tab(page, said(f"tab.{tab}"))
            expect(page.get_by_text(said("trouble.down")).first).to_be_visible()
            expect(page.get_by_text(said("trouble.page_failed"))).to_have_count(0)
            assert "Traceback" not in page.content()


def test_prices_go_on_while_the_ledger_is_down_and_a_version_that_was_deleted_is_named(
    browser: Browser, empty: Empty
) -> None:
    """The API starts from its copy of a version that MLflow no longer has, with a ledger nobody can reach."""
    made = empty.deployment
    version, _ = register(made, "run 0")
    made.set_alias(version)
    empty.api.wait_until(lambda: empty.api.version() == version)
    made.tracking.delete_model_version("house-price", str(version))
    folder = made.folder / "without a ledger"
    folder.mkdir()
    variables = {**empty.api.environment, "APPRAISER_LEDGER_URL": UNREACHABLE}
    empty.api.stop()
    with running(variables, folder) as api, showing(api.url, folder) as frontend, window(browser) as page:
        open_page(page, frontend.url)
        expect(page.get_by_text(f"Version {version} goes on serving")).to_be_visible()
        assert price_it(page) > 0
        for tab in ("models", "batches", "why"):
            open_tab(page, said(f"tab.{tab}"))
            expect(page.get_by_text(said("trouble.ledger_down"))).to_be_visible()
            expect(page.get_by_text(every()["trouble.page_failed"]["en"][:30])).to_have_count(0)
