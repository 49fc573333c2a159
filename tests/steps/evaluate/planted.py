"""Batches with a planted cause, a champion that meets them, and what its error truly changes by under the generator."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from steps.common.bundle import Bundle
from steps.common.explanation import ErrorChange
from steps.common.store.clean import Listings
from steps.evaluate import novelty, shift
from steps.evaluate.contenders import Contender
from steps.evaluate.explain import Given
from steps.evaluate.scores import score
from steps.evaluate.sides import sides
from tests.steps.evaluate import houses
from tests.steps.evaluate.houses import PARAMETERS, TREES, draw, together

_TRAIN_ROWS = 16_000
_TRUTH_ROWS = 200_000


@dataclass(frozen=True)
class Planted:
    """The market before and now, as changes of `houses.draw`, and how many test rows there are of either."""

    before: dict[str, Any] = field(default_factory=dict)
    now: dict[str, Any] = field(default_factory=dict)
    rows_before: int = 6000
    rows_now: int = 6000

    def change(self, seed: int) -> ErrorChange:
        """Return what is said of the change of a champion's error, for test rows of one seed."""
        train, model = _champion(tuple(self.before.items()))
        rows = together(
            draw(self.rows_before, 2 * seed, **self.before), draw(self.rows_now, 2 * seed + 1, batch=1, **self.now)
        )
        champion = Contender(1, model, score(1, rows, model.prices))
        return shift.decompose(rows, sides(rows, (0, 1), (0,), 1), champion, novelty.ranges(train.columns))

    def truth(self) -> float:
        """Return the expected change of the champion's mean squared error under the generator."""
        _, model = _champion(tuple(self.before.items()))
        return _mean_squared(model, self.now) - _mean_squared(model, self.before)


@cache
def _champion(before: tuple[tuple[str, Any], ...]) -> tuple[Listings, Bundle]:
    train = draw(_TRAIN_ROWS, 999, **dict(before))
    return train, bundle_of(train)


def bundle_of(train: Listings, seed: int = 1) -> Bundle:
    """Return a model of all of some rows, as it is used."""
    fitted = houses.fit_all(train, seed)
    return Bundle(fitted.booster, fitted.encodings, (), card(0))


def card(*batches: int, **changes: Any) -> dict[str, Any]:
    """Return what a version trained on some batches says of itself."""
    return {"batches": list(batches), "parameters": dict(PARAMETERS), "trees": TREES, "seed": 1, **changes}


def _mean_squared(model: Bundle, market: dict[str, Any]) -> float:
    rows = draw(_TRUTH_ROWS, 998, **market)
    return float(np.mean((model.prices(rows.columns) - rows.price) ** 2))


def given(everything: Listings, champion: dict[str, Any], candidate: dict[str, Any], batch: int = 1) -> Given:
    """Return what is to be explained of two versions, fitted as their cards say on the train part of some rows."""
    test = houses.held_out(everything)
    both = {
        "champion": _contender(1, everything, test, champion),
        "candidate": _contender(2, everything, test, candidate),
    }
    shown = test.take(np.arange(min(300, len(test))))
    return Given(
        rows=test, train=houses.train_part(everything), batches=tuple(candidate["batches"]), batch=batch, **both,
        shown=shown, noise=0.002, threads=1,
        contributions={
            part: one.bundle.contributions(shown.columns).astype(np.float64) for part, one in both.items()
        },
    )  # fmt: skip


def _contender(version: int, everything: Listings, test: Listings, of: dict[str, Any]) -> Contender:
    train = houses.train_part(everything)
    some = train.take(np.isin(train.batch_number, of["batches"]))
    fitted = houses.fit_all(some, int(of["seed"]), of["parameters"], int(of["trees"]))
    model = Bundle(fitted.booster, fitted.encodings, (), of)
    return Contender(version, model, score(version, test, model.prices))
