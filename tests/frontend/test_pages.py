"""A history longer than a page: all of it can be reached, and nothing says that a part of it is all."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from local.mlflow_server import MlflowServer
from local.postgres import Server
from steps.common.store import models
from steps.common.store.models import ModelFile, ModelVersion
from tests.frontend.running import open_page, open_tab, settled, showing, window
from tests.frontend.test_page import said
from tests.servers import fresh_databases
from tests.serving.running import environment, running
from tests.steps.conftest import emptied
from tests.steps.deployment import Deployment

BATCHES, CHAMPION, REIGNS = 130, 7, 25


@pytest.fixture(scope="module")
def page(
    server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Page]:
    """Return a page on a ledger with more batches and versions than it shows at once."""
    folder = tmp_path_factory.mktemp("pages")
    with emptied(mlflow_server):
        made = Deployment(fresh_databases(server), mlflow_server, folder)
        _write(made)
        variables = environment(made.databases, mlflow_server.url, folder / "state")
        with running(variables, folder) as api, showing(api.url, folder) as frontend, window(browser) as opened:
            open_page(opened, frontend.url)
            yield opened
        made.close()


def _write(deployment: Deployment) -> None:
    """Leave a version of each batch; the alias named one after the other, and came to rest at an old one."""
    for batch in range(BATCHES):
        claim = deployment.claim(f"run {batch}", batch, done="train")
        version = ModelVersion(batch + 1, claim.claim_id, f"{batch:032x}", "mlflow-artifacts:/1", "f", {"batches": []})
        with deployment.ledger.begin() as connection:
            models.append_version(connection, version, [ModelFile("model.bin", f"{batch:064x}", 1)])
    for candidate in [*range(20, 19 + REIGNS), CHAMPION]:
        with deployment.ledger.begin() as connection:
            models.append_alias_event(connection, "ADOPTED", reason="set by hand", candidate=candidate)


def first_column(page: Page) -> list[int]:
    rows = page.get_by_role("tabpanel").locator(".ap-table").first.locator("tbody tr")
    return [int(row.split("\t")[0]) for row in rows.all_inner_texts()]


def turn(page: Page, number: int) -> None:
    page.get_by_role("tabpanel").get_by_role("button", name=re.compile(rf"\b{number}$")).click()
    settled(page)


def test_every_batch_can_be_reached(page: Page) -> None:
    open_tab(page, said("tab.batches"))
    expect(page.get_by_text("Batches 1 to 100 of 130")).to_be_visible()
    assert first_column(page) == list(range(BATCHES - 1, BATCHES - 101, -1))
    turn(page, 2)
    expect(page.get_by_text("Batches 101 to 130 of 130")).to_be_visible()
    assert first_column(page) == list(range(BATCHES - 101, -1, -1))
    expect(page.locator(".st-key-batch-detail")).to_contain_text(f"Batch {BATCHES - 101}")
    expect(page.get_by_text(said("batches.table"))).to_have_count(0)


def test_every_version_can_be_reached_and_the_champion_is_on_each_page(page: Page) -> None:
    open_tab(page, said("tab.models"))
    expect(page.get_by_text("Versions 1 to 100 of 130")).to_be_visible()
    assert first_column(page) == [*range(BATCHES, BATCHES - 100, -1), CHAMPION]
    expect(page.get_by_text(f"The newest 20 of {REIGNS}")).to_be_visible()
    turn(page, 2)
    expect(page.get_by_text("Versions 101 to 130 of 130")).to_be_visible()
    assert first_column(page) == list(range(BATCHES - 100, 0, -1))
    expect(page.get_by_text(said("models.table"))).to_have_count(0)
