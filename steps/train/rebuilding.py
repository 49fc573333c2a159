"""The train part of a data set from the rows as received, without CLEAN: what a version was, or would be, trained on.

The rows are parsed as clean parses them and read as a training reads them, so equal digests mean equal listings; that
they are equal is not assumed but computed. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat

from sqlalchemy import Connection

from steps.common.cleaning import Cleaning
from steps.common.dataset import FrozenList
from steps.common.listing import TRAIN_BUCKETS
from steps.common.logs import log
from steps.common.step import Refused
from steps.common.store import clean, raw
from steps.common.store.clean import IDENTITY, READ, STORED_FIELDS, BatchDigest, Listings


class RowsMissing(Refused):
    """RAW does not hold the rows a version was trained on, so it cannot be made again."""


@dataclass(frozen=True)
class Rebuilt:
    """The train part of some batches, with the sha of each batch's content and the digest cleaning it comes to."""

    rows: Listings
    content_shas: dict[int, str]
    clean_digests: dict[int, str]

    def fingerprint(self, source_id: str) -> str:
        """Return the fingerprint of the data set they make."""
        return FrozenList(
            source_id, tuple(self.content_shas), tuple(self.content_shas.values()), tuple(self.clean_digests.values())
        ).fingerprint


def rebuild(source: Connection, ledger: Connection, source_id: str, batches: Sequence[int]) -> Rebuilt:
    """Return the train part of some batches, parsed from RAW; raise RowsMissing.

    `ledger` is asked for nothing but the order in which CLEAN's server sorts texts.
    """
    expected = {number: _rows_of(source, source_id, number) for number in batches}
    digests: dict[int, str] = {}

    def cells() -> Iterator[dict[str, Sequence[str]]]:
        for number in batches:
            digest, cleaning = BatchDigest(source_id, number), Cleaning()
            for block in cleaning.columns(raw.read_rows(source, source_id, number)):
                listings = [list(column) for column in block]
                digest.update(listings)
                yield _train_part(number, dict(zip((*IDENTITY, *STORED_FIELDS), listings, strict=True)))
            found = cleaning.summary()["rows"]
            if found != expected[number]:
                raise RowsMissing(f"RAW has {found} rows of batch {number}; it was stored with {expected[number]}")
            digests[number] = digest.hexdigest(ledger, cleaning.refusals, cleaning.value_counts)
            log().info("parsed", batch=number, rows=found)

    rows = clean.from_cells(cells())
    return Rebuilt(rows, {number: raw.content_sha(source, source_id, number) for number in batches}, digests)


def _rows_of(source: Connection, source_id: str, number: int) -> int:
    found = raw.row_count(source, source_id, number)
    if found is None:
        raise RowsMissing(f"RAW has no batch {number}, which the version was trained on")
    return found


def _train_part(number: int, columns: Mapping[str, Iterable[str]]) -> dict[str, Sequence[str]]:
    kept = [int(bucket) in TRAIN_BUCKETS for bucket in columns["bucket"]]
    found: dict[str, Sequence[str]] = {
        name: list(compress(columns[name], kept)) for name in READ if name != "batch_number"
    }
    return {**found, "batch_number": list(repeat(str(number), sum(kept)))}
