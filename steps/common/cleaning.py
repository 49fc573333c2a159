"""What becomes of a batch's rows: each is a listing, with the house it is and its part, or refused with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, Final

from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION, TEST_BUCKETS, Refusal, Value, bucket
from steps.common.rows import ParsedRows, RowParser
from steps.common.store.clean import COUNTED_FIELDS, STORED_FIELDS
from steps.common.store.copying import NULL, written
from steps.common.store.raw import RawRows


class Cleaning:
    """One pass over a batch: yields its listings as CLEAN stores them, gathers its refusals, counts and figures.

    `columns(rows)` is lazy and to be read to its end once; `refusals`, `value_counts` and `summary` are whole after.
    """

    def __init__(self) -> None:
        self.refusals: list[tuple[int, Refusal]] = []
        self._parser = RowParser()
        self._stored: Final[dict[str, list[str]]] = {name: [] for name in STORED_FIELDS}
        self._counts: Final[dict[str, Counter[str]]] = {name: Counter() for name in COUNTED_FIELDS}
        self._rows = 0
        self._test_rows = 0
        self._properties: set[int] = set()

    def columns(self, rows: Iterable[RawRows]) -> Iterator[list[Iterable[str]]]:
        """Yield the listings among some rows at a time, column by column: `IDENTITY`, then `STORED_FIELDS`."""
        for some in rows:
            parsed = self._parser.parse(some.fields)
            self._rows += len(parsed)
            self.refusals += [(some.numbers[position], why) for position, why in sorted(parsed.refused.items())]
            yield self._listings(some.numbers, parsed)

    def _listings(self, numbers: Sequence[int], parsed: ParsedRows) -> list[Iterable[str]]:
        if parsed.refused:
            kept = [position not in parsed.refused for position in range(len(parsed))]
            numbers, houses = list(compress(numbers, kept)), list(compress(parsed.property_id, kept))
            codes = {name: list(compress(parsed.codes[name], kept)) for name in STORED_FIELDS}
        else:
            houses, codes = parsed.property_id, parsed.codes
        fields = {name: list(map(self._texts(name).__getitem__, codes[name])) for name in STORED_FIELDS}
        for name, counts in self._counts.items():
            counts.update(fields[name])
        buckets = list(map(bucket, houses))
        self._properties.update(houses)
        self._test_rows += sum(part in TEST_BUCKETS for part in buckets)
        return [map(str, numbers), map(str, houses), map(str, buckets), *fields.values()]

    def _texts(self, name: str) -> list[str]:
        """Return a field's values by code as CLEAN stores them, grown to the codes there are now."""
        stored = self._stored[name]
        values: list[Value] = self._parser.fields[name].values
        stored += map(written, values[len(stored) :])
        return stored

    @property
    def value_counts(self) -> dict[str, dict[str, int]]:
        """Return how many listings have each value, by field; the missing ones are not counted."""
        return {name: {value: n for value, n in found.items() if value != NULL} for name, found in self._counts.items()}

    def summary(self) -> dict[str, Any]:
        """Return the figures of the batch for the ledger: rows, refusals by reason and field, properties, parts."""
        kept = self._rows - len(self.refusals)
        by_reason = Counter(f"{why.reason} {why.field}" for _, why in self.refusals)
        return {
            "rows": self._rows,
            "kept": kept,
            "refused": len(self.refusals),
            "refused_by_reason": dict(by_reason.most_common()),
            "properties": len(self._properties),
            "test_rows": self._test_rows,
            "train_rows": kept - self._test_rows,
            "scope_version": SCOPE_VERSION,
            "split_version": SPLIT_VERSION,
        }
