"""The noise floor: a share that follows from the luck of training, and when one measured before will do."""

from functools import cache

import numpy as np
import pytest

from steps.common.evidence import NoiseFloor
from steps.common.listing import SCOPE_VERSION
from steps.evaluate import noise
from steps.evaluate.noise import SEEDS, NoiseNotMeasurable, measure, reusable
from tests.steps.evaluate.houses import PARAMETERS, draw, held_out, train_part


@cache
def floor_of(rows: int) -> NoiseFloor:
    houses = draw(rows, 3)
    return measure(train_part(houses), held_out(draw(4000, 4)), PARAMETERS, 30, "space", 1)


def test_the_luck_of_training_is_seen_though_the_fit_itself_uses_none() -> None:
    floor = floor_of(6_000)
    assert floor.seeds == SEEDS
    assert len(set(floor.rmse)) == len(SEEDS)
    assert 0 < floor.share < 0.1
    assert floor.share == pytest.approx(np.std(floor.rmse, ddof=1) / np.mean(floor.rmse))
    assert floor.rows == pytest.approx(6_000 * 0.8 / 2, rel=0.05)


def test_the_same_rows_give_the_same_floor() -> None:
    first = floor_of(1000)
    floor_of.cache_clear()
    assert floor_of(1000) == first


def test_no_more_rows_are_learnt_from_than_the_sample_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "SAMPLE_ROWS", 2000)
    floor_of.cache_clear()
    assert floor_of(6_000).rows == pytest.approx(1000, rel=0.1)
    floor_of.cache_clear()


def test_a_fit_without_an_error_is_no_floor() -> None:
    houses = draw(1000, 3)
    with pytest.raises(NoiseNotMeasurable, match="not a number"):
        measure(train_part(houses), houses.take(houses.bucket < 0), PARAMETERS, 5, "space", 1)


KNOWN = {
    "search_space": "space", "scope_version": SCOPE_VERSION, "rows": 1000, "seeds": [1, 2, 3], "rmse": [1.0, 2.0, 3.0],
    "share": 0.01,
}  # fmt: skip


@pytest.mark.parametrize(
    ("known", "rows", "reused"),
    [(KNOWN, 2000, True), (KNOWN, 8000, True), (KNOWN, 8001, False), (KNOWN, 10, True), (None, 2000, False),
     (KNOWN | {"search_space": "another"}, 2000, False), (KNOWN | {"scope_version": "scope_v0"}, 2000, False),
     (KNOWN | {"rows": 12_500}, 10**9, True)],
)  # fmt: skip
def test_a_floor_measured_before_is_reused_while_it_fits(known: object, rows: int, reused: bool) -> None:
    assert (reusable(known, "space", rows) is not None) == reused
