"""Champion and candidate on all houses, on the new ones and on those before: who is how wrong where."""

from __future__ import annotations

from typing import Final

import numpy as np

from steps.common.columns import Floats
from steps.common.explanation import Advantage, Cell, Estimate, Part, Rows, Table
from steps.common.store.clean import Listings
from steps.evaluate.estimates import CONFIDENCE, Totals, estimate, resample
from steps.evaluate.scores import Scored
from steps.evaluate.sides import Mask, Sides

_PARTS: Final[tuple[Part, ...]] = ("champion", "candidate")


def table(rows: Listings, sides: Sides, champion: Scored, candidate: Scored) -> Table:
    """Return both models' errors, paired, as far as there are rows; raises NotMeasurable for one that is no number."""
    cells: list[Cell] = []
    gains: list[Advantage] = []
    masks: dict[Rows, Mask] = {"all": sides.before | sides.new, "new": sides.new, "before": sides.before}
    for on, mask in masks.items():
        if not mask.any():
            continue
        some = rows.take(mask)
        errors = [one.prices[mask] - some.price for one in (champion, candidate)]
        totals = resample(some, [np.ones(len(some)), *(error**2 for error in errors), *map(np.abs, errors)])
        rmse = [np.sqrt(_mean(totals, 1 + place)) for place in (0, 1)]
        mae = [_mean(totals, 3 + place) for place in (0, 1)]
        for place, model in enumerate(_PARTS):
            cells.append(Cell(model=model, on=on, rmse=_estimate(rmse[place]), mae=_estimate(mae[place])))
        gains.append(
            Advantage(on=on, rows=len(some), rmse=_estimate(rmse[0] - rmse[1]), mae=_estimate(mae[0] - mae[1]))
        )
    return Table(confidence=CONFIDENCE, cells=tuple(cells), gains=tuple(gains))


def _mean(totals: Totals, column: int) -> Floats:
    """Return a mean over rows: of the rows as they are, then of every replicate."""
    return np.append(totals.point[column] / totals.point[0], totals.replicates[column] / totals.replicates[0])


def _estimate(values: Floats) -> Estimate:
    return estimate(values[0], values[1:])
