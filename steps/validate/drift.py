"""What changed against all listings before: the population stability index (PSI) of each column, and new values.

At these sizes a test's p-value calls every batch changed, so the size of the change is measured. PSI = sum over bins
of (p - q) ln(p / q), with p the share of the batch and q that of the listings before; bins are the deciles of the
listings before, or the nine most frequent texts and the rest. Source of the formula: Siddiqi, Credit Risk Scorecards
(2006), chapter 10; its distribution without any change: Yurdakul, Statistical Properties of PSI (2018).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import CATEGORIES
from steps.common.verdicts import drift_bound, drifted, new_value_counts
from steps.validate.batch import DATE, Batch
from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason, shown
from steps.validate.reference import MEASURED, Distribution, Reference, distribution

BINS: Final = 10
# A bin that is empty on one side counts as this share, or its logarithm would be infinite.
_EMPTY: Final = 1e-4
_SHOWN: Final = 10
_NAMED: Final = 5
# From here on a number's digits after the point say nothing.
_WHOLE: Final = 1000

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class NewValue:
    """A text no listing before had: on how many of the batch's rows, and on what share of them."""

    value: str
    rows: int
    share: float


@dataclass(frozen=True)
class Drift:
    """One column against all listings before; `chance` is the PSI that batches of these sizes reach without a change.

    `inside` is the share of a measured column's values within the range there was; the medians are dollars, square
    feet, acres, ordinal days. `new_values` are the most frequent ones of the `new_distinct`.
    """

    psi: float
    bins: int
    chance: float
    inside: float | None = None
    median: float | None = None
    median_before: float | None = None
    span: tuple[float, float] | None = None
    new_distinct: int = 0
    new_rows: int = 0
    new_share: float = 0.0
    new_values: tuple[NewValue, ...] = ()


def drift(batch: Batch, reference: Reference, policy: Policy) -> dict[str, Drift]:
    """Return each column's change, over the rows that cleaning will keep; nothing where it keeps none."""
    if not batch.kept.any():
        return {}
    numbers = {name: distribution(batch.fields[name], batch.kept) for name in MEASURED}
    texts = {name: batch.columns.categories[name].take(batch.kept).counts() for name in CATEGORIES}
    return between(Reference((batch.number,), int(batch.kept.sum()), numbers, texts), reference, policy)


def between(now: Reference, before: Reference, policy: Policy) -> dict[str, Drift]:
    """Return the change of each column that some rows have, against the rows before; of at least one row."""
    found = {name: _measured(held, before.numbers[name], policy) for name, held in now.numbers.items()}
    for name in CATEGORIES:
        found[name] = _category(now.texts[name], now.rows, before.texts[name], before.rows, policy)
    return found


def _measured(now: Distribution, before: Distribution, policy: Policy) -> Drift:
    edges = np.unique([before.quantile(share / BINS) for share in range(1, BINS)]) if before.rows else np.empty(0)
    p, q = _binned(now, edges), _binned(before, edges)
    psi, bins = _psi(p, q)
    inside = None
    if now.rows and before.rows:
        within = (now.values >= before.values[0]) & (now.values <= before.values[-1])
        inside = float(now.counts[within].sum()) / now.rows
    return Drift(
        psi, bins, _chance(bins, float(p.sum()), float(q.sum()), policy.psi_confidence), inside,
        _finite(now.quantile(0.5)), _finite(before.quantile(0.5)),
        (float(now.values[0]), float(now.values[-1])) if now.rows else None,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _binned(numbers: Distribution, edges: NDArray[np.float64]) -> Shares:
    """Return the rows in each bin, from its lower edge up to the next; missing ones in a bin of their own, the last."""
    bins = np.searchsorted(edges, numbers.values, side="right")
    return np.append(np.bincount(bins, numbers.counts, len(edges) + 1), numbers.missing).astype(np.float64)


def _category(now: Mapping[str, int], rows: int, before: Mapping[str, int], rows_before: int, policy: Policy) -> Drift:
    frequent = sorted(before, key=lambda text: (-before[text], text))[: BINS - 1]
    p, q = _grouped(now, frequent, rows), _grouped(before, frequent, rows_before)
    psi, bins = _psi(p, q)
    new = sorted(
        ((count, text) for text, count in now.items() if text not in before), key=lambda one: (-one[0], one[1])
    )
    new_rows = sum(count for count, _ in new)
    shown = tuple(NewValue(text, count, count / rows) for count, text in new[:_SHOWN])
    return Drift(
        psi, bins, _chance(bins, float(p.sum()), float(q.sum()), policy.psi_confidence),
        new_distinct=len(new), new_rows=new_rows, new_share=new_rows / rows, new_values=shown,
    )  # fmt: skip


def _grouped(counts: Mapping[str, int], frequent: list[str], rows: int) -> Shares:
    """Return the rows of each frequent text, of all others, and of none."""
    held = [counts.get(text, 0) for text in frequent]
    total = sum(counts.values())
    return np.array([*held, total - sum(held), rows - total], np.float64)


def _psi(now: Shares, before: Shares) -> tuple[float, int]:
    """Return the PSI of rows per bin, and the number of bins that hold any."""
    used = (now > 0) | (before > 0)
    # In a batch of 40 rows an empty bin is no news: half a row stands for none of them.
    p = np.maximum(now[used] / now.sum(), max(_EMPTY, 0.5 / now.sum()))
    q = np.maximum(before[used] / before.sum(), max(_EMPTY, 0.5 / before.sum()))
    return float(((p - q) * np.log(p / q)).sum()), int(used.sum())


def _chance(bins: int, rows: float, rows_before: float, confidence: float) -> float:
    """Return the PSI two samples of one population stay below with this confidence.

    Chi-squared with one degree of freedom less than bins, times (1/n + 1/m); its quantile after Wilson and Hilferty.
    """
    degrees = max(bins - 1, 1)
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + NormalDist().inv_cdf(confidence) * math.sqrt(spread)) ** 3
    return quantile * (1 / rows + 1 / rows_before)


