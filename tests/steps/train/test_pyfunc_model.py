"""The logged model reads a row as the pipeline does: the same listing, or a refusal of the same field."""

import pytest
from hypothesis import given, settings

from steps.common.listing import LISTING_FIELDS, Listing, Refusal, parse
from steps.train.pyfunc_model import _listing
from tests.steps.common.test_listing import GOOD, nearly_good


def pipelines(row: dict[str, str | None]) -> Listing | str:
    """Return the listing that the pipeline reads from a row, whatever its price, or the field it refuses."""
    found = parse({**row, "price": GOOD["price"]})
    return found.field if isinstance(found, Refusal) else Listing(**found.model_dump(exclude={"price"}))


def models(row: dict[str, str | None]) -> Listing | str:
    """Return the listing that the logged model reads from a row, or the field it refuses."""
    found = _listing({name: row[name] for name in LISTING_FIELDS})
    return found if isinstance(found, Listing) else found.partition(":")[0]


@given(nearly_good)
@settings(max_examples=500)
def test_it_reads_a_row_as_the_pipeline_does(row: dict[str, str | None]) -> None:
    assert models(row) == pipelines(row)


@pytest.mark.parametrize("field", LISTING_FIELDS)
@pytest.mark.parametrize("gap", [None, "", " ", "\t \n", "NaN", "nan", "None", "null"])
def test_a_gap_is_one_in_both(field: str, gap: str | None) -> None:
    row = {**GOOD, field: gap}
    assert models(row) == pipelines(row)
