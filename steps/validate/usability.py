"""Whether a batch can be used at all: types, gaps, ranges, duplicates, refusals, a median that jumps, a copy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Floats
from steps.common.listing import NUMERIC_FIELDS, SOURCE_FIELDS
from steps.common.listing import Reason as RefusalReason
from steps.common.verdicts import malformed, refused_share, too_many_refused
from steps.validate.batch import Batch, Field
from steps.validate.copies import copies_of_price
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason, listed
from steps.validate.reference import MEASURED, Reference

_EXAMPLES: Final = 3
_EXAMPLE_CHARACTERS: Final = 40


@dataclass(frozen=True)
class Column:
    """One column as received: shares of all rows; malformed of those that hold something; a range where it has one.

    Numbers outside the model's scope are in the range; dates are ordinal days.
    """

    missing_share: float
    malformed_share: float
    malformed_rows: int
    malformed_examples: tuple[str, ...]
    distinct: int
    minimum: float | None = None
    median: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Counts:
    """A batch in rows: what cleaning will keep and refuse, and what is there more than once.

    `same_property_rows` are rows of a house that has another row before; `identical_rows` equal one before in all
    twelve values. `growth` is rows over the rows of all batches before, None where there are none.
    """

    rows: int
    rows_before: int
    growth: float | None
    kept: int
    refused: int
    refused_by_reason: Mapping[str, int]
    same_property_rows: int
    identical_rows: int


def columns(batch: Batch) -> dict[str, Column]:
    """Return each column of a batch as received, in the source's order."""
    return {name: _column(batch.fields[name]) for name in SOURCE_FIELDS}


def _column(field: Field) -> Column:
    rows, missing, malformed = len(field.codes), int(field.missing.sum()), int(field.malformed.sum())
    texts = field.meaning.texts
    wrong = [code for code, why in field.meaning.refusals.items() if why.reason is RefusalReason.MALFORMED]
    found = Column(
        missing_share=missing / max(rows, 1),
        malformed_share=malformed / max(rows - missing, 1),
        malformed_rows=malformed,
        malformed_examples=tuple((texts[code] or "")[:_EXAMPLE_CHARACTERS] for code in wrong[:_EXAMPLES]),
        distinct=len(texts),
    )
    numbers = _present(field.numbers) if field.meaning.name in MEASURED else np.empty(0)
    if not len(numbers):
        return found
    return replace(found, minimum=float(numbers.min()), median=float(np.median(numbers)), maximum=float(numbers.max()))


def counts(batch: Batch, reference: Reference | None) -> Counts:
    """Return a batch in rows."""
    rows, before = len(batch), reference.rows if reference else 0
    by_reason = Counter[str]()
    for why, found in batch.refused.items():
        by_reason[f"{why.reason} {why.field}"] += found
    kept = int(batch.kept.sum())
    houses = np.sort(batch.property_id)
    repeated = houses[1:][houses[1:] == houses[:-1]]
    return Counts(
        rows=rows,
        rows_before=before,
        growth=rows / before if before else None,
        kept=kept,
        refused=rows - kept,
        refused_by_reason=dict(by_reason.most_common()),
        same_property_rows=len(repeated),
        identical_rows=_identical_rows(batch, repeated),
    )


def _identical_rows(batch: Batch, repeated: NDArray[np.int64]) -> int:
    """Return how many rows equal one before: only rows of one house can, so only those are compared."""
    several = np.flatnonzero(np.isin(batch.property_id, repeated))
    if not len(several):
        return 0
    texts = np.stack([field.codes[several] for field in batch.fields.values()], axis=1)
    return len(several) - len(np.unique(texts, axis=0))


def faults(
    batch: Batch, counts: Counts, columns: Mapping[str, Column], reference: Reference | None, policy: Policy
) -> list[Reason]:
    """Return why a batch cannot be used, nothing when it can."""
    # First: such a column is often out of scope too, and of another median, and this is why.
    found = copies_of_price(batch, policy)
    share = refused_share(counts.refused, counts.rows)
    if too_many_refused(share, policy):
        why = listed([f"{reason} {rows:,}" for reason, rows in counts.refused_by_reason.items()])
        sentence = f"{share:.1%} of the {counts.rows:,} rows would be refused, {policy.refused_share:.0%} may be: {why}"
        found.append(Reason(Code.TOO_MANY_REFUSED, sentence, None, share, policy.refused_share))
    for name, column in columns.items():
        if malformed(column.malformed_share, policy):
            shown = ", ".join(map(repr, column.malformed_examples))
            sentence = f"{name}: {column.malformed_share:.1%} of its values are of another type, such as {shown}"
            found.append(Reason(Code.COLUMN_MALFORMED, sentence, name, column.malformed_share, policy.malformed_share))
    if reference is not None:
        found += _unit_change(batch, reference, policy)
    return found


def _unit_change(batch: Batch, reference: Reference, policy: Policy) -> list[Reason]:
    """Return the one column whose median jumped, if one did and the others stayed: that is a unit, not a market."""
    moved = {}
    for name in NUMERIC_FIELDS:
        before = reference.numbers[name].quantile(0.5)
        low, now, high = median_interval(_present(batch.fields[name].numbers), policy.median_confidence)
        # Medians of nothing are NaN, and those at zero have no factor: neither compares as true.
        if before > 0 and (low > before * policy.median_factor or 0 < high < before / policy.median_factor):
            moved[name] = (before, now)
    if len(moved) != 1:
        return []
    ((name, (before, now)),) = moved.items()
    factor = max(now / before, before / now)
    sentence = (
        f"{name}: the median is {now:,.6g} and was {before:,.6g}, a factor of {factor:.1f}, while no other column's "
        f"moved by {policy.median_factor:g}: another unit"
    )
    return [Reason(Code.UNIT_CHANGE, sentence, name, factor, policy.median_factor)]


def median_interval(numbers: Floats, confidence: float) -> tuple[float, float, float]:
    """Return a median and its distribution-free interval, from order statistics (normal approximation of the ranks).

    NaN for no numbers. With too few for an interval it is everything.
    """
    if not len(numbers):
        return (float("nan"),) * 3
    ordered = np.sort(numbers)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(len(ordered)) / 2
    low, high = int(len(ordered) / 2 - reach) - 1, math.ceil(len(ordered) / 2 + reach)
    if low < 0 or high >= len(ordered):
        return (-math.inf, float(np.median(ordered)), math.inf)
    return (float(ordered[low]), float(np.median(ordered)), float(ordered[high]))


def _present(numbers: Floats) -> Floats:
    return numbers[~np.isnan(numbers)]
