"""Connections to PostgreSQL with every time-out set, and an error that names the address and the setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from steps.common.settings import PREFIX, Settings

_CONNECT_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 300
# A server that vanished without a word is noticed after this, not after the kernel's two hours.
_SILENCE_SECONDS: Final = 30


class Unreachable(Exception):
    """A server a step needs did not answer; nothing was decided, trying again later is right."""

    def __init__(self, setting: str, address: str, cause: str) -> None:
        super().__init__(f"{setting}: no answer from {address}: {cause}")


def open_engine(
    settings: Settings, name: str, connect_seconds: int = _CONNECT_SECONDS, statement_seconds: int = _STATEMENT_SECONDS
) -> Engine:
    """Return the engine of a database named by its setting (`raw_url` …); connects at the first use.

    Connection failures come out as Unreachable, with the address and the variable's name.
    """
    engine = create_engine(make_url(settings.needed(name)), **engine_options(connect_seconds, statement_seconds))
    name_failures(engine, name)
    return engine


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