def changes(found: Mapping[str, Drift], policy: Policy) -> list[Reason]:
    """Return what changed enough to count: new values first, then drifted columns, the largest PSI first.

    A column with a new value that counts has drifted by that alone; it is named once.
    """
    reasons = [reason for name, one in found.items() if (reason := _new_category(name, one, policy))]
    named = {reason.about for reason in reasons}
    others = sorted(
        (name for name in found if name not in named and _counts(found[name], policy)),
        key=lambda name: -found[name].psi,
    )
    return reasons + [
        Reason(Code.DRIFT, _told(name, found[name], policy), name, found[name].psi, _bound(found[name], policy))
        for name in others
    ]


def _new_category(name: str, one: Drift, policy: Policy) -> Reason | None:
    counting = [new for new in one.new_values if new_value_counts(new.share, new.rows, policy)]
    if not counting:
        return None
    most = ", ".join(f"{shown(new.value)} {new.share:.1%}" for new in counting[:_NAMED])
    values = "a value" if one.new_distinct == 1 else f"{one.new_distinct:,} values"
    sentence = (
        f"{name} has {values} never seen before, on {one.new_rows:,} rows: {most}"
        f"{' and others' if one.new_distinct > len(counting[:_NAMED]) else ''}; from "
        f"{new_value_limits(policy)} it counts"
    )
    return _of_new_values(Code.NEW_CATEGORY, sentence, name, counting[0], policy)


def new_value_limits(policy: Policy) -> str:
    """Return from where a value never seen counts, in words; both limits have to be reached."""
    return f"{policy.new_category_share:.1%} of the rows and {policy.new_category_rows} rows"


def _of_new_values(code: Code, sentence: str, name: str, most: NewValue, policy: Policy) -> Reason:
    """Return a reason with the share of the most frequent value: each is held against the limits by itself."""
    return Reason(code, sentence, name, most.share, policy.new_category_share, policy.new_category_rows)


def too_few(found: Mapping[str, Drift], policy: Policy) -> list[Reason]:
    """Return the columns whose new values are few enough to be named, and on too few rows to count."""
    return [
        _of_new_values(Code.NEW_VALUES_TOO_FEW, _few(name, one, policy), name, one.new_values[0], policy)
        for name, one in found.items()
        if 0 < one.new_distinct <= _NAMED and _new_category(name, one, policy) is None
    ]


def _few(name: str, one: Drift, policy: Policy) -> str:
    values = ", ".join(f"{shown(new.value)} on {new.rows:,}" for new in one.new_values)
    return (
        f"{name} has {'a value' if one.new_distinct == 1 else 'values'} never seen before on too few of the rows to "
        f"count, from {new_value_limits(policy)}: {values}"
    )


def no_numeric_drift(found: Mapping[str, Drift], policy: Policy) -> Reason | None:
    """Return that no number changed, with the one nearest to its bound; None when one did, or none was measured.

    Columns with more values missing, or in fewer bins, have bounds of their own.
    """
    numeric = {name: found[name] for name in MEASURED if name != DATE and name in found}
    if not numeric or any(_counts(one, policy) for one in numeric.values()):
        return None
    nearest = max(numeric, key=lambda name: numeric[name].psi - _bound(numeric[name], policy))
    one = numeric[nearest]
    bound = _bound(one, policy)
    sentence = (
        f"no numeric column drifted: nearest to its bound is {nearest}, with a PSI of {one.psi:.3f} where {bound:.3f} "
        f"counts ({_added(one, policy)})"
    )
    return Reason(Code.NO_NUMERIC_DRIFT, sentence, nearest, one.psi, bound)


def _counts(one: Drift, policy: Policy) -> bool:
    return drifted(one.psi, one.chance, policy)


def _bound(one: Drift, policy: Policy) -> float:
    return drift_bound(one.chance, policy)


def _added(one: Drift, policy: Policy) -> str:
    return f"{policy.psi:g} and the {one.chance:.3f} that chance gives"


def _told(name: str, one: Drift, policy: Policy) -> str:
    told = (
        f"{name} has changed: PSI {one.psi:.3f} over {one.bins} bins, {_bound(one, policy):.3f} counts "
        f"({_added(one, policy)})"
    )
    if one.median is None or one.median_before is None or one.span is None:
        return told
    told += f"; its median is {_written(name, one.median)} and was {_written(name, one.median_before)}"
    if one.inside == 0:
        told += f", and none of its values lies in the range there was: {_span(name, one.span)}"
    elif name == DATE:
        told += f"; values are from {_span(name, one.span)}"
    return told


def _span(name: str, span: tuple[float, float]) -> str:
    return f"{_written(name, span[0])} to {_written(name, span[1])}"


def _written(name: str, value: float) -> str:
    if name == DATE:
        return dt.date.fromordinal(int(value)).isoformat()
    return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.4g}"
