"""The causes of a change of the champion's error: planted ones are found, in size; where nothing changed, none is."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.explanation import ErrorChange
from steps.evaluate import shift
from tests.steps.evaluate.houses import STATES
from tests.steps.evaluate.planted import Planted

NOTHING = Planted()
TEN_TIMES = Planted(rows_before=2000, rows_now=20_000)
A_TENTH = Planted(rows_before=20_000, rows_now=2000)
# Squared errors have heavy tails: re-weighted, these 24,000 count as 13,000 and give the term to 9 %.
LARGER = Planted(now={"larger": 0.3}, rows_before=24_000, rows_now=8000)
DEARER = Planted(now={"dearer": 1.1}, rows_before=12_000, rows_now=12_000)
ELSEWHERE = Planted(before={"states": STATES[:3]}, now={"states": STATES[3:]})
PARTLY_ELSEWHERE = Planted(before={"states": STATES[:3]}, now={"states": STATES})


@cache
def found(planted: str, seed: int) -> ErrorChange:
    of: Planted = globals()[planted]
    return of.change(seed)


def terms(change: ErrorChange) -> dict[str, float]:
    return {term.name: term.mean_squared.point for term in change.terms}


@pytest.mark.parametrize("planted", ["NOTHING", "TEN_TIMES", "A_TENTH"])
@pytest.mark.parametrize("seed", range(2))
def test_of_an_independent_redraw_nothing_is_called_real(planted: str, seed: int) -> None:
    change = found(planted, seed)
    assert [term.name for term in change.terms if term.real] == []
    assert not change.real
    assert change.outside_share < 0.002


@pytest.mark.parametrize(
    ("planted", "cause"),
    [("LARGER", "houses"), ("DEARER", "prices"), ("ELSEWHERE", "outside"), ("PARTLY_ELSEWHERE", "outside")],
)
@pytest.mark.parametrize("seed", range(2))
def test_a_planted_cause_is_the_largest_term_and_of_its_true_size(planted: str, cause: str, seed: int) -> None:
    change, of = found(planted, seed), globals()[planted]
    assert (change.largest.name, change.largest.real) == (cause, True)
    assert change.largest.mean_squared.point == pytest.approx(of.truth(), rel=0.2)
    others = [abs(size) for name, size in terms(change).items() if name != cause]
    assert max(others, default=0) < 0.25 * abs(change.largest.mean_squared.point)


@pytest.mark.parametrize("planted", ["NOTHING", "LARGER", "DEARER", "ELSEWHERE", "PARTLY_ELSEWHERE"])
def test_the_terms_add_up_to_the_change(planted: str) -> None:
    change = found(planted, 0)
    assert sum(terms(change).values()) == pytest.approx(change.new_rmse**2 - change.before_rmse**2)
    assert sum(term.rmse.point for term in change.terms) == pytest.approx(change.new_rmse - change.before_rmse)
    assert change.mean_squared.point == pytest.approx(change.new_rmse**2 - change.before_rmse**2)


sums = st.lists(st.floats(0.01, 1e12), min_size=8, max_size=8)


@settings(max_examples=200)
@given(sums, st.floats(-1e12, 1e12))
def test_they_add_up_in_every_replicate(drawn: list[float], missed: float) -> None:
    means = shift._means(np.array([*drawn, missed])[:, np.newaxis])
    whole = means.new - means.before
    scale = float(np.abs([means.new, means.before, means.expected, means.common]).max())
    assert means.outside + means.common == pytest.approx(whole, abs=1e-9 * scale)
    assert means.outside + means.expected + (means.common - means.expected) == pytest.approx(whole, abs=1e-9 * scale)


def test_prices_are_told_from_what_the_champion_says() -> None:
    factors = {one.of: one.factor for one in found("DEARER", 0).factors}
    assert factors["common"] / factors["before"] == pytest.approx(1.1, rel=0.02)


def test_a_new_state_is_named_with_its_share() -> None:
    change = found("PARTLY_ELSEWHERE", 0)
    assert (change.novelties[0].field, change.novelties[0].value) == ("state", STATES[3])
    assert change.outside_share == pytest.approx(0.25, abs=0.02)
    assert change.novelties[0].share == pytest.approx(change.outside_share, abs=0.01)


def test_what_lies_wholly_outside_is_not_weighed() -> None:
    change = found("ELSEWHERE", 0)
    assert [term.name for term in change.terms] == ["outside"]
    assert (change.common_properties, change.effective_properties, change.outside_share) == (0, 0, 1)


def test_of_too_few_houses_nothing_is_told_apart() -> None:
    change = Planted(now={"dearer": 1.2}, rows_now=400).change(0)
    assert [term.name for term in change.terms] == ["outside", "houses_or_prices"]
    assert (change.common_properties, change.needed_properties) == (400, 500)
    assert change.terms[1].real


def test_a_handful_of_houses_outside_is_no_cause() -> None:
    change = Planted(before={"states": STATES[:3]}, now={"states": STATES[:3] * 60 + STATES[3:]}).change(0)
    outside = next(term for term in change.terms if term.name == "outside")
    assert 1 <= change.outside_rows < 60
    assert change.few_outside == (change.outside_rows < 30)
    assert [(one.field, one.value) for one in change.novelties] == [("state", STATES[3])]
    assert outside.mean_squared.point > 0


def test_houses_like_each_other_count_for_themselves_and_twins_for_one() -> None:
    change = found("NOTHING", 0)
    assert change.effective_properties == pytest.approx(NOTHING.rows_before, rel=0.02)
    twins = Planted(before={"twins": True}).change(0)
    assert twins.effective_properties == pytest.approx(NOTHING.rows_before / 2, rel=0.05)


def test_the_same_rows_give_the_same_terms() -> None:
    assert NOTHING.change(0) == found("NOTHING", 0)
