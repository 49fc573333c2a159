"""A column that has become the price is found in whatever form; honest columns never are."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pytest

from steps.common.listing import SOURCE_FIELDS
from steps.validate.copies import copies_of_price
from steps.validate.policy import Policy
from steps.validate.reason import Code
from tests.steps.batches import ODD, Row, rows
from tests.steps.validate.judging import batch_of

POLICY = Policy()
HONEST = rows(600)


def copied(name: str, how: Callable[[float], object], share: float = 1.0) -> list[Row]:
    few = int(share * len(HONEST))
    return [{**row, name: str(how(float(row["price"] or 0)))} for row in HONEST[:few]] + HONEST[few:]


@pytest.mark.parametrize("name", sorted({*SOURCE_FIELDS} - {"price", "prev_sold_date"}))
def test_a_plain_copy_is_named_whatever_the_columns_type(name: str) -> None:
    (reason,) = copies_of_price(batch_of(copied(name, float)), POLICY)
    assert (reason.code, reason.about, reason.measured) == (Code.COPY_OF_PRICE, name, 1.0)
    assert f"{name} is the price on 100.0% of the rows" in reason.sentence


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("house_size", lambda price: price / 100),
        ("house_size", lambda price: round(price / 100)),
        ("house_size", lambda price: 1e9 / price),
        ("acre_lot", lambda price: price * 0.001),
        ("acre_lot", np.log),
        ("acre_lot", lambda price: -np.sqrt(price)),
        ("bath", lambda price: 1 + int(price // 10_000)),
        ("prev_sold_date", lambda price: dt.date.fromordinal(730_000 + int(price // 100))),
        ("brokered_by", lambda price: price * 2),
    ],
)
def test_a_rising_or_falling_function_of_the_price_is_named(name: str, how: Callable[[float], object]) -> None:
    (reason,) = copies_of_price(batch_of(copied(name, how)), POLICY)
    assert reason.about == name


@pytest.mark.parametrize(("share", "found"), [(0.45, False), (0.6, True)])
def test_a_copy_on_most_of_the_rows_is_enough(share: float, found: bool) -> None:
    assert bool(copies_of_price(batch_of(copied("house_size", lambda price: price / 90, share)), POLICY)) == found


def test_noise_on_a_copy_does_not_hide_it() -> None:
    rng = np.random.default_rng(1)
    noisy = copied("house_size", lambda price: price / 100 * rng.normal(1, 0.02))
    assert [reason.about for reason in copies_of_price(batch_of(noisy), POLICY)] == ["house_size"]


@pytest.mark.parametrize(
    "some",
    [
        *(rows(400, seed=seed) for seed in range(5)),
        rows(400, price="100000.0"),
        rows(20),
        [],
        [{**rows(1)[0], **odd} for odd in ODD] * 10,
        rows(400, acre_lot=None, brokered_by=None, prev_sold_date=None),
    ],
)
def test_honest_columns_are_not_named(some: list[Row]) -> None:
    assert copies_of_price(batch_of(some), POLICY) == []
