"""PSI against an implementation of its own, and what counts as a change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from steps.validate.drift import BINS, Drift, changes, drift, no_numeric_drift, too_few
from steps.validate.policy import Policy
from steps.validate.reason import Code
from tests.steps.batches import Row, changed, rows, times
from tests.steps.validate.judging import batch_of, reference_of

POLICY = Policy()
FEW = Policy(new_category_rows=1)


def psi_of(now: list[float], before: list[float]) -> float:
    """Return the PSI over ten quantile bins, written down once more and differently: from the rows themselves."""
    edges = sorted({float(np.quantile(before, share / 10, method="inverted_cdf")) for share in range(1, 10)})

    def shares(numbers: list[float]) -> list[float]:
        held = [0] * (len(edges) + 1)
        for number in numbers:
            held[sum(number >= edge for edge in edges)] += 1
        return [count / len(numbers) for count in held]

    total = 0.0
    for p, q in zip(shares(now), shares(before), strict=True):
        if p or q:
            held, was = max(p, 1e-4, 0.5 / len(now)), max(q, 1e-4, 0.5 / len(before))
            total += (held - was) * float(np.log(held / was))
    return total


def with_sizes(sizes: list[float]) -> list[Row]:
    house = rows(1)[0]
    return [{**house, "house_size": repr(size)} for size in sizes]


_sizes = st.lists(
    st.sampled_from([100.0, 800.0, 1200.0, 1200.5, 1500.0]) | st.floats(100, 50_000), min_size=1, max_size=60
)


@given(_sizes, _sizes)
@settings(max_examples=200)
def test_psi_is_that_of_another_implementation(now: list[float], before: list[float]) -> None:
    found = drift(batch_of(with_sizes(now)), reference_of(with_sizes(before)), POLICY)["house_size"]
    assert found.psi == pytest.approx(psi_of(now, before), abs=1e-9)


def test_the_same_rows_have_not_changed() -> None:
    some = rows(500)
    found = drift(batch_of(some), reference_of(some), POLICY)
    assert all(one.psi == pytest.approx(0) for one in found.values())
    assert all(one.new_distinct == 0 for one in found.values())
    assert changes(found, POLICY) == []


def test_rows_of_one_population_stay_below_what_chance_gives() -> None:
    above = {"house_size": 0, "acre_lot": 0, "state": 0}
    for seed in range(60):
        found = drift(batch_of(rows(150, seed=2 * seed)), reference_of(rows(400, seed=2 * seed + 1)), POLICY)
        for name in above:
            above[name] += found[name].psi > found[name].chance
        assert changes(found, POLICY) == []
    # One in a hundred is meant; more than four of sixty has a chance of 1 in 3,000.
    assert max(above.values()) <= 4


@pytest.mark.parametrize(("bins", "confidence"), [(2, 0.99), (5, 0.95), (BINS, 0.99)])
def test_chance_is_the_quantile_of_chi_squared(bins: int, confidence: float) -> None:
    from steps.validate.drift import _chance

    expected = stats.chi2.ppf(confidence, bins - 1) * (1 / 200 + 1 / 5000)
    assert _chance(bins, 200, 5000, confidence) == pytest.approx(expected, rel=0.02)


def test_a_disjoint_range_is_told() -> None:
    before = changed(rows(800), price=lambda text: repr(20_000 + float(text) / 10))
    now = changed(rows(800, seed=1), price=lambda text: repr(300_001 + float(text) / 10))
    found = drift(batch_of(now), reference_of(before), POLICY)
    assert found["price"].inside == 0
    assert found["price"].psi > 5
    (reason,) = [one for one in changes(found, POLICY) if one.about == "price"]
    assert reason.code is Code.DRIFT
    assert "none of its values lies in the range there was: 3" in reason.sentence
    assert no_numeric_drift(found, POLICY) is None


def test_missing_values_are_a_bin() -> None:
    found = drift(batch_of(rows(500, acre_lot=None)), reference_of(rows(500, seed=1)), POLICY)
    assert found["acre_lot"].psi > 5
    assert found["acre_lot"].median is None
    assert [one.about for one in changes(found, POLICY)] == ["acre_lot"]
    other_way = drift(batch_of(rows(500, seed=1)), reference_of(rows(500, acre_lot=None)), POLICY)
    assert other_way["acre_lot"].inside is None
    assert other_way["acre_lot"].psi > 5


def test_a_status_never_seen_is_named_and_no_numeric_drift_is_said() -> None:
    before, now = rows(900, status="for_sale"), rows(900, seed=1, status="Auctioned ")
    found = drift(batch_of(now), reference_of(before), POLICY)
    (reason,) = changes(found, POLICY)
    assert (reason.code, reason.about, reason.measured) == (Code.NEW_CATEGORY, "status", 1.0)
    assert "a value never seen before, on 900 rows: auctioned 100.0%" in reason.sentence
    calm = no_numeric_drift(found, POLICY)
    assert calm is not None
    assert "no numeric column drifted" in calm.sentence


@pytest.mark.parametrize(("new", "counts"), [(1, False), (2, True)])
def test_a_new_value_counts_from_one_in_a_thousand_rows(new: int, counts: bool) -> None:
    before = rows(2000, state="Ohio")
    now = [*rows(2000 - new, seed=1, state="Ohio"), *rows(new, seed=2, state="Guam")]
    found = drift(batch_of(now), reference_of(before), FEW)
    assert (found["state"].new_distinct, found["state"].new_rows) == (1, new)
    assert [one.code for one in changes(found, FEW)] == [Code.NEW_CATEGORY] * counts
    assert [one.code for one in too_few(found, FEW)] == [Code.NEW_VALUES_TOO_FEW] * (not counts)


@pytest.mark.parametrize("new", [1, 20])
def test_a_new_value_on_a_handful_of_rows_is_named_and_does_not_count(new: int) -> None:
    now = [*rows(1500 - new, seed=1, state="Ohio"), *rows(new, seed=2, state="Guam")]
    found = drift(batch_of(now), reference_of(rows(2000, state="Ohio")), POLICY)
    assert changes(found, POLICY) == []
    (reason,) = too_few(found, POLICY)
    assert (reason.code, reason.about) == (Code.NEW_VALUES_TOO_FEW, "state")
    assert (reason.measured, reason.threshold, reason.least_rows) == (new / 1500, 0.001, 30)
    assert f"guam on {new}" in reason.sentence


def test_another_spelling_is_no_new_value() -> None:
    found = drift(batch_of(rows(50, state=" OHIO ")), reference_of(rows(50, state="Ohio")), POLICY)
    assert found["state"].new_distinct == 0


@given(st.lists(st.text(max_size=12) | st.none(), min_size=1, max_size=40))
@settings(max_examples=100)
def test_no_value_breaks_anything(values: list[str | None]) -> None:
    house = rows(1)[0]
    now = [{**house, "city": value, "status": value, "brokered_by": value} for value in values]
    found = drift(batch_of(now), reference_of(rows(30)), FEW)
    assert all(np.isfinite(one.psi) for one in found.values())
    changes(found, FEW)


def test_a_batch_without_a_listing_has_no_drift() -> None:
    assert drift(batch_of(rows(10, price="1.0")), reference_of(rows(10)), POLICY) == {}


@pytest.mark.parametrize(("psi", "chance", "counts", "said"), [
    (0.35, 0.15, False, "acre_lot, with a PSI of 0.350 where 0.400 counts (0.25 and the 0.150 that chance gives)"),
    (0.35, 0.05, True, "PSI 0.350 over 10 bins, 0.300 counts (0.25 and the 0.050 that chance gives)"),
    (0.26, 0.001, True, "PSI 0.260 over 10 bins, 0.251 counts (0.25 and the 0.001 that chance gives)"),
])  # fmt: skip
def test_the_bound_that_is_named_is_the_one_that_was_applied(
    psi: float, chance: float, counts: bool, said: str
) -> None:
    found = {"acre_lot": Drift(psi, 10, chance), "bed": Drift(0.01, 10, 0.001)}
    calm = no_numeric_drift(found, POLICY)
    (reason,) = [*changes(found, POLICY), *([calm] if calm else [])]
    assert (reason.code, reason.about) == (Code.DRIFT if counts else Code.NO_NUMERIC_DRIFT, "acre_lot")
    assert (reason.measured, reason.threshold) == (psi, POLICY.psi + chance)
    assert said in reason.sentence


def test_the_column_that_came_nearest_is_the_one_nearest_to_its_own_bound() -> None:
    found = {"acre_lot": Drift(0.35, 10, 0.3), "bed": Drift(0.24, 10, 0.001)}
    calm = no_numeric_drift(found, POLICY)
    assert calm is not None
    assert (calm.about, calm.measured, calm.threshold) == ("bed", 0.24, POLICY.psi + 0.001)


def test_drifted_columns_come_by_the_size_of_their_change() -> None:
    now = changed(rows(800, seed=1), house_size=times(1.5), bed=times(4))
    found: dict[str, Drift] = drift(batch_of(now), reference_of(rows(800)), POLICY)
    named = [one.about for one in changes(found, POLICY)]
    assert set(named) == {"house_size", "bed"}
    assert [found[str(name)].psi for name in named] == sorted((found[str(name)].psi for name in named), reverse=True)
