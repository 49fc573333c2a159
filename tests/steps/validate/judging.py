"""Batches and what they are compared with, made of rows, for the tests of validate's decisions."""

from collections.abc import Iterator, Sequence

from steps.common.cleaning import Cleaning
from steps.common.listing import SOURCE_FIELDS
from steps.common.store.copying import read
from steps.common.store.raw import RawRows
from steps.validate.batch import Batch, gather
from steps.validate.reference import Reference, reference
from tests.steps.batches import Row

PIECE = 512


def in_pieces(some: Sequence[Row]) -> Iterator[RawRows]:
    for start in range(0, len(some), PIECE):
        piece = some[start : start + PIECE]
        fields = {name: [row[name] for row in piece] for name in SOURCE_FIELDS}
        yield RawRows(list(range(start, start + len(piece))), fields)


def batch_of(some: Sequence[Row], number: int = 1) -> Batch:
    """Return rows as validate sees a batch."""
    return gather(number, in_pieces(some))


def reference_of(*batches: Sequence[Row]) -> Reference:
    """Return what batches leave in CLEAN to be compared with."""
    cleaning = Cleaning()
    for some in batches:
        for block in cleaning.columns(in_pieces(some)):
            for column in block:
                list(column)
    counts = {
        field: {str(read(value)): rows for value, rows in found.items()}
        for field, found in cleaning.value_counts.items()
    }
    return reference({0: cleaning.summary()["kept"]}, counts)
