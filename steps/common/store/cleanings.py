"""Every SQL statement on the cleanings of CLEAN: by which rules of scope the rows of a batch were made.

They are written in the transaction that replaces the rows, so that they speak of what is there and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from steps.common.listing import SCOPE_VERSION
from steps.common.tables import clean


@dataclass(frozen=True)
class Cleaned:
    """A batch's rows as they were written: under which rules of scope, and their digest."""

    scope_version: str
    digest: str


def append(connection: Connection, source_id: str, batch_number: int, digest: str) -> None:
    """Write down that a batch was cleaned by the rules of today; `clean.delete_batch` removes what was there."""
    row = {"source_id": source_id, "batch_number": batch_number, "scope_version": SCOPE_VERSION, "digest": digest}
    connection.execute(insert(clean.cleanings).values(row))


def cleaned(connection: Connection, source_id: str, batches: Sequence[int]) -> dict[int, Cleaned]:
    """Return how some batches stand in CLEAN, by number; what was never cleaned is left out."""
    table = clean.cleanings
    rows = connection.execute(select(table).where(table.c.source_id == source_id, table.c.batch_number.in_(batches)))
    return {row.batch_number: Cleaned(row.scope_version, row.digest) for row in rows}


def otherwise(batches: Sequence[int], found: Mapping[int, Cleaned]) -> dict[int, str]:
    """Return those of some batches that do not stand in CLEAN under the scope of today, each with what it is under."""
    scopes = {number: found[number].scope_version if number in found else "no known scope" for number in batches}
    return {number: scope for number, scope in scopes.items() if scope != SCOPE_VERSION}


def named(batches: Mapping[int, str]) -> str:
    """Return what `otherwise` found as a reader sees it."""
    return ", ".join(f"batch {number} ({scope})" for number, scope in sorted(batches.items()))
