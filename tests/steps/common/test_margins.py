"""XGBoost asked through its C interface says, bit for bit, what its own Python function says."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.booster import DEFAULTS, fit
from steps.common.columns import from_listings
from steps.common.features import FEATURES, Matrix
from steps.common.margins import margins
from tests.steps.common.listings import market

WIDTH = len(FEATURES)


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    listings, prices, buckets = market(1500)
    return fit(from_listings(listings), prices, buckets, DEFAULTS, 40, threads=1, seed=1).booster


def rows(count: int, seed: int) -> Matrix:
    """Return rows of numbers as large as a feature's may be, a few of them missing."""
    random = np.random.default_rng(seed)
    found = random.lognormal(5, 4, (count, WIDTH)).astype(np.float32)
    found[random.random(found.shape) < 0.05] = np.nan
    return found


def wanted(booster: xgboost.Booster, matrix: Matrix) -> bytes:
    found: bytes = booster.inplace_predict(matrix, predict_type="margin", validate_features=False).tobytes()
    return found


@given(st.integers(0, 200), st.integers(0, 2**32))
@settings(max_examples=60)
def test_any_number_of_rows_gets_what_xgboost_says(booster: xgboost.Booster, count: int, seed: int) -> None:
    matrix = rows(count, seed)
    found = margins(booster, matrix)
    assert found.shape == (count,)
    assert found.tobytes() == wanted(booster, matrix)


def test_a_row_gets_the_same_whoever_stands_beside_it(booster: xgboost.Booster) -> None:
    matrix = rows(100, 1)
    together = margins(booster, matrix).tobytes()
    assert b"".join(margins(booster, matrix[place : place + 1]).tobytes() for place in range(100)) == together


@pytest.mark.parametrize(
    "matrix",
    [
        rows(40, 2)[::2], np.asfortranarray(rows(40, 3)), rows(40, 4).astype(np.float64),
        np.broadcast_to(rows(1, 5), (30, WIDTH)), np.broadcast_to(rows(1, 6), (3, WIDTH)),
    ],
)  # fmt: skip
def test_rows_may_lie_in_memory_as_they_like(booster: xgboost.Booster, matrix: Matrix) -> None:
    assert margins(booster, matrix).tobytes() == wanted(booster, matrix)


@pytest.mark.parametrize("count", [1, 100])
def test_rows_of_another_width_are_refused(booster: xgboost.Booster, count: int) -> None:
    with pytest.raises(xgboost.core.XGBoostError, match="Number of columns"):
        margins(booster, rows(count, 7)[:, 1:])
    assert margins(booster, rows(count, 7)).tobytes() == wanted(booster, rows(count, 7))


def test_an_answer_is_not_overwritten_by_the_next(booster: xgboost.Booster) -> None:
    found = margins(booster, rows(50, 8))
    before = found.tobytes()
    margins(booster, rows(50, 9))
    assert found.tobytes() == before


def test_threads_do_not_get_in_each_others_way(booster: xgboost.Booster) -> None:
    sizes = [1, 3, 30, 200]
    expected = [wanted(booster, rows(size, 10)) for size in sizes]

    def ask(number: int) -> bool:
        size = number % len(sizes)
        return all(margins(booster, rows(sizes[size], 10)).tobytes() == expected[size] for _ in range(200))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(16)))
