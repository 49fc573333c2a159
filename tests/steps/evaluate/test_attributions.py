"""What moves prices: a part that grew stands out, the same model twice and luck do not."""

import numpy as np
import pytest

from steps.common.features import FEATURES
from steps.evaluate.attributions import compare, luck
from tests.steps.evaluate.houses import draw

ROWS = draw(500, 1)
NONE = np.zeros(len(FEATURES))


def contributions(seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(0, 0.1, (len(ROWS), len(FEATURES)))


def test_the_same_model_twice_differs_in_nothing() -> None:
    found = compare(ROWS, contributions(), contributions(), NONE)
    assert [one.change.point for one in found.features] == [0] * len(FEATURES)
    assert not any(one.stands_out for one in found.features)


def test_a_feature_that_moves_prices_more_stands_out_and_first() -> None:
    grown = contributions()
    grown[:, 3] *= 2
    found = compare(ROWS, contributions(), grown, NONE)
    assert [one.feature for one in found.features if one.stands_out] == [FEATURES[3]]
    first = found.features[0]
    assert first.feature == FEATURES[3]
    assert first.candidate == pytest.approx(2 * first.champion)
    assert first.champion == pytest.approx(np.abs(contributions()[:, 3]).mean())
    assert first.change.low < first.change.point < first.change.high


def test_a_change_that_luck_explains_does_not_stand_out() -> None:
    grown = contributions()
    grown[:, 3] *= 1.5
    size = compare(ROWS, contributions(), grown, NONE).features[0].change.point
    assert not compare(ROWS, contributions(), grown, NONE + size).features[0].stands_out
    assert compare(ROWS, contributions(), grown, NONE + 0.9 * size).features[0].stands_out


def test_other_draws_of_one_kind_do_not_stand_out() -> None:
    outs = [
        one.feature
        for seed in range(10)
        for one in compare(ROWS, contributions(2 * seed), contributions(2 * seed + 1), NONE).features
        if one.stands_out
    ]
    assert len(outs) <= 2


def test_a_features_luck_is_its_own_difference_or_what_is_usual_among_all() -> None:
    one, other = np.full(len(FEATURES), 1.0), np.full(len(FEATURES), 1.0)
    other[0] = 1.4
    found = luck((one, other))
    assert found[0] == pytest.approx(2 * 0.4)
    assert found[1] == pytest.approx(2 * (0.4 / 1.2) / np.sqrt(len(FEATURES)))
    assert np.array_equal(luck((one, one)), NONE)
