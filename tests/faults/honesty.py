"""How honest the gate is: how often it promotes a model that is no better, and how often it finds one that is.

Each round draws two trainings and a test part of its own from one known market. A candidate that is *no better* is one
retrained on an independent redraw. One that is truly better by a share stands against a champion whose log prices are
moved towards those of a model of few houses until its expected error, on a test part no round ever sees, is that much
higher. Evidence and verdict come from the functions the steps use. The peer is the literal rule: lower RMSE wins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Any, Final

import numpy as np

from steps.common import booster
from steps.common.booster import Fitted
from steps.common.columns import Floats
from steps.common.store.clean import Listings
from steps.evaluate import noise
from steps.evaluate.scores import Scored, rows_digest
from steps.promote.policy import Policy
from steps.promote.promote import PROMOTE, decide
from tests.steps.evaluate import houses

# Rounds at each number of test rows: fewer where a round takes long.
ROUNDS: Final = {5_000: 200, 20_000: 120, 80_000: 60}
BETTER: Final = (0.0, 0.01, 0.02, 0.05)
TRAIN_ROWS: Final = 30_000
FEW_ROWS: Final = 1_000
# The rows on which what is *truly* better is known; their own error is a tenth of the least share.
KNOWN_ROWS: Final = 200_000
_FARTHEST: Final = 4.0
_BISECTIONS: Final = 30
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Rate:
    """How often a candidate that is truly better by a share was promoted on so many test rows, by gate and by peer."""

    rows: int
    better: float
    rounds: int
    promoted: int
    literally: int
    smallest_detectable: float

    def interval(self, count: int) -> tuple[float, float]:
        """Return Wilson's 95 % interval of a count of the rounds."""
        reach = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
        share, n = count / self.rounds, self.rounds
        middle = (share + reach**2 / (2 * n)) / (1 + reach**2 / n)
        half = reach / (1 + reach**2 / n) * math.sqrt(share * (1 - share) / n + reach**2 / (4 * n**2))
        # At none and at all of the rounds the interval ends there, but for the last digits.
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class _Round:
    """Two models of equal trainings, and the model of few houses that makes one of them worse."""

    champion: Fitted
    candidate: Fitted
    few: Fitted

    def shares(self, known: Listings, better: Sequence[float]) -> dict[float, float]:
        """Return how far the champion has to be moved for the candidate to be truly better by each share."""
        away = self._away(known)
        error = _rmse(booster.prices(self.candidate, known.columns), known)
        return {share: _share_for(away, known, error / (1 - share)) if share else 0.0 for share in better}

    def spoilt(self, rows: Listings, share: float) -> Floats:
        """Return the champion's prices, its logs moved that far towards those of the model of few houses."""
        return _moved(self._away(rows), share)

    def _away(self, rows: Listings) -> tuple[Floats, Floats]:
        champion, few = (np.log(booster.prices(fitted, rows.columns)) for fitted in (self.champion, self.few))
        return champion, few - champion


def _moved(away: tuple[Floats, Floats], share: float) -> Floats:
    return np.asarray(np.exp(away[0] + share * away[1]), np.float64)


def _share_for(away: tuple[Floats, Floats], known: Listings, wanted: float) -> float:
    """Return by bisection how far to move a model for its error to be the wanted one."""
    low, high = 0.0, _FARTHEST
    assert _rmse(_moved(away, high), known) > wanted, "the model of few houses is not bad enough"
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _rmse(_moved(away, middle), known) < wanted else (low, middle)
    return high


def measure(rounds: dict[int, int], better: Sequence[float] = BETTER, seed: int = 0) -> Iterator[Rate]:
    """Yield the rates for each number of test rows, in the order given."""
    known = houses.draw(KNOWN_ROWS, seed + 1)
    floor = _noise_floor(seed + 2)
    for rows, count in rounds.items():
        verdicts: dict[float, list[tuple[bool, bool, float]]] = {share: [] for share in better}
        for number in range(count):
            trained = _trained(seed + 1000 * (number + 1))
            test = houses.draw(rows, seed + 7_000_000 + 1000 * rows + number)
            for share, moved in trained.shares(known, better).items():
                verdicts[share].append(_decided(trained, test, moved, floor))
        for share, found in verdicts.items():
            promoted, literally, smallest = zip(*found, strict=True)
            yield Rate(rows, share, count, sum(promoted), sum(literally), median(smallest))


def _trained(seed: int) -> _Round:
    """Return models of independent draws; no two rounds share a house."""
    drawn = (houses.draw(rows, seed + part) for part, rows in enumerate((TRAIN_ROWS, TRAIN_ROWS, FEW_ROWS)))
    return _Round(*map(houses.fit, drawn))


def _noise_floor(seed: int) -> float:
    train, test = houses.train_part(houses.draw(TRAIN_ROWS, seed)), houses.draw(TRAIN_ROWS, seed + 1)
    return noise.measure(train, test, houses.PARAMETERS, houses.TREES, "honesty", 1).share


def _decided(trained: _Round, test: Listings, moved: float, floor: float) -> tuple[bool, bool, float]:
    """Return whether the gate and the literal rule promote, and the smallest gain the gate says it could have seen."""
    digest = rows_digest(test)
    candidate = Scored(2, digest, booster.prices(trained.candidate, test.columns))
    found: Any = houses.compared(test, candidate, Scored(1, digest, trained.spoilt(test, moved)), noise=floor)
    verdict = decide(found, Policy())
    literal = decide(found, Policy(confidence=0))
    smallest = verdict.report["smallest_detectable"] / verdict.report["champion_rmse"]
    return verdict.verdict == PROMOTE, literal.verdict == PROMOTE, smallest


def _rmse(prices: Floats, rows: Listings) -> float:
    return float(np.sqrt(np.mean((prices - rows.price) ** 2)))
