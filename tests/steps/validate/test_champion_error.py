"""The champion's error here beside its own: worse is found, luck is not, and houses are what is resampled."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from steps.common.columns import Category, Columns, Floats, from_listings
from steps.validate.champion_error import (
    ChampionError,
    Scored,
    compare,
    not_worse,
    price_level,
    score,
    scored_buckets,
    worse_here,
)
from steps.validate.policy import Policy
from steps.validate.reason import Code
from tests.steps.common.listings import market

POLICY = Policy()
QUICK = Policy(replicates=200)
STATES = ("ohio", "texas", "maine")


def scored(rows: int, seed: int, error: float = 20_000, states: tuple[str, ...] = STATES, copies: int = 1) -> Scored:
    """Return houses whose prices a model misses by this much, each listed so many times."""
    rng = np.random.default_rng(seed)
    price = np.repeat(rng.lognormal(np.log(500_000), 0.4, rows), copies)
    said = price - np.repeat(rng.normal(0, error, rows), copies)
    codes = np.repeat(rng.integers(0, len(states), rows), copies).astype(np.int32)
    house = np.repeat(rng.integers(0, 2**62, rows), copies)
    return Scored(price, said, house, Category(codes, states))


def compared(here: Scored, own: Scored, policy: Policy = POLICY) -> ChampionError:
    found = compare(3, here, own, policy)
    assert found is not None
    return found


def rmse(one: Scored) -> float:
    return float(np.sqrt(((one.said - one.price) ** 2).mean()))


def test_figures_are_those_of_the_rows() -> None:
    here, own = scored(3000, 1), scored(5000, 2)
    found = compared(here, own)
    assert (found.version, found.overall.rows, found.overall.own_rows) == (3, 3000, 5000)
    assert found.overall.rmse == pytest.approx(rmse(here))
    assert found.overall.ratio == pytest.approx(rmse(here) / rmse(own))
    assert found.overall.price_factor == pytest.approx(np.median(here.price / here.said))
    by = {(one.by, one.value): one for one in found.slices}
    texas = here.state.codes == 1
    assert by["state", "texas"].rows == texas.sum()
    assert by["state", "texas"].rmse == pytest.approx(np.sqrt(((here.said - here.price)[texas] ** 2).mean()))
    assert by["state", "texas"].own == "texas"
    band = (here.price > 100_000) & (here.price <= 200_000)
    assert by["price_band", "100k to 200k"].rows == band.sum()
    assert sum(one.rows for one in found.slices if one.by == "price_band") == 3000


def test_an_independent_redraw_is_not_worse() -> None:
    for seed in range(40):
        found = compared(scored(2000, 2 * seed), scored(4000, 2 * seed + 1), QUICK)
        assert worse_here(found, POLICY) == []
    reason = not_worse(found, POLICY)
    assert reason.code is Code.CHAMPION_NOT_WORSE
    assert "1.1 is allowed" in reason.sentence


def test_the_lower_bound_is_above_the_truth_no_more_often_than_it_says() -> None:
    found = [compared(scored(500, 2 * seed), scored(900, 2 * seed + 1), QUICK).overall for seed in range(200)]
    # One in twenty of 200 is 10; 22 is four standard deviations more.
    assert sum((one.low or 0) > 1 for one in found) <= 22


def test_twice_as_wrong_is_worse() -> None:
    found = compared(scored(2000, 1, error=40_000), scored(4000, 2))
    (reason,) = worse_here(found, POLICY)
    assert (reason.code, reason.about) == (Code.CHAMPION_WORSE_HERE, "batch")
    assert reason.measured == pytest.approx(2, rel=0.1)
    assert reason.threshold == POLICY.champion_ratio
    assert "version 3 is wrong by $" in reason.sentence


def joined(*parts: Scored) -> Scored:
    codes = np.concatenate([part.state.codes for part in parts])
    return Scored(
        np.concatenate([part.price for part in parts]), np.concatenate([part.said for part in parts]),
        np.concatenate([part.property_id for part in parts]), Category(codes, parts[0].state.values),
    )  # fmt: skip


def test_one_state_that_is_worse_is_found_among_many() -> None:
    names = tuple(f"state {number}" for number in range(20))
    guam = scored(300, 5, error=60_000, states=(*names, "guam"))
    guam = Scored(guam.price, guam.said, guam.property_id, Category(np.full(300, 20, np.int32), (*names, "guam")))
    here = joined(scored(12_000, 3, states=(*names, "guam")[:20]), guam)
    here = Scored(here.price, here.said, here.property_id, Category(here.state.codes, (*names, "guam")))
    found = compared(here, scored(12_000, 4, states=names))
    reasons = {reason.about: reason for reason in worse_here(found, POLICY)}
    assert "guam 3.0" in reasons["state"].sentence or "guam 2.9" in reasons["state"].sentence
    assert not any(f" {name} " in reasons["state"].sentence for name in names)
    (state,) = [one for one in found.slices if one.value == "guam"]
    assert (state.own, state.own_rows) == ("all", 12_000)


def test_a_batch_of_one_state_names_it_and_that_it_was_not_tested_there() -> None:
    found = compared(scored(800, 1, error=30_000, states=("massachusetts",)), scored(4000, 2))
    (reason,) = worse_here(found, POLICY)
    assert "100% of it massachusetts, where it was not tested," in reason.sentence


def test_houses_listed_several_times_tell_no_more_than_once() -> None:
    own = scored(4000, 2)
    once, often = compared(scored(1000, 1), own).overall, compared(scored(1000, 1, copies=4), own).overall
    assert once.low is not None
    assert often.low is not None
    assert once.ratio == pytest.approx(often.ratio)
    assert (often.ratio or 0) - often.low == pytest.approx((once.ratio or 0) - once.low, rel=0.1)


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    here, own = scored(700, 1), scored(900, 2)
    rng = np.random.default_rng(7)
    logs = []
    for _ in range(2000):
        one, other = rng.integers(0, 700, 700), rng.integers(0, 900, 900)
        mse_here = ((here.said - here.price)[one] ** 2).mean()
        logs.append(np.log(mse_here / ((own.said - own.price)[other] ** 2).mean()) / 2)
    found = compared(here, own).overall
    assert found.ratio is not None
    assert found.low is not None
    assert np.log(found.ratio / found.low) == pytest.approx(1.645 * np.std(logs), rel=0.12)


@pytest.mark.parametrize(("factor", "counts"), [(1.0, False), (1.03, False), (1.1, True), (0.9, True)])
def test_what_like_houses_cost_is_told_where_it_moved(factor: float, counts: bool) -> None:
    here = scored(3000, 1)
    found = compared(dataclasses.replace(here, price=here.price * factor), scored(4000, 2))
    assert found.level.factor == pytest.approx(factor, rel=0.01)
    assert [reason.code for reason in price_level(found, POLICY)] == [Code.PRICE_LEVEL] * counts
    few = scored(9, 1)
    assert price_level(compared(dataclasses.replace(few, price=few.price * 2), scored(4000, 2)), POLICY) == []


def test_few_houses_are_shown_and_not_judged() -> None:
    found = compared(scored(60, 1, error=90_000), scored(4000, 2))
    assert found.overall.ratio is not None
    assert found.overall.low is None
    assert worse_here(found, POLICY) == []
    reason = not_worse(found, POLICY)
    assert reason.code is Code.CHAMPION_NOT_JUDGED
    assert "too few rows to judge" in reason.sentence


def test_nothing_to_score_is_no_error() -> None:
    assert compare(1, scored(0, 1), scored(10, 2), POLICY) is None
    assert compare(1, scored(10, 1), scored(0, 2), POLICY) is None


def test_a_champion_without_error_breaks_nothing() -> None:
    found = compared(scored(500, 1), scored(500, 2, error=0))
    assert found.overall.ratio is None
    assert worse_here(found, POLICY) == []
    assert "not comparable" in not_worse(found, POLICY).sentence


@pytest.mark.parametrize(("rows", "buckets"), [(0, 20), (1000, 20), (250_000, 20), (500_000, 10), (10**9, 1)])
def test_no_more_rows_are_scored_than_asked(rows: int, buckets: int) -> None:
    found = scored_buckets(rows, POLICY)
    assert found == range(buckets)


@dataclass(frozen=True)
class SquareFeet:
    """A model that knows one thing."""

    version: int = 7

    def prices(self, columns: Columns) -> Floats:
        """Return a hundred dollars a square foot."""
        return columns.numbers["house_size"] * 100


def test_a_model_is_scored_by_what_it_says() -> None:
    houses, price, _ = market(50)
    columns = from_listings(houses)
    found = score(SquareFeet(), columns, price, np.arange(50))
    assert found.said.tolist() == [house.house_size * 100 for house in houses]
