"""A server that is there and says nothing: its process is stopped, and its kernel goes on acknowledging."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from steps.common.settings import Settings, read
from steps.common.store.connection import Unreachable, open_engine
from tests.servers import Databases

OWN_PROCESS = text("SELECT pg_backend_pid()")


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    engine = open_engine(read(databases.settings(), Settings), "ledger_url", 3, 10, answer_seconds=1)
    yield engine
    engine.dispose()


def backend(engine: Engine) -> int:
    """Return the process that answers on the engine's pooled connection."""
    with engine.connect() as connection:
        return int(connection.scalar(OWN_PROCESS))


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Stop a process while the body runs."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_server_that_falls_silent_is_unreachable_after_the_time_given(engine: Engine) -> None:
    silent = backend(engine)
    with engine.connect() as connection:
        assert connection.scalar(OWN_PROCESS) == silent
        told = "APPRAISER_LEDGER_URL: no answer from .*: nothing was heard for 1 s"
        with stopped(silent), pytest.raises(Unreachable, match=told):
            connection.execute(OWN_PROCESS)
    assert backend(engine) != silent


def test_a_pooled_connection_that_fell_silent_is_replaced(engine: Engine) -> None:
    silent = backend(engine)
    with stopped(silent):
        assert backend(engine) != silent


def test_the_servers_own_time_out_is_no_silence(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET statement_timeout = 100"))
        with pytest.raises(OperationalError, match="canceling statement due to statement timeout"):
            connection.execute(text("SELECT pg_sleep(30)"))
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1
