"""What the tab Batches says of batches that did not come far: only what is known of them, and nothing of the rest."""

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from playwright.sync_api import Browser, Page, expect

from frontend.formats import NOTHING
from local.mlflow_server import MlflowServer
from local.postgres import Server
from steps.common.step import DONE
from steps.common.store import ledger
from tests.frontend.running import open_page, open_tab, showing, window
from tests.frontend.test_page import choose, said
from tests.servers import fresh_databases
from tests.serving.running import environment, running
from tests.steps.batches import ODD, Row, claimed, fetched, rows
from tests.steps.conftest import emptied
from tests.steps.deployment import Deployment
from tests.steps.validate.stages import passed, validate

ROWS = 400
JUDGED = ("Values never seen before", "No value in it is new", "Refused rows", "No row was refused")


@pytest.fixture(scope="module")
def url(server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a page that shows a first batch and four that did not come to a training."""
    folder = tmp_path_factory.mktemp("audit")
    with emptied(mlflow_server):
        made = Deployment(fresh_databases(server), mlflow_server, folder)
        with mock.patch.dict(os.environ, made.environment):
            _write(made)
        variables = environment(made.databases, mlflow_server.url, folder / "state")
        with running(variables, folder) as api, showing(api.url, folder) as frontend:
            yield frontend.url
        made.close()


def _write(deployment: Deployment) -> None:
    """Leave a first batch, one that cannot be used, one given up, one before validate and one before clean."""
    passed(deployment, "run 0", 0, _odd(0))
    fetched(deployment, "run 1", 1, rows(ROWS, 1, price=None))
    assert validate("run 1") != DONE
    attempts = [claimed(deployment, f"run 2, attempt {attempt}", 2) for attempt in (1, 2, 3)]
    with deployment.ledger.begin() as connection:
        assert ledger.abandon(connection, attempts[-1])
    claimed(deployment, "run 3", 3)
    fetched(deployment, "run 4", 4, _odd(4))
    assert validate("run 4") == DONE


def _odd(seed: int) -> list[Row]:
    """Return a market with one row of each kind that is refused."""
    found = rows(ROWS, seed)
    return [*found, *({**row, **odd} for row, odd in zip(found, ODD, strict=False))]


@pytest.fixture(scope="module")
def page(browser: Browser, url: str) -> Iterator[Page]:
    with window(browser) as opened:
        open_page(opened, url)
        open_tab(opened, said("tab.batches"))
        yield opened


@pytest.mark.parametrize(("batch", "told", "untold"), [
    (0, ["nothing before it to compare with", "Refused rows"], ["No value in it is new", "Not judged yet"]),
    (1, ["Quarantined", "It cannot be used", "Rows that cleaning would refuse"],
     ["nothing before it", "Not judged yet", "No value in it is new", "Refused rows"]),
    (2, ["It was given up"], ["Not judged yet", "nothing before it", "Schema", *JUDGED]),
    (3, ["Not judged yet"], ["It was given up", "nothing before it", "Schema", *JUDGED]),
    (4, ["Worth it", "Drift of each column", "Rows that cleaning would refuse"],
     ["nothing before it", "Not judged yet", "Refused rows"]),
])  # fmt: skip
def test_nothing_is_said_of_a_batch_that_was_not_measured(
    page: Page, batch: int, told: list[str], untold: list[str]
) -> None:
    choose(page, said("batches.choose"), f"Batch {batch}")
    shown = page.locator(".st-key-batch-detail")
    for one in (f"Batch {batch}", *told):
        expect(shown).to_contain_text(one)
    for one in untold:
        expect(shown).not_to_contain_text(one)


@pytest.mark.parametrize(("batch", "kept"), [(0, str(ROWS)), (1, NOTHING), (2, NOTHING), (4, NOTHING)])
def test_kept_by_cleaning_is_what_cleaning_kept(page: Page, batch: int, kept: str) -> None:
    choose(page, said("batches.choose"), f"Batch {batch}")
    expect(page.locator(".st-key-batch-detail")).to_contain_text(f"Batch {batch}")
    pair = page.locator(".st-key-batch-detail .ap-pairs div").filter(has_text=said("batches.kept"))
    expect(pair.locator("dd")).to_have_text(kept)
