"""Reads of the ledger that are kept, that wait for each other, and that fail, each at its own cost."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from serving import ledger_reads
from serving.ledger_reads import LedgerReads
from serving.problems import Kind, Refused
from steps.common.store.connection import engine_options, name_failures
from tests.servers import Databases, free_loopback_port


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    engine = create_engine(databases.url("ledger", "serving"), **engine_options(3, 10))
    yield engine
    engine.dispose()


def now(connection: Connection) -> object:
    return connection.scalar(text("SELECT clock_timestamp()"))


def slow(connection: Connection) -> object:
    return connection.scalar(text("SELECT count(*) FROM verdicts"))


def refused(reads: LedgerReads, key: object) -> bool:
    with pytest.raises(Refused) as refused:
        reads.once(key, now)
    return refused.value.kind is Kind.LEDGER_DOWN


@contextmanager
def reading_slowly(reads: LedgerReads, databases: Databases) -> Iterator[Future[object]]:
    """Read what is locked, in a thread, while the body runs."""
    with databases.connect("ledger", "postgres") as lock, ThreadPoolExecutor(1) as reader:
        lock.execute("LOCK TABLE verdicts IN ACCESS EXCLUSIVE MODE")
        read = reader.submit(reads.once, "slow", slow)
        while not lock.execute(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'verdicts'::regclass"
        ).fetchone():
            assert not read.done()
        yield read
        lock.rollback()


def test_what_is_kept_is_answered_beside_a_read_that_takes_its_time(databases: Databases, engine: Engine) -> None:
    reads = LedgerReads(engine)
    kept = reads.once("quick", now)
    with reading_slowly(reads, databases) as read:
        assert reads.once("quick", now) == kept
        assert not read.done()


def test_nobody_waits_for_long_for_the_read_of_another(
    databases: Databases, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_reads, "_PATIENCE_SECONDS", 0.2)
    reads = LedgerReads(engine)
    with reading_slowly(reads, databases) as read:
        assert refused(reads, "quick")
        assert not read.done()
    assert read.result() == 0
    assert reads.once("quick", now)


def test_a_ledger_that_cannot_be_reached_is_asked_once_for_every_read() -> None:
    nobody = create_engine(f"postgresql+psycopg://serving:x@127.0.0.1:{free_loopback_port()}/ledger")
    name_failures(nobody, "ledger_url")
    tried: list[object] = []
    event.listen(nobody, "do_connect", lambda *given: tried.append(given))
    reads = LedgerReads(nobody)
    assert all(refused(reads, key) for key in ("one", "one", "other"))
    assert len(tried) == 1
    nobody.dispose()


def test_a_statement_that_takes_too_long_is_the_trouble_of_its_read_alone(databases: Databases) -> None:
    hasty = create_engine(databases.url("ledger", "serving"), **engine_options(3, 1))
    reads = LedgerReads(hasty)
    with reading_slowly(reads, databases) as read:
        assert isinstance(read.exception(), Refused)
        assert refused(reads, "slow")
        assert reads.once("quick", now)
    hasty.dispose()
