"""Reads of the ledger for whoever asks, one at a time; its answers are briefly kept, and so is that there was none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from serving.problems import Kind, Refused
from steps.common.logs import log
from steps.common.store.connection import Unreachable

_KEPT_SECONDS: Final = 5.0
# How long one read may keep the others waiting; after that the ledger counts as down for them until it has ended.
_PATIENCE_SECONDS: Final = 5.0
_MOST_KEPT: Final = 256
# A failure kept under this is one of every read.
_EVERYTHING: Final = object()


@dataclass(frozen=True)
class _Kept:
    until: float
    value: Any
    failed: bool


class LedgerReads:
    """The ledger for readers; what was asked a moment ago is answered again without asking it."""

    def __init__(self, ledger: Engine) -> None:
        self._ledger = ledger
        self._kept: dict[object, _Kept] = {}
        self._turn = threading.Lock()
        self._busy_since: float | None = None

    def once[T](self, key: object, read: Callable[[Connection], T]) -> T:
        """Return what is read under a key; raise Refused where the ledger does not answer."""
        kept = self._kept_of(key) or self._in_turn(key, read)
        if kept.failed:
            raise _down()
        found: T = kept.value
        return found

    def _kept_of(self, key: object) -> _Kept | None:
        now = time.monotonic()
        found = (self._kept.get(one) for one in (key, _EVERYTHING))
        return next((kept for kept in found if kept is not None and now < kept.until), None)

    def _in_turn(self, key: object, read: Callable[[Connection], Any]) -> _Kept:
        # One at a time: many who ask at once, asking the same, get one answer. But all who wait would wait for a
        # ledger that hangs, each in a thread of its own, until there is none left.
        now, since = time.monotonic(), self._busy_since
        if not self._turn.acquire(timeout=max(0.0, (now if since is None else since) + _PATIENCE_SECONDS - now)):
            raise _down()
        try:
            self._busy_since = time.monotonic()
            return self._kept_of(key) or self._ask(key, read)
        finally:
            self._busy_since = None
            self._turn.release()

    def _ask(self, key: object, read: Callable[[Connection], Any]) -> _Kept:
        value, failed = None, False
        try:
            with self._ledger.connect() as connection:
                value = read(connection)
        except (Unreachable, SQLAlchemyError) as error:
            log().warning("ledger_down", reason=str(error).split("\n", 1)[0])
            failed = True
            # Where nobody is at the address, every read would wait as long; a statement that takes too long is that
            # read's own trouble.
            key = _EVERYTHING if isinstance(error, Unreachable) else key
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = kept = _Kept(time.monotonic() + _KEPT_SECONDS, value, failed)
        return kept


def _down() -> Refused:
    return Refused(Kind.LEDGER_DOWN, "The ledger does not answer; prices are not affected.")
