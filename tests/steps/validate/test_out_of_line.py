"""Prices with a digit too many are left out; what a whole state, or many houses, cost is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.common.columns import Category, Floats
from steps.validate.champion_error import Scored, compare, worse_here
from steps.validate.out_of_line import out_of_line
from steps.validate.policy import Policy

POLICY = Policy()
ROWS = 2000


def market(seed: int, spread: float = 0.25) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    said = rng.lognormal(12, 0.5, ROWS)
    return said * rng.lognormal(0, spread, ROWS), said


def in_states(*rows: int) -> Category:
    codes = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    return Category(codes, tuple(f"state {number}" for number in range(len(rows))))


@given(st.integers(0, 10**6), st.floats(0.2, 5), st.lists(st.integers(0, ROWS - 1), max_size=60, unique=True))
def test_digits_too_many_are_found_whatever_the_level_of_prices(seed: int, level: float, wrong: list[int]) -> None:
    price, said = market(seed, 0.1)
    price[wrong] *= 10
    found = out_of_line(price * level, said, in_states(ROWS), POLICY)
    assert np.flatnonzero(found).tolist() == sorted(wrong)


def test_a_state_at_its_own_level_is_in_line_and_a_single_house_is_not() -> None:
    price, said = market(1)
    price[:40] *= 8
    assert not out_of_line(price, said, in_states(40, ROWS - 40), POLICY).any()
    alone = out_of_line(price, said, in_states(20, 20, ROWS - 40), POLICY)
    assert alone[:40].mean() > 0.9
    assert not alone[40:].any()


@pytest.mark.parametrize(("share", "left_out"), [(0.04, True), (0.06, False)])
def test_many_of_them_are_what_houses_cost(share: float, left_out: bool) -> None:
    price, said = market(1)
    price[: int(share * ROWS)] *= 10
    assert out_of_line(price, said, in_states(ROWS), POLICY).any() == left_out


def test_nothing_and_no_state_break_nothing() -> None:
    none = Category(np.full(50, -1, np.int32), ())
    assert not out_of_line(np.full(50, 1e5), np.full(50, 1e5), none, POLICY).any()
    assert len(out_of_line(np.empty(0), np.empty(0), Category(np.empty(0, np.int32), ()), POLICY)) == 0


@pytest.mark.parametrize("factor", [1.0, 1.4])
def test_one_price_in_a_hundred_times_ten_changes_no_judgement(factor: float) -> None:
    houses = np.random.default_rng(0).integers(0, 2**62, ROWS)
    own = Scored(*market(2), houses, in_states(ROWS))
    price, said = market(3)
    clean = compare(4, Scored(price * factor, said, houses, in_states(ROWS)), own, POLICY)
    price[::100] *= 10
    slipped = compare(4, Scored(price * factor, said, houses, in_states(ROWS)), own, POLICY)
    assert clean is not None
    assert slipped is not None
    assert bool(worse_here(slipped, POLICY)) == bool(worse_here(clean, POLICY)) == (factor > 1)
    assert slipped.overall.ratio == pytest.approx(clean.overall.ratio, rel=0.02)
    assert slipped.out_of_line.rows == pytest.approx(ROWS / 100, abs=2)
    assert slipped.out_of_line.rmse_of_all > 2 * slipped.overall.rmse
