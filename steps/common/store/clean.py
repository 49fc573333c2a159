"""Every SQL statement on CLEAN: replacing a batch's listings, refusals and counts, their digest, reading them back."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection, delete, func, select, text

from steps.common.columns import CATEGORIES, NUMBERS, Category, Columns, encode
from steps.common.listing import SPLIT_VERSION, PricedListing, Refusal
from steps.common.store import copying
from steps.common.tables import clean

_LISTING_COLUMNS: Final = tuple(clean.listings.columns.keys())
_REFUSAL_COLUMNS: Final = tuple(clean.refusals.columns.keys())
_COUNT_COLUMNS: Final = tuple(clean.value_counts.columns.keys())
_TABLES: Final = {"listings": _LISTING_COLUMNS, "refusals": _REFUSAL_COLUMNS, "value_counts": _COUNT_COLUMNS}
# What a listing is stored as, in the order of `copy_columns`: who the row is, then its fields.
IDENTITY: Final = ("row_number", "property_id", "bucket")
STORED_FIELDS: Final = _LISTING_COLUMNS[2 + len(IDENTITY) :]
# All but the street, which nearly every row has of its own.
COUNTED_FIELDS: Final = tuple(name for name in STORED_FIELDS if name != "street")
_ORDER: Final = ("batch_number", "row_number")
_BLOCK_ROWS: Final = 512


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


def take_turn(connection: Connection, source_id: str, batch_number: int) -> None:
    """Wait until no other transaction replaces this batch; held until the transaction ends.

    Two attempts that replaced it at once would otherwise meet at the primary key, and one of them fail.
    """
    key = {"key": f"{source_id}/{batch_number}"}
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 2))"), key)


def delete_batch(connection: Connection, source_id: str, batch_number: int) -> None:
    """Remove all of a batch, before it is written anew in the same transaction."""
    for table in clean.metadata.tables.values():
        connection.execute(delete(table).where(table.c.source_id == source_id, table.c.batch_number == batch_number))


def copy_listings(connection: Connection, source_id: str, batch_number: int, rows: Iterable[CleanRow]) -> None:
    """Write a batch's listings by COPY."""
    written = (
        (
            str(row.row_number), str(row.property_id), str(row.bucket),
            *(copying.written(getattr(row.listing, field)) for field in STORED_FIELDS),
        )
        for row in rows
    )  # fmt: skip
    blocks = (list(zip(*block, strict=True)) for block in batched(written, _BLOCK_ROWS, strict=False))
    copy_columns(connection, source_id, batch_number, blocks)


def copy_columns(
    connection: Connection, source_id: str, batch_number: int, blocks: Iterable[Sequence[Iterable[str]]]
) -> None:
    """Write a batch's listings by COPY, given some rows at a time, column by column: `IDENTITY`, `STORED_FIELDS`.

    Every value is text as `copying.written` gives it, which many rows share.
    """
    of_batch = (repeat(copying.written(source_id)), repeat(str(batch_number)))
    lines = (f"{line}\n" for block in blocks for line in map("\t".join, zip(*of_batch, *block, strict=False)))
    copying.copy_in(connection, "listings", _LISTING_COLUMNS, lines)


def copy_refusals(
    connection: Connection, source_id: str, batch_number: int, rows: Iterable[tuple[int, Refusal]]
) -> None:
    """Write a batch's refused rows with their reasons by COPY."""
    lines = (
        "\t".join(map(copying.written, (source_id, str(batch_number), str(row), why.reason, why.field, why.rule)))
        for row, why in rows
    )
    copying.copy_in(connection, "refusals", _REFUSAL_COLUMNS, (f"{line}\n" for line in lines))


def copy_value_counts(
    connection: Connection, source_id: str, batch_number: int, counts: Mapping[str, Mapping[str, int]]
) -> None:
    """Write how many of a batch's listings have each value, for every field of `COUNTED_FIELDS`.

    Values are text as `copying.written` gives it.
    """
    before = f"{copying.written(source_id)}\t{batch_number}"
    lines = (
        f"{before}\t{field}\t{value}\t{rows}\n" for field in COUNTED_FIELDS for value, rows in counts[field].items()
    )
    copying.copy_in(connection, "value_counts", _COUNT_COLUMNS, lines)


def value_counts(connection: Connection, source_id: str, batches: Sequence[int]) -> dict[str, dict[str, int]]:
    """Return how many listings of some batches have each value, by field of `COUNTED_FIELDS`; none is missing there.

    Numbers are text as Python writes a float, dates as `YYYY-MM-DD`.
    """
    table = clean.value_counts
    rows = connection.execute(
        select(table.c.field, table.c.value, func.sum(table.c.rows))
        .where(table.c.source_id == source_id, table.c.batch_number.in_(batches))
        .group_by(table.c.field, table.c.value)
    )
    found: dict[str, dict[str, int]] = {field: {} for field in COUNTED_FIELDS}
    for field, value, count in rows:
        found[field][value] = int(count)
    return found


def listings_by_batch(connection: Connection, source_id: str, batches: Sequence[int]) -> dict[int, int]:
    """Return how many listings each of some batches has; a batch without any is left out."""
    table = clean.value_counts
    rows = connection.execute(
        select(table.c.batch_number, func.sum(table.c.rows))
        # Every listing has a status.
        .where(table.c.source_id == source_id, table.c.batch_number.in_(batches), table.c.field == "status")
        .group_by(table.c.batch_number)
    )
    return {number: int(count) for number, count in rows}


def median_price(connection: Connection, source_id: str, batches: Sequence[int], buckets: range) -> float | None:
    """Return the median price of some batches' listings in some buckets, in dollars; None where there are none."""
    table = clean.listings
    median = func.percentile_cont(0.5).within_group(table.c.price)
    where = (
        table.c.source_id == source_id, table.c.batch_number.in_(batches), table.c.bucket >= buckets.start,
        table.c.bucket < buckets.stop,
    )  # fmt: skip
    found = connection.scalar(select(median).where(*where))
    return None if found is None else float(found)


