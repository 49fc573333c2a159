"""The bootstrap: what it says agrees with theory, pairs what is paired, and counts houses, not rows."""

import numpy as np
import pytest

from steps.common import resampling
from steps.common.columns import Floats
from steps.common.evidence import PROBABILITIES, Distribution
from steps.common.resampling import REPLICATES, distribution, properties, resampled_sums
from steps.common.store.clean import Listings
from tests.steps.evaluate.houses import draw


def test_the_counts_of_a_house_are_poisson_of_mean_one() -> None:
    counts = resampling._poisson_by_level()
    assert counts.mean() == pytest.approx(1, abs=1e-4)
    assert counts.var() == pytest.approx(1, abs=1e-3)
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=1e-4)


def test_a_means_spread_is_that_of_theory() -> None:
    values = np.random.default_rng(3).exponential(size=4000)
    totals = resampled_sums(np.column_stack([np.ones(4000), values]))
    means = totals[:, 1] / totals[:, 0]
    assert len(means) == REPLICATES
    assert means.std() == pytest.approx(values.std() / np.sqrt(4000), rel=0.06)
    assert means.mean() == pytest.approx(values.mean(), rel=0.002)


def test_the_same_input_gives_the_same_replicates_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(1).random((501, 2))
    first = resampled_sums(sums)
    assert np.array_equal(first, resampled_sums(sums))
    assert not np.array_equal(first, resampled_sums(sums, seed=2))
    monkeypatch.setattr(resampling, "_CHUNK", 5000)
    assert resampled_sums(sums) == pytest.approx(first)


def spread_of_mean(rows: Listings, values: Floats) -> float:
    of = properties(rows.property_id)
    totals = resampled_sums(np.column_stack([of.sums(np.ones(len(rows))), of.sums(values)]))
    return float((totals[:, 1] / totals[:, 0]).std())


def test_a_house_listed_twice_is_one_house() -> None:
    once, twice = draw(2000, 5), draw(4000, 5, twins=True)
    values = np.random.default_rng(1).normal(size=2000)
    alone = spread_of_mean(once, values)
    assert spread_of_mean(twice, np.repeat(values, 2)) == pytest.approx(alone, rel=0.06)
    # As houses of their own the same rows would look twice as many.
    assert spread_of_mean(draw(4000, 5), np.repeat(values, 2)) == pytest.approx(alone / np.sqrt(2), rel=0.06)


def test_a_distribution_keeps_quantiles_and_shares() -> None:
    replicates = np.random.default_rng(2).normal(10, 2, REPLICATES)
    kept = distribution(replicates)
    assert kept is not None
    for probability in (0.01, 0.025, 0.3, 0.5, 0.9, 0.99):
        assert kept.quantile(probability) == pytest.approx(np.quantile(replicates, probability), abs=0.1)
    for value in (6, 8, 10, 12, 14):
        assert kept.share_up_to(value) == pytest.approx((replicates <= value).mean(), abs=0.005)
    assert kept.share_up_to(-1e9) == pytest.approx(1 / (REPLICATES + 1))
    assert kept.share_up_to(1e9) == 1
    assert (kept.quantile(0), kept.quantile(1)) == (kept.values[0], kept.values[-1])


def test_a_constant_is_a_distribution_too() -> None:
    kept = distribution(np.zeros(REPLICATES))
    assert kept is not None
    assert (kept.quantile(0.025), kept.quantile(0.975)) == (0, 0)
    assert (kept.share_up_to(0), kept.share_up_to(-1)) == (1, 1 / (REPLICATES + 1))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_replicate_that_is_no_number_leaves_no_distribution(value: float) -> None:
    replicates = np.zeros(REPLICATES)
    replicates[7] = value
    assert distribution(replicates) is None


@pytest.mark.parametrize(
    "values",
    [(0.0,), tuple(float(-place) for place in range(len(PROBABILITIES))), (float("nan"),) * len(PROBABILITIES)],
)
def test_what_is_no_distribution_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="values"):
        Distribution(replicates=REPLICATES, values=values)
