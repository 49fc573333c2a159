"""Intervals: as wide as theory says although houses are drawn in groups, and never of what is not a number."""

import numpy as np
import pytest

from steps.evaluate import estimates
from steps.evaluate.estimates import NotMeasurable, estimate, resample
from tests.steps.evaluate.houses import draw


@pytest.mark.parametrize(("rows", "groups"), [(3000, 8192), (30_000, 1000)])
def test_a_means_spread_is_that_of_theory_also_in_groups(
    monkeypatch: pytest.MonkeyPatch, rows: int, groups: int
) -> None:
    monkeypatch.setattr(estimates, "GROUPS", groups)
    values = np.random.default_rng(3).exponential(size=rows)
    totals = resample(draw(rows, 1), [np.ones(rows), values])
    assert totals.point == pytest.approx([rows, values.sum()])
    means = totals.replicates[1] / totals.replicates[0]
    assert means.std() == pytest.approx(values.std() / np.sqrt(rows), rel=0.07)


def test_twins_are_drawn_together() -> None:
    rows = draw(4000, 5, twins=True)
    values = np.repeat(np.random.default_rng(1).normal(size=2000), 2)
    totals = resample(rows, [np.ones(4000), values])
    spread = (totals.replicates[1] / totals.replicates[0]).std()
    assert spread == pytest.approx(values.std() / np.sqrt(2000), rel=0.07)


def test_an_interval_is_as_wide_as_its_confidence_and_holds_its_point() -> None:
    replicates = np.random.default_rng(2).normal(10, 2, 2000)
    found = estimate(10.0, replicates, 0.9)
    assert [found.low, found.high] == pytest.approx([10 - 1.645 * 2, 10 + 1.645 * 2], abs=0.3)
    assert estimate(30.0, replicates).high == 30
    assert (found.clear, found.beyond(8.0)) == (True, False)
    assert not estimate(0.0, replicates - 10).clear


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_a_number_has_no_interval(wrong: float) -> None:
    replicates = np.zeros(2000)
    with pytest.raises(NotMeasurable):
        estimate(wrong, replicates)
    replicates[3] = wrong
    with pytest.raises(NotMeasurable):
        estimate(0.0, replicates)
