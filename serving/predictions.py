"""Every price that was asked for, on its way to RAW: on the local disk before the answer, in PostgreSQL soon after.

One payload of the spool is one request, with the inference ids of its rows; the shipper sends closed segments as they
are, and PostgreSQL makes rows of them and adds those that are not there yet. Shipped twice, or in another order, is the
same.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

from serving.spool import Spool, read_segment
from steps.common.logs import log
from steps.common.store import predictions
from steps.common.store.connection import Unreachable

# The last hexadecimal digits of an inference id are the row's number in its request.
_ROW_DIGITS: Final = 4
_LONGEST_PAUSE: Final = 30.0
_STOP_SECONDS: Final = 10.0
# One after the other: of an escaped backslash before them the same five characters are text.
_ESCAPED: Final = re.compile(rb"\\(?:(u0000)|.)")


class Entry(msgspec.Struct, frozen=True):
    """One request as `predictions.add` takes it: listings that were priced, as JSON, and what was refused, by row."""

    stem: str
    served_at: float
    request_id: str
    route: str
    version: int | None
    listings: msgspec.Raw
    prices: list[float]
    refused: list[tuple[int, Any, str]] = []

    def inference_id(self, row: int) -> str:
        """Return the key of one row in RAW."""
        return f"{self.stem}{row:04x}"


def entry(
    request_id: str, route: str, version: int | None, listings: bytes, prices: list[float],
    refused: Sequence[tuple[int, object, str]] = (),
) -> Entry:  # fmt: skip
    """Return a request as it is stored; `listings` is a JSON array, rows in `refused` are not in it."""
    stem = str(uuid.uuid4())[:-_ROW_DIGITS]
    return Entry(stem, time.time(), request_id, route, version, msgspec.Raw(listings), prices, list(refused))


encode: Final = msgspec.json.Encoder().encode


def storable(payload: bytes) -> str:
    """Return a stored request as JSONB takes it: it knows no NUL, though JSON does."""
    if rb"\u0000" in payload:
        payload = _ESCAPED.sub(lambda found: rb"\ufffd" if found[1] else found[0], payload)
    return payload.decode()


class Shipper:
    """Brings closed segments to RAW in the background, for as long as it takes PostgreSQL to be there."""

    def __init__(self, spool: Spool, raw: Engine, seconds: float) -> None:
        self.shipped = 0
        self.unreadable = 0
        self.failures = 0
        self._spool = spool
        self._raw = raw
        self._seconds = seconds
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop, after a last try; what does not reach RAW now does after the next start."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._ship()

    def _run(self) -> None:
        pause = self._seconds
        while not self._stopping.wait(pause):
            pause = self._seconds if self._ship() else min(2 * pause, max(_LONGEST_PAUSE, self._seconds))

    def _ship(self) -> bool:
        """Ship every segment there is; return whether that went well."""
        try:
            # While RAW is away the segments that wait are enough of them.
            if not self._spool.closed():
                self._spool.rotate()
            for path in self._spool.closed():
                self._ship_one(path)
        except (Unreachable, SQLAlchemyError, psycopg.Error, OSError) as error:
            self.failures += 1
            trouble = str(error).split("\n", 1)[0]
            if trouble != self._trouble:
                log().warning("predictions_wait", reason=trouble)
            self._trouble = trouble
            return False
        if self._trouble is not None:
            log().info("predictions_shipped_again", rows=self.shipped)
        self._trouble = None
        return True

    def _ship_one(self, path: Path) -> None:
        segment = read_segment(path)
        if segment.unreadable:
            # Cut off by a kill before anybody was answered; anything more than one is a disk that forgets.
            self.unreadable += segment.unreadable
            log().warning("lines_unreadable", segment=path.name, lines=segment.unreadable)
        requests = [storable(payload) for payload in segment.payloads]
        try:
            with self._raw.begin() as connection:
                added = predictions.add(connection, requests)
        except (DataError, psycopg.DataError) as error:
            kept = self._spool.set_aside(path)
            self.failures += 1
            reason = str(error).split("\n", 1)[0]
            log().error("segment_refused", segment=kept.name, requests=len(requests), reason=reason)
            return
        self.shipped += added
        self._spool.remove(path)