def digest(connection: Connection, source_id: str, batch_number: int) -> str:
    """Return the sha256 over a batch's rows in every table, under the split's version.

    Cards and completions hold such digests for ever, so what goes into one stays as it is: when the scope's version
    was put before the rows, every model of before was "not reproduced" though no row had changed.
    """
    state = hashlib.sha256(SPLIT_VERSION.encode())
    for table, columns in _TABLES.items():
        query = sql.SQL("SELECT {} FROM {} WHERE source_id = {} AND batch_number = {} ORDER BY {}").format(
            _identifiers(columns), sql.Identifier(table), source_id, batch_number,
            _identifiers(column.name for column in clean.metadata.tables[table].primary_key),
        )  # fmt: skip
        for block in copying.copy_out(connection, query):
            state.update(block)
    return state.hexdigest()


class BatchDigest:
    """The digest of a batch that is not in CLEAN: what `digest` would return, were its rows written there.

    Fed the blocks that `copy_columns` takes, in their order.
    """

    def __init__(self, source_id: str, batch_number: int) -> None:
        self._batch: Final = (source_id, batch_number)
        self._before: Final = f"{copying.written(source_id)}\t{batch_number}"
        self._state: Final = hashlib.sha256(SPLIT_VERSION.encode())

    def update(self, block: Sequence[Sequence[str]]) -> None:
        """Add some listings, column by column."""
        columns = dict(zip((*IDENTITY, *STORED_FIELDS), block, strict=True))
        for name in _STORED_NUMBERS:
            # PostgreSQL writes a float as Python does within the model's scope, but for the `.0` of a whole one.
            columns[name] = [cell.removesuffix(".0") for cell in columns[name]]
        for line in map("\t".join, zip(*columns.values(), strict=True)):
            self._state.update(f"{self._before}\t{line}\n".encode())

    def hexdigest(
        self, connection: Connection, refusals: Iterable[tuple[int, Refusal]], counts: Mapping[str, Mapping[str, int]]
    ) -> str:
        """Return the digest, given the refusals and value counts too.

        The connection is one to CLEAN's server, whichever database: it alone knows in which order it sorts texts.
        """
        for row, why in refusals:
            cells = map(copying.written, (str(row), why.reason, why.field, why.rule))
            self._state.update(f"{self._before}\t{'\t'.join(cells)}\n".encode())
        found = [
            (field, copying.read(value), rows) for field in COUNTED_FIELDS for value, rows in counts[field].items()
        ]
        fields, values, rows = zip(*found, strict=True) if found else ((), (), ())
        query = sql.SQL(
            "SELECT {}::text, {}::int, * FROM unnest({}::text[], {}::text[], {}::int[]) AS counted(field, value, rows) "
            "ORDER BY field, value"
        ).format(*self._batch, list(fields), list(values), list(rows))
        for block in copying.copy_out(connection, query):
            self._state.update(block)
        return self._state.hexdigest()


def read(
    connection: Connection, source_id: str, batches: Sequence[int], buckets: Collection[int] | None = None
) -> Listings:
    """Return the listings of some batches, of some buckets only if given; the filter is the database's.

    Order: batch, then row.
    """
    only = sql.SQL("") if buckets is None else sql.SQL("AND bucket = ANY({})").format(list(buckets))
    query = sql.SQL("SELECT {} FROM listings WHERE source_id = {} AND batch_number = ANY({}) {} ORDER BY {}").format(
        _identifiers(READ), source_id, list(batches), only, _identifiers(_ORDER)
    )
    blocks = (copying.cells(block, len(READ)) for block in copying.copy_out(connection, query))
    return from_cells(dict(zip(READ, block, strict=True)) for block in blocks)


def from_cells(blocks: Iterable[Mapping[str, Sequence[str]]]) -> Listings:
    """Return listings given some rows at a time, column by column, for every name of `READ`.

    A cell is text as COPY, or `copying.written`, gives it. Codes of texts are given in order of appearance.
    """
    seen: dict[str, dict[str, int]] = {name: {} for name in CATEGORIES}
    parts = [_parsed(block, seen) for block in blocks]
    parts = parts or [_parsed(dict.fromkeys(READ, ()), seen)]
    merged = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns = Columns(
        {name: merged[name] for name in NUMBERS},
        {name: Category(merged[name], tuple(seen[name])) for name in CATEGORIES},
    )
    return Listings(columns, merged["price"], **{name: merged[name] for name in _KEYS})


_STORED_NUMBERS: Final = ("price", "bed", "bath", "acre_lot", "house_size")
# The columns that a model learns from, or is told apart by.
READ: Final = (*_KEYS, *_STORED_NUMBERS, "prev_sold_date", *CATEGORIES)


def _parsed(by_name: Mapping[str, Sequence[str]], seen: dict[str, dict[str, int]]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {name: np.array(list(map(int, by_name[name])), np.int64) for name in _KEYS}
    for name in _STORED_NUMBERS:
        columns[name] = _numbers(by_name[name])
    sold = by_name["prev_sold_date"]
    columns["prev_sold_year"] = _numbers([day if day == copying.NULL else day[:4] for day in sold])
    columns["prev_sold_month"] = _numbers([day if day == copying.NULL else day[5:7] for day in sold])
    for name in CATEGORIES:
        columns[name], _ = encode(map(copying.read, by_name[name]), seen[name])
    return columns


def _numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    return np.array([np.nan if cell == copying.NULL else float(cell) for cell in cells], np.float64)


def _identifiers(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
