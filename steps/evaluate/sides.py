"""Which test rows are new to the champion, and which are of batches it was trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steps.common.explanation import Side
from steps.common.store.clean import Listings

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sides:
    """The test rows, cut in two by batch; `retrained` where the champion was trained on the new batch as well."""

    before: Mask
    new: Mask
    batches_before: tuple[int, ...]
    batches_new: tuple[int, ...]
    retrained: bool

    def described(self, rows: Listings) -> tuple[Side, Side]:
        """Return either side as it stands in the explanation."""
        return _side(rows, self.before, self.batches_before), _side(rows, self.new, self.batches_new)


def _side(rows: Listings, mask: Mask, batches: tuple[int, ...]) -> Side:
    count, houses = int(mask.sum()), len(np.unique(rows.property_id[mask]))
    return Side(batches=batches, rows=count, properties=houses)


def sides(rows: Listings, batches: Sequence[int], known: Collection[int], batch: int) -> Sides:
    """Return the test rows of batches the champion was trained on, and of the others.

    `known` are the champion's batches; batches that were skipped are new too. Where it was trained on all of them, as
    when somebody has it trained again, the run's own batch stands against the rest.
    """
    unknown = tuple(number for number in batches if number not in known)
    new = unknown or (batch,)
    before = tuple(number for number in batches if number not in new)
    masks = (np.isin(rows.batch_number, before), np.isin(rows.batch_number, new))
    return Sides(*masks, before, new, retrained=not unknown)
