"""What monitoring is told of the ledger while it answers, is away, or takes its time over it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, create_engine

from serving import ledger_watch
from serving.ledger_watch import LedgerWatch
from steps.common import logs
from steps.common.store import figures
from steps.common.store.connection import name_failures
from tests.servers import free_loopback_port
from tests.steps.deployment import Deployment


@pytest.fixture
def engine(deployment: Deployment) -> Iterator[Engine]:
    engine = create_engine(deployment.databases.url("ledger", "serving"))
    yield engine
    engine.dispose()


def test_the_first_to_ask_hears_of_the_first_look(engine: Engine) -> None:
    watch = LedgerWatch(engine)
    watch.start()
    assert watch.figures() is not None
    watch.close()


def test_figures_are_told_while_the_next_look_takes_its_time_and_not_for_ever(
    deployment: Deployment, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = LedgerWatch(engine)
    monkeypatch.setattr(ledger_watch, "_OLDEST_SECONDS", 3)
    watch.look()
    with deployment.databases.connect("ledger", "postgres") as lock, ThreadPoolExecutor(1) as looking:
        lock.execute("LOCK TABLE completions IN ACCESS EXCLUSIVE MODE")
        look = looking.submit(watch.look)
        assert watch.figures() is not None
        time.sleep(4)
        assert watch.figures() is None
        assert not look.done()
        lock.rollback()


def test_a_ledger_that_is_away_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    # Whatever ran here before may have sent the log to an output of its own.
    logs.start("serving")
    nobody = create_engine(f"postgresql+psycopg://serving:x@127.0.0.1:{free_loopback_port()}/ledger")
    name_failures(nobody, "ledger_url")
    watch = LedgerWatch(nobody)
    for _ in range(2):
        watch.look()
        assert watch.figures() is None
    assert capsys.readouterr().out.count("ledger_down") == 1
    nobody.dispose()


def test_a_look_that_fails_is_not_the_last(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = LedgerWatch(engine)
    with monkeypatch.context() as broken:
        broken.setattr(figures, "figures", lambda connection: connection.nothing)
        watch.look()
        assert watch.figures() is None
    watch.look()
    assert watch.figures() is not None
