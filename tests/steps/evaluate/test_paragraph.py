"""The paragraph: every sentence has a number, and every number in it is one of the explanation's."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from steps.common.explanation import Estimate, Explanation
from steps.evaluate.paragraph import sentences
from tests.steps.evaluate import explanations

_NUMBER = re.compile(r"(-?)(\$?)([0-9][0-9,]*(?:\.[0-9]+)?)(%?)")


def numbers(value: Any) -> Iterator[float]:
    """Yield every number of an explanation's data, wherever it is; not those of its own words."""
    if isinstance(value, dict):
        for name, held in value.items():
            if name not in {"paragraph", "notes"}:
                yield from numbers(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from numbers(held)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def unfounded(told: tuple[str, ...], found: Explanation) -> list[str]:
    """Return the numbers of a text that are none of an explanation's, rounded as they are written there."""
    known = list(numbers(found.model_dump()))
    wrong = []
    for sentence in told:
        for sign, _, digits, percent in _NUMBER.findall(sentence):
            places = len(digits.partition(".")[2])
            written = float(digits.replace(",", "")) * (-1 if sign else 1)
            scale = 100 if percent else 1
            # An interval of a fall is written as what it falls by: without its sign, or with the other one.
            if not any(
                abs(one * scale * turned - written) <= 0.5000001 * 10**-places for one in known for turned in (1, -1)
            ):
                wrong.append(f"{digits}{percent} in: {sentence}")
    return wrong


def strange(sentence: str) -> str:
    return f"{sentence} {0.123456789:.9f}"


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(explanations.explanations)
def test_every_number_is_found_in_the_data_and_every_sentence_has_one(found: Explanation) -> None:
    told = sentences(found)
    assert unfounded(told, found) == []
    assert [sentence for sentence in told if not _NUMBER.search(sentence)] == []
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in told)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(explanations.explanations.filter(lambda found: found.table is not None))
def test_a_number_that_is_not_in_the_data_would_be_found(found: Explanation) -> None:
    told = sentences(found)
    assert len(unfounded(tuple(map(strange, told)), found)) == len(told)


def change(**values: Any) -> Explanation:
    """Return an explanation of a rise by houses outside, and in like houses' prices."""

    def around(point: float) -> Estimate:
        return Estimate(point=point, low=point - 1000, high=point + 1000)

    found: dict[str, Any] = {
        "confidence": 0.99, "before_rmse": 50_000, "new_rmse": 90_000, "mean_squared": around(5e9),
        "rmse": around(40_000), "real": True, "outside_rows": 75, "outside_share": 0.075, "rarer_rows": 0,
        "rarer_ratio": 20, "common_properties": 925,
        "effective_properties": 800, "needed_properties": 500, "novelties": [],
        "factors": [{"of": "before", "factor": 1.0}, {"of": "common", "factor": 1.7}, {"of": "outside", "factor": 2}],
        "terms": [
            {"name": "outside", "mean_squared": around(1e9), "rmse": around(8000), "real": True},
            {"name": "houses", "mean_squared": around(-5e8), "rmse": around(-4000), "real": True},
            {"name": "prices", "mean_squared": around(4.5e9), "rmse": around(36_000), "real": True},
        ],
        **values,
    }  # fmt: skip
    return of(error_change=found)


def of(**parts: Any) -> Explanation:
    """Return an explanation of some parts, given as plain values."""
    about = {"version": 1, "batch": 4, "candidate_version": 2, "champion_version": 1}
    return Explanation.model_validate(about | parts)


def test_the_largest_cause_is_told_first_and_in_its_direction() -> None:
    whole, *terms = sentences(change())
    assert "rises from $50,000 to $90,000, by $40,000 (99% interval $39,000 to $41,000)" in whole
    assert terms[0].startswith("Other prices for like houses raise it by $36,000 (99% interval $35,000 to $37,000)")
    assert terms[0].endswith("in the median they cost 1.70 times what it says, where before it was 1.00 times.")
    assert terms[1].startswith("Houses outside anything it was trained on raise it by $8,000")
    assert terms[2] == (
        "Another mix of houses, each of a kind it knows, lowers it by $4,000 (99% interval $3,000 to $5,000)."
    )


NOVELTIES = [
    {"field": "zip_code", "rows": 60, "share": 0.06, "rows_before": 0},
    {"field": "house_size", "rows": 20, "share": 0.02, "rows_before": 1, "low": 1500, "high": 50_000},
    {"field": "city", "rows": 10, "share": 0.01, "rows_before": 0},
    {"field": "state", "value": "guam", "rows": 1, "share": 0.001, "rows_before": 0},
]


def test_what_is_outside_is_named_until_it_is_all_and_a_new_state_always() -> None:
    (told,) = [sentence for sentence in sentences(change(novelties=NOVELTIES)) if "outside anything" in sentence]
    assert (
        "75 of the new rows, 7.5%, of them 60 in zip codes never met before, "
        "20 with living area outside 1500 to 50000, 1 with the new state guam; "
        "in the median they cost 2.00 times what it says"
    ) in told


FEW_OUTSIDE = {
    "name": "outside", "mean_squared": {"point": 9e6, "low": 3e6, "high": 1.2e7},
    "rmse": {"point": 900, "low": 300, "high": 1200}, "real": False,
}  # fmt: skip


@pytest.mark.parametrize(("rows", "needed", "said"), [
    (12, 30, "are fewer than 30 rows, too few to tell what they change: 12 of the new rows"),
    (29, 30, "are fewer than 30 rows, too few to tell what they change: 29 of the new rows"),
    (30, 30, "explain nothing that stands clear of chance (99% interval $300 to $1,200): 30 of the new rows"),
    (12, 0, "explain nothing that stands clear of chance (99% interval $300 to $1,200): 12 of the new rows"),
])  # fmt: skip
def test_of_fewer_houses_outside_than_needed_it_is_said_that_they_are_too_few(
    rows: int, needed: int, said: str
) -> None:
    told = sentences(change(terms=[FEW_OUTSIDE], outside_rows=rows, outside_share=0.012, needed_outside_rows=needed))
    assert f"Houses outside anything it was trained on {said}" in told[1]


def test_houses_outside_by_no_single_field_are_said_to_be_rarer() -> None:
    (told,) = [sentence for sentence in sentences(change(rarer_rows=75)) if "outside anything" in sentence]
    assert "75 of the new rows, 7.5%, of them 75 of a kind at least 20 times rarer before; in the median" in told


def test_what_cannot_be_told_apart_says_what_is_missing() -> None:
    around = Estimate(point=1, low=-1, high=2)
    term = {"name": "houses_or_prices", "mean_squared": around, "rmse": around, "real": False}
    told = sentences(change(terms=[term], common_properties=412, effective_properties=397.6))
    assert told[1].startswith("Other houses or other prices within what it knows explain nothing that stands clear")
    assert told[2] == (
        "What is due to other houses and what to other prices is not identifiable: 412 of the new houses have their "
        "like before, which count as 398 when re-weighted; 500 of either are needed."
    )


@pytest.mark.parametrize(("low", "how"), [(-500, "no difference that stands clear of chance"), (50, "$100 less")])
def test_a_gain_within_chance_is_called_no_difference(low: float, how: str) -> None:
    rmse = {"point": 100, "low": low, "high": 500}
    cells = [
        {"model": model, "on": "all", "rmse": rmse, "mae": rmse} for model in ("champion", "candidate")
    ]  # fmt: skip
    table = {"confidence": 0.95, "cells": cells, "gains": [{"on": "all", "rows": 9, "rmse": rmse, "mae": rmse}]}
    assert how in sentences(of(table=table))[0]
