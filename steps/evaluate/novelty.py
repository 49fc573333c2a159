"""Which houses are outside anything the champion was trained on, told from the listing itself.

Not from the model's input: there an unseen value has taken the mean of a wider place and looks like any other. A state
or kind of sale never met is outside. New zip codes, cities and brokers turn up every day, in the test rows the champion
has always been judged on too; they are outside only where they come many times as often as there. So are numbers beyond
the range trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import NUMBERS, Columns
from steps.common.explanation import Novelty
from steps.common.features import Encodings

# So many times as likely now as before: such houses are not compared with the few before, but counted as outside.
# In the words of Crump et al. (2009), of two draws of one size the propensity of common ground is below 0.95.
MOST_RATIO: Final = 20.0
_FEW_VALUES: Final = ("state", "status")
_NAMED: Final = 5

Mask = NDArray[np.bool_]
Ranges = Mapping[str, tuple[float, float]]


def ranges(train: Columns) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest of every number in some listings, in its own unit, unless it is never given."""
    found = {}
    for name in NUMBERS:
        known = train.numbers[name][~np.isnan(train.numbers[name])]
        if len(known):
            found[name] = (float(known.min()), float(known.max()))
    return found


def outside(columns: Columns, new: Mask, encodings: Encodings, known: Ranges) -> tuple[Mask, tuple[Novelty, ...]]:
    """Return which rows, new or not, are outside the champion's experience, and by what, the most frequent first."""
    total = np.zeros(len(columns), np.bool_)
    found: list[Novelty] = []
    for field, mask in encodings.unseen_rows(columns).items():
        if field in _FEW_VALUES or _far_more_often(mask, new):
            total |= mask
            found += _values(columns, field, mask, new) if field in _FEW_VALUES else [_novelty(field, mask, new)]
    for field, mask in _beyond(columns, known):
        if _far_more_often(mask, new):
            total |= mask
            low, high = known[field]
            found.append(_novelty(field, mask, new).model_copy(update={"low": low, "high": high}))
    return total, tuple(sorted((one for one in found if one.rows), key=lambda one: -one.rows))


def _far_more_often(mask: Mask, new: Mask) -> bool:
    # One more than were seen before: that there was none among a hundred does not say that there are none.
    before = (int(np.sum(mask & ~new)) + 1) / (int(np.sum(~new)) + 1)
    return int(np.sum(mask & new)) / max(1, int(np.sum(new))) > MOST_RATIO * before


def _beyond(columns: Columns, known: Ranges) -> Iterator[tuple[str, Mask]]:
    for name, (low, high) in known.items():
        numbers = columns.numbers[name]
        # A missing number compares as neither.
        yield name, (numbers < low) | (numbers > high)


def _values(columns: Columns, field: str, mask: Mask, new: Mask) -> list[Novelty]:
    category = columns.categories[field]
    counts = category.take(mask & new).counts()
    named = sorted(counts, key=lambda value: (-counts[value], value))[:_NAMED]
    return [_novelty(field, mask & (category.codes == category.values.index(value)), new, value) for value in named]


def _novelty(field: str, mask: Mask, new: Mask, value: str | None = None) -> Novelty:
    rows = int(np.sum(mask & new))
    share = rows / max(1, int(np.sum(new)))
    return Novelty(field=field, value=value, rows=rows, share=share, rows_before=int(np.sum(mask & ~new)))
