"""When a batch cannot be used: too much refused, a column of another type, a unit that changed."""

from collections.abc import Callable

import numpy as np
import pytest

from steps.validate.policy import Policy
from steps.validate.reason import Code, Reason
from steps.validate.reference import Reference
from steps.validate.usability import columns, counts, faults, median_interval
from tests.steps.batches import ODD, Row, changed, rows, times
from tests.steps.validate.judging import batch_of, reference_of

POLICY = Policy()
BEFORE = rows(600)


def found(some: list[Row], reference: Reference | None = None, policy: Policy = POLICY) -> list[Reason]:
    batch = batch_of(some)
    return faults(batch, counts(batch, reference), columns(batch), reference, policy)


def codes(reasons: list[Reason]) -> list[Code]:
    return [reason.code for reason in reasons]


def test_an_ordinary_batch_has_no_fault() -> None:
    assert found(rows(500, seed=1), reference_of(BEFORE)) == []
    assert found(BEFORE) == []


@pytest.mark.parametrize(("bad", "refused"), [(100, False), (101, True)])
def test_more_than_a_fifth_refused_is_too_many(bad: int, refused: bool) -> None:
    some = [*rows(500 - bad, seed=1), *rows(bad, seed=2, price="1.0")]
    reasons = found(some)
    assert codes(reasons) == [Code.TOO_MANY_REFUSED] * refused
    if refused:
        assert reasons[0].measured == pytest.approx(bad / 500)
        assert "OUT_OF_SCOPE price 101" in reasons[0].sentence


@pytest.mark.parametrize(
    ("field", "convert"),
    [
        ("price", times(100)),  # cents
        ("price", times(0.001)),  # thousands
        ("bed", times(10)),
        ("bath", times(10)),
        ("acre_lot", times(43_560)),  # square feet
        ("acre_lot", times(4_046.86)),  # square metres
        ("house_size", times(1 / 10.764)),  # square metres
        ("house_size", times(929.03)),  # square centimetres
    ],
)
def test_a_column_in_another_unit_is_quarantined(field: str, convert: Callable[[str], str]) -> None:
    reasons = found(changed(rows(500, seed=1), **{field: convert}), reference_of(BEFORE))
    (reason,) = [one for one in reasons if one.code is Code.UNIT_CHANGE]
    assert reason.about == field
    assert reason.measured is not None
    assert reason.measured > POLICY.median_factor
    assert f"{field}: the median is" in reason.sentence


def test_a_market_that_moves_as_a_whole_is_no_change_of_unit() -> None:
    dearer = changed(rows(500, seed=1), price=times(5), house_size=times(5))
    assert Code.UNIT_CHANGE not in codes(found(dearer, reference_of(BEFORE)))


@pytest.mark.parametrize("field", ["price", "bed", "bath", "acre_lot", "house_size"])
def test_the_same_unit_with_other_houses_is_not_quarantined(field: str) -> None:
    assert found(changed(rows(500, seed=1), **{field: times(2.6)}), reference_of(BEFORE)) == []


def test_a_handful_of_houses_proves_no_change_of_unit() -> None:
    assert found(changed(rows(6, seed=1), house_size=times(8)), reference_of(BEFORE)) == []


def test_a_lot_of_no_size_at_all_breaks_nothing() -> None:
    assert found(rows(500, seed=1, acre_lot="0.0"), reference_of(BEFORE)) == []
    assert found(rows(500, seed=1), reference_of(rows(500, acre_lot="0.0"))) == []
    assert found(rows(500, seed=1, acre_lot=None), reference_of(rows(500, acre_lot=None))) == []


@pytest.mark.parametrize("field", ["bed", "acre_lot", "prev_sold_date", "zip_code", "price"])
def test_a_column_of_another_type_is_named(field: str) -> None:
    mixed = [*rows(249, seed=1), *rows(251, seed=2, **{field: "what?"})]
    reasons = found(mixed)
    (reason,) = [one for one in reasons if one.code is Code.COLUMN_MALFORMED]
    assert reason.about == field
    assert "'what?'" in reason.sentence
    assert reason.measured == pytest.approx(251 / 500)


def test_malformed_is_a_share_of_what_is_there() -> None:
    mostly_missing = [*rows(490, seed=1, acre_lot=None), *rows(10, seed=2, acre_lot="half an acre")]
    assert codes(found(mostly_missing)) == [Code.COLUMN_MALFORMED]


@pytest.mark.parametrize("some", [[], rows(50, price="1.0"), rows(50, zip_code=None)])
def test_a_batch_without_one_valid_row_is_refused(some: list[Row]) -> None:
    assert codes(found(some, reference_of(BEFORE)))[0] is Code.TOO_MANY_REFUSED


def test_what_is_there_twice_is_counted() -> None:
    some = rows(100, seed=1)
    sold = [{**row, "status": "auction"} for row in some[:10]]
    batch = batch_of([*some, *sold, *some[20:25], some[20]])
    measured = counts(batch, reference_of(BEFORE))
    assert (measured.rows, measured.kept) == (116, 116)
    assert (measured.same_property_rows, measured.identical_rows) == (16, 6)
    assert measured.growth == pytest.approx(116 / 600)
    assert counts(batch, None).growth is None


def test_columns_are_measured_as_received() -> None:
    some = [*rows(90, seed=1), *({**rows(1)[0], **odd} for odd in ODD)]
    measured = columns(batch_of(some))
    assert measured["bed"].maximum == 444.0
    assert measured["price"].minimum == 1.0
    assert measured["acre_lot"].maximum == 100_000.0
    assert measured["price"].missing_share == pytest.approx(2 / 100)
    assert measured["state"].missing_share == pytest.approx(1 / 100)
    assert (measured["bed"].malformed_rows, measured["bed"].malformed_examples) == (1, ("three",))
    assert measured["bed"].malformed_share == pytest.approx(1 / 100)
    assert measured["city"].minimum is None
    assert measured["house_size"].median == np.median([float(row["house_size"] or 0) for row in some])


@pytest.mark.parametrize("size", [25, 200])
def test_the_medians_interval_holds_the_true_one_as_often_as_it_says(size: int) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        low, middle, high = median_interval(rng.lognormal(0, 1, size), 0.95)
        assert low <= middle <= high
        held += low <= 1.0 <= high
    # At least 0.95 of a thousand; six standard deviations of a binomial below.
    assert held >= 909


def test_the_median_of_nothing_and_of_little() -> None:
    assert np.isnan(median_interval(np.empty(0), 0.99)).all()
    low, middle, high = median_interval(np.array([3.0, 1.0]), 0.99)
    assert (low, middle, high) == (-np.inf, 2.0, np.inf)
