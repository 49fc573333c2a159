"""Every SQL statement on CLEAN: replacing a batch's listings and refusals, their digest, reading them as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection, delete

from steps.common.columns import CATEGORIES, NUMBERS, Category, Columns, encode
from steps.common.listing import SPLIT_VERSION, PricedListing, Refusal
from steps.common.store.connection import driver
from steps.common.tables import clean

_LISTING_COLUMNS: Final = tuple(clean.listings.columns.keys())
_REFUSAL_COLUMNS: Final = tuple(clean.refusals.columns.keys())
_ORDER: Final = ("batch_number", "row_number")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class CleanRow:
    """A listing with its place in its batch and the house it is."""

    row_number: int
    property_id: int
    bucket: int
    listing: PricedListing


@dataclass(frozen=True)
class Listings:
    """Clean listings as columns, ordered by batch and row: features' input, target, and who each row is."""

    columns: Columns
    price: NDArray[np.float64]
    property_id: NDArray[np.int64]
    bucket: NDArray[np.int64]
    batch_number: NDArray[np.int64]
    row_number: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.price)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Listings:
        """Return the chosen rows, by position or by a mask."""
        others = {name: getattr(self, name)[rows] for name in ("price", *_KEYS)}
        return Listings(self.columns.take(rows), **others)


_KEYS: Final = ("property_id", "bucket", "batch_number", "row_number")


def delete_batch(connection: Connection, source_id: str, batch_number: int) -> None:
    """Remove a batch's listings and refusals, before they are written anew in the same transaction."""
    for table in (clean.listings, clean.refusals):
        connection.execute(delete(table).where(table.c.source_id == source_id, table.c.batch_number == batch_number))


def copy_listings(connection: Connection, source_id: str, batch_number: int, rows: Iterable[CleanRow]) -> None:
    """Write a batch's listings by COPY."""
    fields = _LISTING_COLUMNS[5:]
    with driver(connection).cursor().copy(_copy_in("listings", _LISTING_COLUMNS)) as copy:
        for row in rows:
            values = row.listing.__dict__
            copy.write_row(
                (source_id, batch_number, row.row_number, row.property_id, row.bucket, *[values[f] for f in fields])
            )


def copy_refusals(
    connection: Connection, source_id: str, batch_number: int, rows: Iterable[tuple[int, Refusal]]
) -> None:
    """Write a batch's refused rows with their reasons by COPY."""
    with driver(connection).cursor().copy(_copy_in("refusals", _REFUSAL_COLUMNS)) as copy:
        for number, refusal in rows:
            copy.write_row((source_id, batch_number, number, refusal.reason, refusal.field, refusal.rule))


def digest(connection: Connection, source_id: str, batch_number: int) -> str:
    """Return the sha256 over a batch's listings and refusals as they stand, under the split's version."""
    state = hashlib.sha256(SPLIT_VERSION.encode())
    for table, columns in (("listings", _LISTING_COLUMNS), ("refusals", _REFUSAL_COLUMNS)):
        for block in _copy_out(connection, table, columns, source_id, [batch_number], None):
            state.update(block)
    return state.hexdigest()


def read(connection: Connection, source_id: str, batches: Sequence[int], buckets: range | None = None) -> Listings:
    """Return the listings of some batches, of some buckets only if given; the filter is the database's.

    Order: batch, then row. Codes of texts are given in order of appearance.
    """
    seen: dict[str, dict[str, int]] = {name: {} for name in CATEGORIES}
    parts = [
        _parse_block(block, seen)
        for block in _whole_lines(_copy_out(connection, "listings", _READ, source_id, batches, buckets))
    ]
    parts = parts or [_parse_block(b"", seen)]
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns = Columns(
        {name: merged[name] for name in NUMBERS},
        {name: Category(merged[name], tuple(seen[name])) for name in CATEGORIES},
    )
    return Listings(columns, merged["price"], **{name: merged[name] for name in _KEYS})


_STORED_NUMBERS: Final = ("price", "bed", "bath", "acre_lot", "house_size")
_READ: Final = (*_KEYS, *_STORED_NUMBERS, "prev_sold_date", *CATEGORIES)


def _parse_block(block: bytes, seen: dict[str, dict[str, int]]) -> dict[str, NDArray[Any]]:
    # Not splitlines: it also breaks at characters COPY leaves as they are, and a city may hold one.
    rows = [line.split("\t") for line in block.decode().split("\n")[:-1]]
    by_name = dict(zip(_READ, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(_READ, ())
    columns: dict[str, NDArray[Any]] = {name: np.array(by_name[name], np.int64) for name in _KEYS}
    for name in _STORED_NUMBERS:
        columns[name] = np.array([np.nan if text == r"\N" else float(text) for text in by_name[name]], np.float64)
    sold = by_name["prev_sold_date"]
    columns["prev_sold_year"] = np.array([np.nan if day == r"\N" else float(day[:4]) for day in sold], np.float64)
    columns["prev_sold_month"] = np.array([np.nan if day == r"\N" else float(day[5:7]) for day in sold], np.float64)
    for name in CATEGORIES:
        texts = (None if text == r"\N" else _unescape(text) for text in by_name[name])
        columns[name], _ = encode(texts, seen[name])
    return columns


_ESCAPES: Final = {r"\\": "\\", r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\b": "\b", r"\f": "\f", r"\v": "\v"}


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    pieces, at = [], 0
    while at < len(text):
        pair = text[at : at + 2]
        pieces.append(_ESCAPES.get(pair, text[at]))
        at += 2 if pair in _ESCAPES else 1
    return "".join(pieces)


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Gather COPY's blocks (a row each) into pieces of about a megabyte."""
    gathered: list[bytes] = []
    size = 0
    for block in blocks:
        gathered.append(block)
        size += len(block)
        if size >= _CHUNK:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


def _copy_in(table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )


def _copy_out(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    source_id: str,
    batches: Sequence[int],
    buckets: range | None,
) -> Iterator[bytes]:
    parts = sql.SQL("AND bucket >= {} AND bucket < {}").format(buckets.start, buckets.stop) if buckets else sql.SQL("")
    query = sql.SQL(
        "COPY (SELECT {} FROM {} WHERE source_id = {} AND batch_number = ANY({}) {} ORDER BY {}) TO STDOUT"
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table), source_id, list(batches), parts,
        sql.SQL(", ").join(map(sql.Identifier, _ORDER)),
    )  # fmt: skip
    with driver(connection).cursor().copy(query) as copy:
        for block in copy:
            yield bytes(block)
