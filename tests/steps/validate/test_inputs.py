"""What people ask about, beside the listings: like houses are no change, others are, and no input breaks anything."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.listing import LISTING_FIELDS
from steps.validate.drift import changes, drift
from steps.validate.inputs import asked_otherwise, inputs_drift
from steps.validate.policy import Policy
from tests.steps.batches import Row, changed, rows, times
from tests.steps.validate.judging import batch_of, reference_of

POLICY = Policy()
BEFORE = reference_of(rows(900))


def counted(some: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Return how many inputs have each text, as the database counts them."""
    return {name: dict(Counter(text for row in some if (text := row[name]) is not None)) for name in LISTING_FIELDS}


def test_inputs_are_measured_as_a_batch_of_the_same_houses_is() -> None:
    some = changed(rows(500, seed=1, acre_lot=None, state="Guam"), house_size=times(1.5))
    asked, batch = inputs_drift(500, counted(some), BEFORE, POLICY), drift(batch_of(some), BEFORE, POLICY)
    assert asked == {name: found for name, found in batch.items() if name != "price"}
    assert {reason.about for reason in changes(asked, POLICY)} == {"house_size", "state", "acre_lot"}


def test_like_houses_are_no_change() -> None:
    assert changes(inputs_drift(900, counted(rows(900, seed=1)), BEFORE, POLICY), POLICY) == []


def test_what_is_asked_otherwise_is_told_in_one_sentence() -> None:
    asked = inputs_drift(500, counted(changed(rows(500, seed=1), house_size=times(3))), BEFORE, POLICY)
    reason = asked_otherwise(asked, POLICY)
    assert reason is not None
    assert (reason.code, reason.about) == ("ASKED_OTHERWISE", "house_size")
    assert reason.sentence.startswith("what people ask the API about differs from the listings in house_size: ")
    assert asked_otherwise(inputs_drift(900, counted(rows(900, seed=1)), BEFORE, POLICY), POLICY) is None


def test_nobody_asked() -> None:
    assert inputs_drift(0, {}, BEFORE, POLICY) == {}


@pytest.mark.parametrize("text", ["3", "3.0", " 3 "])
def test_one_number_is_one_however_it_is_written(text: str) -> None:
    asked = inputs_drift(1, {"bed": {text: 1}}, BEFORE, POLICY)
    assert asked["bed"].median == 3.0


@given(st.dictionaries(st.sampled_from(LISTING_FIELDS), st.dictionaries(st.text(max_size=8), st.integers(1, 3))))
@settings(max_examples=100)
def test_no_input_breaks_anything(counts: dict[str, dict[str, int]]) -> None:
    rows_asked = max((sum(found.values()) for found in counts.values()), default=0)
    changes(inputs_drift(rows_asked, counts, BEFORE, POLICY), POLICY)
