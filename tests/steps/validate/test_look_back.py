"""The version before beside the champion: better is found, luck is not, and houses are what is resampled."""

import numpy as np
import pytest

from steps.common.columns import Category
from steps.validate.champion_error import Scored
from steps.validate.look_back import LookBack, look_back, rollback_advised
from steps.validate.policy import Policy
from steps.validate.reason import Code

POLICY = Policy(replicates=500)


def pair(rows: int, seed: int, before: float, now: float, copies: int = 1) -> tuple[Scored, Scored]:
    """Return what two versions say of the same houses, each missing by an error of its own."""
    rng = np.random.default_rng(seed)
    price = rng.lognormal(12.5, 0.3, rows)
    state = Category(np.zeros(rows * copies, np.int32), ("ohio",))
    house = np.repeat(rng.integers(0, 2**62, rows), copies)
    said = (price - rng.normal(0, error, rows) for error in (before, now))
    first, second = (Scored(np.repeat(price, copies), np.repeat(one, copies), house, state) for one in said)
    return first, second


def looked(before: Scored, now: Scored, policy: Policy = POLICY) -> LookBack:
    found = look_back(6, 7, before, now, policy)
    assert found is not None
    return found


def test_a_version_that_was_clearly_better_is_advised_with_its_figures() -> None:
    before, now = pair(2000, 1, 40_000, 50_000)
    found = looked(before, now)
    assert found.advised
    assert found.rmse == pytest.approx(np.sqrt(((before.said - before.price) ** 2).mean()))
    assert found.gain == pytest.approx(found.champion_rmse - found.rmse)
    assert found.low < found.gain < found.high
    (reason,) = rollback_advised(found, POLICY)
    assert (reason.code, reason.about, reason.measured) == (Code.ROLLBACK_ADVISED, "version 6", found.low)
    assert reason.threshold == pytest.approx(0.005 * found.champion_rmse)
    assert f"version 7 by ${found.champion_rmse:,.0f} on the same 2,000 rows" in reason.sentence


def test_versions_as_good_as_each_other_are_not_told_apart() -> None:
    found = [looked(*pair(400, seed, 50_000, 50_000)) for seed in range(100)]
    # Less than one in forty is meant, as the gain has to exceed 0.5 % with it: 8 have a chance of 1 in 500.
    assert sum(one.advised for one in found) <= 7


def test_a_gain_below_what_is_asked_is_not_advised() -> None:
    before, now = pair(4000, 1, 40_000, 50_000)
    assert not looked(before, now, Policy(rollback_gain=0.3)).advised
    assert rollback_advised(looked(now, before), POLICY) == []


def test_a_house_listed_several_times_is_one_house() -> None:
    once, often = looked(*pair(800, 1, 45_000, 50_000)), looked(*pair(800, 1, 45_000, 50_000, copies=4))
    assert (often.rows, often.houses) == (3200, 800)
    assert often.gain == pytest.approx(once.gain)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.1)


def test_few_houses_advise_nothing_and_none_tell_nothing() -> None:
    assert not looked(*pair(40, 1, 1000, 90_000)).advised
    assert look_back(6, 7, *pair(0, 1, 1, 1), POLICY) is None


def test_a_price_that_is_no_number_tells_nothing() -> None:
    before, now = pair(500, 1, 40_000, 50_000)
    before.said[3] = np.inf
    assert look_back(6, 7, before, now, POLICY) is None
