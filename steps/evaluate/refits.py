"""Where the gain comes from, the new data or the new parameters: four fits that differ in nothing else.

All four are on a sample of the same houses, so that the old data is to the new what it is in full, and on one seed.
Either factor's part is the mean of what it brings before the other has changed and after (the Shapley value of two
factors), so that the order in which they are told does not matter and nothing is left over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from steps.common import booster
from steps.common.booster import Fitted
from steps.common.columns import Floats
from steps.common.explanation import Fit, GainSplit, Part
from steps.common.store.clean import Listings
from steps.evaluate.contenders import Contender
from steps.evaluate.estimates import CONFIDENCE, Totals, estimate, refuse_no_numbers, resample

SAMPLE_ROWS: Final = 100_000
# As many standard deviations of the luck of training as promote asks a gain to be above.
_LUCK: Final = 2.0
_SEED: Final = 20_232
_PARTS: Final[tuple[Part, ...]] = ("champion", "candidate")


@dataclass(frozen=True)
class Sampled:
    """What is fitted on: all listings of the sampled houses, and how fits are done."""

    train: Listings
    threads: int

    def fit(self, card: Mapping[str, Any], batches: tuple[int, ...], seed: int) -> tuple[Fitted, int]:
        """Return a fit with a version's parameters on some batches, and of how many rows it is."""
        some = self.train.take(np.isin(self.train.batch_number, batches))
        parameters, trees = card["parameters"], int(card["trees"])
        return booster.fit(some.columns, some.price, some.bucket, parameters, trees, self.threads, seed), len(some)

    def half(self, number: int) -> Sampled:
        """Return either half of the sampled houses, 0 or 1, put there by lot."""
        return Sampled(self.train.take(_by_lot(self.train) % 2 == number), self.threads)


def sample(train: Listings, threads: int) -> Sampled:
    """Return the listings of as many houses as make 100,000 rows, the same ones each time; all if there are fewer."""
    share = min(1.0, SAMPLE_ROWS / max(1, len(train)))
    lot = _by_lot(train)
    return Sampled(train.take(lot < share * (int(lot.max(initial=0)) + 1)), threads)


def _by_lot(rows: Listings) -> Any:
    """Return for each row the place of its house in an order drawn by lot."""
    houses, place = np.unique(rows.property_id, return_inverse=True)
    return np.random.default_rng(_SEED).permutation(len(houses))[place]


def split(sampled: Sampled, rows: Listings, champion: Contender, candidate: Contender, noise: float) -> GainSplit:
    """Return the gain in RMSE on some test rows split into data and parameters.

    `noise` is the noise floor as a share of RMSE. Raises NotMeasurable when an error is not a number.
    """
    refuse_no_numbers(champion.scored.prices, candidate.scored.prices)
    of = dict(zip(_PARTS, (champion, candidate), strict=True))
    fits, squared = _fits(sampled, rows, of)
    totals = resample(rows, [np.ones(len(rows)), *squared.values()])
    rmse = {key: _root_mean(totals, column) for column, key in enumerate(squared, 1)}
    old, data, parameters, new = (rmse[key] for key in product(_PARTS, _PARTS))
    parts = {
        "sample_gain": old - new,
        "data": (old - data + parameters - new) / 2,
        "parameters": (old - parameters + data - new) / 2,
    }
    found = {name: estimate(values[0], values[1:]) for name, values in parts.items()}
    gain = _rmse(champion, rows) - _rmse(candidate, rows)
    luck = _LUCK * noise * float(min(old[0], new[0]))
    return GainSplit(
        confidence=CONFIDENCE,
        fits=fits,
        test_rows=len(rows),
        gain=gain,
        **found,
        beyond_sample=gain - found["sample_gain"].point,
        luck=luck,
        data_real=found["data"].beyond(luck),
        parameters_real=found["parameters"].beyond(luck),
        same_data=champion.batches == candidate.batches,
        same_parameters=_told(champion) == _told(candidate),
    )


def _fits(
    sampled: Sampled, rows: Listings, of: Mapping[Part, Contender]
) -> tuple[tuple[Fit, ...], dict[tuple[Part, Part], Floats]]:
    """Return the four fits and the squared errors of each; those that would be the same are fitted once."""
    known: dict[tuple[str, tuple[int, ...]], tuple[int, Floats]] = {}
    fits, squared = [], {}
    seed = int(of["candidate"].card["seed"])
    for parameters, data in product(_PARTS, _PARTS):
        card, batches = of[parameters].card, of[data].batches
        key = (_told(of[parameters]), batches)
        if key not in known:
            fitted, count = sampled.fit(card, batches, seed)
            known[key] = count, (booster.prices(fitted, rows.columns) - rows.price) ** 2
        count, squared[parameters, data] = known[key]
        error = float(np.sqrt(squared[parameters, data].mean()))
        fits.append(Fit(parameters=parameters, data=data, batches=batches, rows=count, rmse=error))
    return tuple(fits), squared


def _told(one: Contender) -> str:
    return json.dumps([dict(one.card["parameters"]), int(one.card["trees"])], sort_keys=True)


def _root_mean(totals: Totals, column: int) -> Floats:
    with np.errstate(all="ignore"):
        squares = np.append(totals.point[column], totals.replicates[column])
        found: Floats = np.sqrt(squares / np.append(totals.point[0], totals.replicates[0]))
        return found


def _rmse(one: Contender, rows: Listings) -> float:
    return float(np.sqrt(np.mean((one.scored.prices - rows.price) ** 2)))
