"""Connections to PostgreSQL with every time-out set, and an error that names the address and the setting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Dialect, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from steps.common.settings import PREFIX, Settings

_CONNECT_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 300
# A server that vanished without a word is noticed after this, not after the kernel's two hours.
_SILENCE_SECONDS: Final = 30
# How often a wait for the server looks whether it has been interrupted.
_INTERVAL_SECONDS: Final = 0.1


class Unreachable(Exception):
    """A server a step needs did not answer; nothing was decided, trying again later is right."""

    def __init__(self, setting: str, address: str, cause: str) -> None:
        super().__init__(f"{setting}: no answer from {address}: {cause}")


class _Bounded(psycopg.Connection[Any]):
    """A connection that is given up where the server does not answer for so long."""

    answer_seconds: float | None = None

    def wait[T](self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> T:
        """Wait for an answer, psycopg's way but for the limit."""
        began = time.monotonic()
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.answer_seconds is None or time.monotonic() - began < self.answer_seconds:
                raise
            # An answer that comes later would be taken for the next statement's.
            self.close()
            raise psycopg.OperationalError(f"nothing was heard for {self.answer_seconds:g} s") from None


def open_engine(
    settings: Settings, name: str, connect_seconds: int = _CONNECT_SECONDS, statement_seconds: int = _STATEMENT_SECONDS,
    answer_seconds: float | None = None,
) -> Engine:  # fmt: skip
    """Return the engine of a database named by its setting (`raw_url` …); connects at the first use.

    Connection failures come out as Unreachable, with the address and the variable's name; so does, after
    `answer_seconds`, a server that is there and says nothing. Each statement has so long, COPY each of its blocks.
    """
    engine = create_engine(make_url(settings.needed(name)), **engine_options(connect_seconds, statement_seconds))
    name_failures(engine, name)
    if answer_seconds is not None:
        _bound_answers(engine, answer_seconds)
    return engine


def _bound_answers(engine: Engine, seconds: float) -> None:
    """Give up connections of an engine that are not answered in time.

    The server's own statement_timeout says nothing while its process is stopped or waits for its disk, and the
    kernel's time-outs neither, since its kernel still acknowledges what is sent.
    """

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Dialect, _record: object, words: list[Any], options: dict[str, Any]) -> _Bounded:
        connection = _Bounded.connect(*words, **options)
        connection.answer_seconds = seconds
        return connection


def read_only(engine: Engine) -> Engine:
    """Return the engine with transactions in which the server refuses every write."""
    return engine.execution_options(postgresql_readonly=True)


def engine_options(
    connect_seconds: int = _CONNECT_SECONDS, statement_seconds: int = _STATEMENT_SECONDS
) -> dict[str, Any]:
    """Return what every engine is made with, those of libraries too: a small pool and every time-out."""
    return {
        "pool_size": 2,
        "max_overflow": 2,
        "pool_pre_ping": True,
        "pool_timeout": connect_seconds,
        "connect_args": {
            "connect_timeout": connect_seconds,
            "keepalives_idle": _SILENCE_SECONDS,
            "tcp_user_timeout": _SILENCE_SECONDS * 1000,
            "options": f"-c statement_timeout={statement_seconds * 1000} -c timezone=UTC",
        },
    }


def name_failures(engine: Engine, name: str) -> None:
    """Turn an engine's connection failures into Unreachable, with the address and the variable of the setting."""
    address = f"{engine.url.host}:{engine.url.port}/{engine.url.database}"

    @event.listens_for(engine, "handle_error")
    def _name_the_address(context: ExceptionContext) -> None:
        # A pooled connection found dead by the ping is replaced; only when that fails too is the server away.
        if context.is_pre_ping:
            return
        if isinstance(context.sqlalchemy_exception, OperationalError) and (
            context.connection is None or context.is_disconnect
        ):
            cause = str(context.original_exception).strip().splitlines()[0]
            raise Unreachable(f"{PREFIX}{name.upper()}", address, cause)


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """Return psycopg's own connection below SQLAlchemy's, for COPY, which SQLAlchemy does not know."""
    below = connection.connection.driver_connection
    if not isinstance(below, psycopg.Connection):
        raise TypeError(f"COPY needs psycopg, not {type(below).__name__}")
    return below


@contextmanager
def advisory_lock(engine: Engine, key: str, wait_seconds: float) -> Iterator[None]:
    """Hold a lock of the database by name while the body runs; PostgreSQL frees it when this process dies.

    It spares double work, nothing is right because of it: it is lost when the server restarts, and the body goes on.
    Raises TimeoutError when another holds it for longer than `wait_seconds`.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"SET statement_timeout = {int(wait_seconds * 1000)}")
        try:
            connection.exec_driver_sql("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (key,))
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.QueryCanceled):
                raise
            raise TimeoutError(f"another process holds {key!r} for more than {wait_seconds:.0f} s") from None
        try:
            yield
        finally:
            # Closed, not returned to the pool: a lock belongs to its session.
            connection.invalidate()
