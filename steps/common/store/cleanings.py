"""Every SQL statement on the cleanings of CLEAN: by which rules of scope the rows of a batch were made.

They are written in the transaction that replaces the rows, so that they speak of what is there and of nothing else.
Rows without one are older than the table, and of the first scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, insert, select

from steps.common.listing import FIRST_SCOPE_VERSION, SCOPE_VERSION
from steps.common.store.clean import digest as digest_of
from steps.common.tables import clean


def append(connection: Connection, source_id: str, batch_number: int, digest: str) -> None:
    """Write down that a batch was cleaned by the rules of today; `clean.delete_batch` removes what was there."""
    row = {"source_id": source_id, "batch_number": batch_number, "scope_version": SCOPE_VERSION, "digest": digest}
    connection.execute(insert(clean.cleanings).values(row))


def otherwise(connection: Connection, source_id: str, batches: Sequence[int]) -> dict[int, str]:
    """Return those of some batches that do not stand in CLEAN under the scope of today, each with what it is under."""
    found = {number: row.scope_version for number, row in _recorded(connection, source_id, batches).items()}
    for number in set(batches) - found.keys():
        found[number] = FIRST_SCOPE_VERSION if _is_there(connection, source_id, number) else "not there at all"
    return {number: found[number] for number in batches if found[number] != SCOPE_VERSION}


def digests(connection: Connection, source_id: str, batches: Sequence[int]) -> dict[int, str]:
    """Return the digests of some batches of CLEAN by number; of rows without a cleaning it is computed."""
    found = _recorded(connection, source_id, batches)
    return {
        number: found[number].digest if number in found else digest_of(connection, source_id, number)
        for number in batches
    }


def named(batches: Mapping[int, str]) -> str:
    """Return what `otherwise` found as a reader sees it."""
    return ", ".join(f"batch {number} ({scope})" for number, scope in sorted(batches.items()))


def _recorded(connection: Connection, source_id: str, batches: Sequence[int]) -> dict[int, Row[Any]]:
    table = clean.cleanings
    rows = connection.execute(select(table).where(table.c.source_id == source_id, table.c.batch_number.in_(batches)))
    return {row.batch_number: row for row in rows}


def _is_there(connection: Connection, source_id: str, batch_number: int) -> bool:
    kept, refused = (
        exists().where(table.c.source_id == source_id, table.c.batch_number == batch_number)
        for table in (clean.listings, clean.refusals)
    )
    return bool(connection.scalar(select(kept | refused)))
