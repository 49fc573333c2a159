"""A step whose image came before the upgrade of its tables waits for it, with real databases of either revision."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from local.postgres import SUPERUSER
from steps.common import step as protocol
from steps.common.step import DONE, RETRY, Job, Result, Step
from steps.common.store import ledger
from steps.common.tables.revisions import known, stored
from tests.servers import Databases

SOURCE = "test source"
OLD, NEWEST = "0001", known("ledger")[-1]


@pytest.fixture
def led_here(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Databases:
    """Lead steps to these databases, which have to be upgraded within two seconds."""
    variables = {"APPRAISER_SOURCE_ID": SOURCE, "APPRAISER_UPGRADE_SECONDS": "2"}
    for name, value in {**databases.settings(), **variables}.items():
        monkeypatch.setenv(name, value)
    return databases


def set_revision(databases: Databases, revision: str) -> None:
    with databases.connect("ledger", SUPERUSER) as connection:
        connection.execute("UPDATE schema_version SET version_num = %s", (revision,))


class Fetch:
    """A first step that leaves nothing behind but which revision of the ledger it met."""

    def __init__(self) -> None:
        self.met: list[str | None] = []

    def claim(self, job: Job) -> ledger.Claim:
        """Claim the batch, as the first thing that is done."""
        self.met.append(stored(job.ledger))
        with job.ledger.begin() as connection:
            ledger.append_run(connection, job.run_id, SOURCE, force_train=False)
            return ledger.claim_batch(connection, job.run_id, SOURCE, 0, "sha", force_train=False)

    def run(self) -> int:
        """Run the step as its pod does; return its exit code."""
        step = Step("fetch", lambda _: Result("digest", {}), lambda *_: None, claim=self.claim)
        return protocol.main(step, ["--run-id", "r1"])


class Upgrade(logging.Handler):
    """Upgrades the ledger at the moment a step says that it waits."""

    def __init__(self, databases: Databases) -> None:
        super().__init__(logging.INFO)
        self._databases = databases

    def emit(self, record: logging.LogRecord) -> None:
        """Bring the ledger to the newest revision."""
        if isinstance(record.msg, dict) and record.msg["event"] == "waiting_for_upgrade":
            set_revision(self._databases, NEWEST)


@contextmanager
def upgraded_meanwhile(databases: Databases) -> Iterator[None]:
    upgrade = Upgrade(databases)
    logging.getLogger("appraiser").addHandler(upgrade)
    try:
        yield
    finally:
        logging.getLogger("appraiser").removeHandler(upgrade)


def test_a_step_goes_on_once_its_tables_are_upgraded(led_here: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    set_revision(led_here, OLD)
    fetch = Fetch()
    with upgraded_meanwhile(led_here):
        assert fetch.run() == DONE
    assert fetch.met == [NEWEST]
    assert f"waiting_for_upgrade database=ledger wanted={NEWEST} there={OLD}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("database", "statement", "there"),
    [
        ("ledger", "UPDATE schema_version SET version_num = '0001'", "0001"),
        ("ledger", "REVOKE ALL ON schema_version FROM pipeline", "none"),
        ("optuna", "DROP TABLE schema_version", "none"),
    ],
)
def test_a_step_whose_tables_stay_old_has_done_nothing_and_is_tried_again(
    led_here: Databases, database: str, statement: str, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with led_here.connect(database, SUPERUSER) as connection:
        connection.execute(statement.encode())
    fetch = Fetch()
    assert fetch.run() == RETRY
    assert fetch.met == []
    said = capsys.readouterr().out
    wanted = known(database)[-1]
    assert f"UpgradeMissing: {database} has the tables of revision {there}, this step needs {wanted};" in said
    assert "it waited 2 s for the upgrade" in said
    assert said.count("waiting_for_upgrade") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("revision", [NEWEST, "9999"])
def test_tables_as_new_as_the_image_or_newer_are_asked_about_once(led_here: Databases, revision: str) -> None:
    set_revision(led_here, revision)
    asked: list[str] = []
    fetch = Fetch()

    def listen(connection: object, cursor: object, statement: str, *_: object) -> None:
        del connection, cursor
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        assert fetch.run() == DONE
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    assert fetch.met == [revision]
    # Of each database once, and once more by this step itself.
    assert sum("schema_version" in statement for statement in asked) == len(led_here.names) + 1
