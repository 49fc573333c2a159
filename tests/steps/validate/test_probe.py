"""What learning a batch is worth: nothing where it is more of the same, something where it is news."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from steps.common.columns import Category, Columns
from steps.common.listing import TEST_BUCKETS
from steps.validate.learnable import FIT_BUCKETS
from steps.validate.policy import Policy
from steps.validate.probe import (
    JUDGED_BUCKETS,
    PAIRS,
    Houses,
    Recipe,
    RetrainValue,
    pays,
    retrain_value,
    sampled_buckets,
    t_of_four,
    worth,
)
from steps.validate.reason import Code
from tests.steps.evaluate.houses import PARAMETERS, draw

POLICY = Policy(probe_rows=1000)
TREES = 30


def houses(rows: int, seed: int, factor: float = 1.0) -> Houses:
    found = draw(rows, seed)
    return Houses(found.columns, found.price * factor, found.property_id)


def measured(old: Houses, new: Houses, policy: Policy = POLICY) -> RetrainValue:
    return retrain_value(Recipe(3, PARAMETERS, TREES, len(old)), old, new, len(new), policy)


@pytest.mark.parametrize(("old", "new"), [(3000, 3000), (2500, 25_000), (25_000, 2500)])
def test_more_of_the_same_is_no_gain_however_much(old: int, new: int) -> None:
    found = [measured(houses(old, 2 * seed), houses(new, 2 * seed + 1)) for seed in range(12)]
    gains = [one.here for one in found if one.here]
    assert len(gains) == 12
    assert not any(pays(one, POLICY) for one in found)
    # One in forty is meant on either side: three of twelve have a chance of 1 in 350.
    assert sum(gain.low > 0 for gain in gains) <= 2
    assert sum(gain.high < 0 for gain in gains) <= 2
    # The mean over seeds has a standard deviation of its own; nothing beyond it is left of ten times the rows.
    shares = np.array([gain.share for gain in gains])
    assert abs(shares.mean()) < 4 * shares.std(ddof=1) / np.sqrt(12)
    assert found[0].share_after == pytest.approx(new / (old + new))


def test_both_fits_learn_from_as_many_rows_in_the_proportion_there_will_be() -> None:
    found = measured(houses(6000, 1), houses(2000, 2))
    assert found.rows == pytest.approx(6000 * 0.14, rel=0.1)
    assert found.batch_rows == round(found.rows / 4)
    rare = measured(houses(6000, 1), houses(1100, 2), Policy(probe_least_share=0.3))
    assert rare.batch_rows == pytest.approx(1100 * 0.14, rel=0.2)


def test_dearer_houses_are_a_gain_here_and_a_loss_there() -> None:
    found = measured(houses(4000, 1), houses(4000, 2, factor=1.5))
    assert pays(found, POLICY)
    assert found.here is not None
    assert found.there is not None
    assert found.after is not None
    assert found.here.low > 0.1
    assert found.there.high < 0
    assert found.there.share < found.after < found.here.share
    reason = worth(found, POLICY)
    assert (reason.code, reason.measured) == (Code.RETRAIN_PAYS, found.here.share)
    assert f"version 3's parameters fitted on {found.rows:,} rows" in reason.sentence


def in_guam(some: Houses, share: float, factor: float) -> Houses:
    """Return houses of which a share lies in a state of its own, at a price level of its own."""
    there = some.property_id // 100 % 1000 < 1000 * share
    state = some.columns.categories["state"]
    moved = Category(np.where(there, len(state.values), state.codes).astype(np.int32), (*state.values, "guam"))
    columns = Columns(some.columns.numbers, {**some.columns.categories, "state": moved})
    return Houses(columns, np.where(there, some.price * factor, some.price), some.property_id)


def test_a_new_state_at_its_own_level_is_a_gain() -> None:
    found = measured(houses(4000, 1), in_guam(houses(4000, 2), 0.2, 2.0))
    assert pays(found, POLICY)


def test_the_test_part_plays_no_role() -> None:
    old, new = houses(3000, 1), houses(3000, 2, factor=1.2)
    spoilt, too = (dataclasses.replace(one, price=np.where(one.bucket < 20, 1e7, one.price)) for one in (old, new))
    assert measured(spoilt, too) == measured(old, new)


def test_the_same_houses_give_the_same_answer_and_another_seed_another() -> None:
    old, new = houses(3000, 1), houses(3000, 2, factor=1.1)
    assert measured(old, new) == measured(old, new)
    assert measured(old, new, Policy(probe_rows=1000, seed=1)) != measured(old, new)


@pytest.mark.parametrize(("old", "new"), [(0, 3000), (3000, 0), (400, 3000), (3000, 150)])
def test_too_few_rows_tell_nothing_and_say_so(old: int, new: int) -> None:
    found = measured(houses(old, 1), houses(new, 2, factor=2.0))
    assert found.here is None
    assert not pays(found, POLICY)
    reason = worth(found, POLICY)
    assert (reason.code, reason.measured) == (Code.PROBE_NOT_MEASURED, None)


def test_slow_versions_are_probed_on_fewer_rows() -> None:
    old, new = houses(4000, 1), houses(4000, 2)
    slow = retrain_value(Recipe(3, PARAMETERS, 600, 4000), old, new, 4000, Policy(probe_rows=400))
    assert slow.rows == 200


@given(st.integers(0, 10**8), st.integers(1, 100_000))
def test_buckets_to_read_hold_enough_and_never_the_test_part(listings: int, rows: int) -> None:
    found = sampled_buckets(listings, rows)
    assert len(set(found)) == len(found)
    assert set(found).isdisjoint(TEST_BUCKETS)
    wanted = min(rows / max(listings, 1) * 100, 10)
    assert len([bucket for bucket in found if bucket in JUDGED_BUCKETS]) >= wanted
    assert len([bucket for bucket in found if bucket in FIT_BUCKETS]) >= PAIRS * wanted
    assert len(found) * listings / 100 <= 2 * (PAIRS + 1) * max(rows, listings / 100) + listings * 0.01 * 2 * (
        PAIRS + 1
    )


@pytest.mark.parametrize("probability", [0.005, 0.3, 0.5, 0.9, 0.975, 0.9995])
def test_the_quantile_is_students(probability: float) -> None:
    assert t_of_four(probability) == pytest.approx(stats.t.ppf(probability, PAIRS - 1), abs=1e-9)
