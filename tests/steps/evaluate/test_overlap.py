"""How alike two draws are: the ratio of their densities is the known one, and no house is judged by itself."""

import numpy as np
import pytest

from steps.evaluate import overlap
from tests.steps.evaluate.houses import draw, together
from tests.steps.evaluate.planted import bundle_of

MODEL = bundle_of(draw(4000, 9))
SHIFT, SPREAD = 0.3, 0.35


def test_the_ratio_is_that_of_the_densities_and_the_expected_error_that_of_like_houses() -> None:
    rows = together(draw(12_000, 1), draw(6000, 2, batch=1, larger=SHIFT))
    new = rows.batch_number == 1
    squared = (MODEL.prices(rows.columns) - rows.price) ** 2
    found = overlap.measure(overlap.known_to(MODEL, rows.columns), new, squared, overlap.folds(rows.property_id))
    log_size = np.log(rows.columns.numbers["house_size"])
    true = (SHIFT * (log_size - 7.4) - SHIFT**2 / 2) / SPREAD**2
    middle = np.abs(log_size - 7.4) < 2 * SPREAD
    assert np.mean(np.abs(np.log(found.ratio) - true)[middle]) < 0.25
    assert np.average(log_size[~new], weights=found.ratio[~new]) == pytest.approx(7.4 + SHIFT, abs=0.02)
    small, large = log_size < 7.2, log_size > 7.6
    for part in (small & ~new, large & ~new):
        assert found.expected[part].mean() == pytest.approx(squared[part].mean(), rel=0.1)


def test_two_draws_of_one_market_weigh_alike() -> None:
    rows = together(draw(5000, 3), draw(5000, 4, batch=1))
    squared = (MODEL.prices(rows.columns) - rows.price) ** 2
    found = overlap.measure(
        overlap.known_to(MODEL, rows.columns), rows.batch_number == 1, squared, overlap.folds(rows.property_id)
    )
    assert np.std(np.log(found.ratio)) < 0.05


def test_rows_of_one_house_are_in_one_fold() -> None:
    rows = draw(4000, 5, twins=True)
    fold = overlap.folds(rows.property_id)
    assert np.array_equal(fold[::2], fold[1::2])
    assert np.bincount(fold) == pytest.approx(4000 / overlap.FOLDS, abs=4)


def test_a_missing_number_is_told_as_missing() -> None:
    matrix = overlap.known_to(MODEL, draw(10, 6).columns)
    assert np.isnan(matrix[:, 2]).all()
    assert not np.isnan(np.delete(matrix, [2, 4, 5], axis=1)).any()
