"""Where a gain comes from: four fits, of which those that are the same are one, and two parts that add up."""

from functools import cache

import numpy as np
import pytest

from steps.common.explanation import GainSplit
from steps.evaluate import refits
from steps.evaluate.refits import sample, split
from tests.steps.evaluate.houses import STATES, TREES, draw, together
from tests.steps.evaluate.planted import card, given

BOTH = together(draw(5000, 1, states=STATES[:3]), draw(5000, 2, batch=1, states=STATES[3:]))
WEAK = {"trees": 12}


@cache
def found(old: tuple[int, ...], new: tuple[int, ...], *, tuned: bool) -> GainSplit:
    of = given(BOTH, card(*old, **WEAK), card(*new, **({} if tuned else WEAK)))
    return split(sample(of.train, 1), of.rows, of.champion, of.candidate, of.noise)


def test_new_parameters_on_the_same_data_have_all_of_the_gain() -> None:
    one = found((0, 1), (0, 1), tuned=True)
    assert (one.same_data, one.same_parameters) == (True, False)
    assert (one.data.point, one.data.low, one.data.high, one.data_real) == (0, 0, 0, False)
    assert one.parameters.model_dump() == pytest.approx(one.sample_gain.model_dump())
    assert one.parameters_real


def test_new_data_under_the_same_parameters_has_all_of_the_gain() -> None:
    one = found((0,), (0, 1), tuned=False)
    assert (one.same_data, one.same_parameters) == (False, True)
    assert (one.parameters.point, one.parameters_real) == (0, False)
    assert one.data.model_dump() == pytest.approx(one.sample_gain.model_dump())
    assert one.data_real


def test_both_parts_add_up_and_are_the_means_of_either_order() -> None:
    one = found((0,), (0, 1), tuned=True)
    rmse = {(fit.parameters, fit.data): fit.rmse for fit in one.fits}
    assert one.data.point + one.parameters.point == pytest.approx(one.sample_gain.point)
    assert one.gain == pytest.approx(one.sample_gain.point + one.beyond_sample)
    first = rmse["champion", "champion"] - rmse["champion", "candidate"]
    after = rmse["candidate", "champion"] - rmse["candidate", "candidate"]
    assert one.data.point == pytest.approx((first + after) / 2)
    assert one.data.low < one.data.point < one.data.high


def test_where_all_rows_are_in_the_sample_the_fits_are_the_versions_themselves() -> None:
    assert found((0,), (0, 1), tuned=True).beyond_sample == pytest.approx(0, abs=0.1)


def test_what_is_less_than_luck_is_not_real() -> None:
    of = given(BOTH, card(0, 1), card(0, 1, trees=TREES + 1))
    one = split(sample(of.train, 1), of.rows, of.champion, of.candidate, 0.05)
    assert not one.parameters_real
    assert one.luck == pytest.approx(0.1 * min(fit.rmse for fit in one.fits))


def test_a_sample_is_of_whole_houses_the_same_ones_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw(4000, 3, twins=True)
    monkeypatch.setattr(refits, "SAMPLE_ROWS", 1000)
    some = sample(rows, 1).train
    assert len(some) == pytest.approx(1000, abs=4)
    assert np.isin(rows.property_id, some.property_id).sum() == len(some)
    assert np.array_equal(some.row_number, sample(rows, 1).train.row_number)
    one, other = (sample(rows, 1).half(number).train.property_id for number in (0, 1))
    assert not np.intersect1d(one, other).size
    assert len(one) + len(other) == len(some)
