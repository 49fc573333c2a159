"""Every price that was asked for, on its way to RAW: on the local disk before the answer, in PostgreSQL soon after.

One payload of the spool is one request, with the inference ids of its rows; the shipper turns closed segments into
rows and adds those that are not there yet. Shipped twice, or in another order, is the same.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
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
from steps.common.store.predictions import PRICED, REFUSED, Prediction

# The last hexadecimal digits of an inference id are the row's number in its request.
_ROW_DIGITS: Final = 4
_LONGEST_PAUSE: Final = 30.0
_STOP_SECONDS: Final = 10.0
_NUL: Final = "\x00"


class Entry(msgspec.Struct, frozen=True):
    """One request: listings that were priced, as JSON, with their prices, and what was refused, by row."""

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
_decode: Final = msgspec.json.Decoder(Entry).decode
_inputs: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def rows(payload: bytes) -> Iterator[Prediction]:
    """Yield the rows of a stored request."""
    found = _decode(payload)
    served_at = dt.datetime.fromtimestamp(found.served_at, dt.UTC)
    refused = {row: (sent, why) for row, sent, why in found.refused}
    priced = zip(_inputs(found.listings), found.prices, strict=True)
    of_request = served_at, found.request_id, found.route
    for row in range(len(refused) + len(found.prices)):
        key = found.inference_id(row)
        if row in refused:
            sent, why = refused[row]
            asked, reason = _storable(encode(sent).decode()), why.replace(_NUL, "\ufffd")
            yield Prediction(key, *of_request, asked, None, found.version, REFUSED, reason)
        else:
            listing, price = next(priced)
            yield Prediction(key, *of_request, _storable(str(listing, "utf-8")), price, found.version, PRICED, None)


def _storable(text: str) -> str:
    """Return JSON that JSONB takes: it knows no NUL, though JSON does."""
    return text.replace("\\u0000", "\\ufffd") if "\\u0000" in text else text


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
        found = [row for payload in segment.payloads for row in rows(payload)]
        try:
            with self._raw.begin() as connection:
                predictions.add(connection, found)
        except (DataError, psycopg.DataError) as error:
            kept = self._spool.set_aside(path)
            self.failures += 1
            log().error("segment_refused", segment=kept.name, rows=len(found), reason=str(error).split("\n", 1)[0])
            return
        self.shipped += len(found)
        self._spool.remove(path)
