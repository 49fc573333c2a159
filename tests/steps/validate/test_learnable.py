"""Whether prices follow from houses: yes in a market, no where they were shuffled, and never by the test part."""

import numpy as np
import pytest
from scipy import stats

from steps.validate.learnable import learnable, lower_bound, not_learnable, spearman
from steps.validate.policy import Policy
from steps.validate.reason import Code
from tests.steps.batches import Row, rows
from tests.steps.validate.judging import batch_of

POLICY = Policy(learnable_rows=1500)
MARKET = rows(2000)


def shuffled(some: list[Row]) -> list[Row]:
    order = np.random.default_rng(1).permutation(len(some))
    return [{**row, "price": some[place]["price"]} for row, place in zip(some, order.tolist(), strict=True)]


def test_a_market_can_be_learnt() -> None:
    found = learnable(batch_of(MARKET), POLICY)
    assert found.rho is not None
    assert found.low is not None
    assert 0.8 < found.low < found.rho < 1
    assert not_learnable(found, POLICY) is None


def test_shuffled_prices_cannot() -> None:
    found = learnable(batch_of(shuffled(MARKET)), POLICY)
    assert found.rho == pytest.approx(0, abs=0.25)
    reason = not_learnable(found, POLICY)
    assert reason is not None
    assert reason.code is Code.NOT_LEARNABLE
    assert "nothing can be learnt from it" in reason.sentence


def test_the_test_part_and_refused_rows_play_no_role() -> None:
    batch = batch_of(MARKET)
    spoilt = [
        {**row, "price": "9999999.0", "state": "spoilt"} if bucket < 20 else row
        for row, bucket in zip(MARKET, batch.bucket.tolist(), strict=True)
    ]
    assert (batch.bucket < 20).sum() > 300
    assert learnable(batch_of(spoilt), POLICY) == learnable(batch, POLICY)
    refused = [*MARKET, *rows(400, seed=5, bed="444.0")]
    assert learnable(batch_of(refused), POLICY) == learnable(batch, POLICY)


def test_the_same_batch_gives_the_same_answer_and_few_rows_are_sampled() -> None:
    few = Policy(learnable_rows=400)
    batch = batch_of(MARKET)
    assert learnable(batch, few) == learnable(batch, few)
    assert learnable(batch, few).fitted_rows == 400


@pytest.mark.parametrize("count", [0, 1, 40])
def test_too_few_rows_tell_nothing(count: int) -> None:
    found = learnable(batch_of(rows(count)), POLICY)
    assert found.rho is None
    reason = not_learnable(found, POLICY)
    assert reason is not None
    assert "too few to tell" in reason.sentence


def test_one_price_for_all_ranks_nothing() -> None:
    found = learnable(batch_of(rows(800, price="100000.0")), POLICY)
    assert found.rho == 0
    assert not_learnable(found, POLICY) is not None


def test_spearman_is_scipys() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        one, other = rng.integers(0, 12, 80).astype(float), rng.normal(size=80)
        other += one * rng.normal()
        assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)


@pytest.mark.parametrize("truth", [0.0, 0.4, 0.7])
def test_the_lower_bound_lies_below_the_truth_as_often_as_it_says(truth: float) -> None:
    rng = np.random.default_rng(0)
    # Of a normal pair with this Pearson correlation, Spearman's is 6/pi asin(r/2).
    pearson = 2 * np.sin(np.pi * truth / 6)
    below = 0
    for _ in range(600):
        one = rng.normal(size=120)
        other = pearson * one + np.sqrt(1 - pearson**2) * rng.normal(size=120)
        below += lower_bound(spearman(one, other), 120, 0.95) <= truth
    assert below / 600 == pytest.approx(0.95, abs=0.035)


def test_a_perfect_ranking_has_a_bound_below_one() -> None:
    assert 0.9 < lower_bound(1.0, 100, 0.95) <= 1
    assert -1 <= lower_bound(-1.0, 100, 0.95) < -0.9
