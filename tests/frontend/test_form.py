"""The form against the schema of the real API, and against schemas it has not got yet."""

import datetime as dt
from typing import Any

import pytest

from frontend import form
from frontend.form import SchemaUnreadable, fields
from serving.app import create_app
from serving.settings import Settings
from steps.common.listing import LISTING_FIELDS, Listing


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def with_field(document: dict[str, Any], name: str, **shape: Any) -> dict[str, Any]:
    """Return the document with one more field in Listing."""
    listing = document["components"]["schemas"]["Listing"]
    changed = {**listing, "properties": {**listing["properties"], name: shape}}
    return {"components": {"schemas": {**document["components"]["schemas"], "Listing": changed}}}


def test_every_field_of_a_listing_with_its_title_and_example(document: dict[str, Any]) -> None:
    found = fields(document)
    assert tuple(field.name for field in found) == LISTING_FIELDS
    for field in found:
        own = Listing.model_fields[field.name]
        assert (field.title, field.description) == (own.title, own.description)
        assert field.required == own.is_required()
        assert own.examples is not None
        assert field.example == own.examples[0]


def test_the_examples_are_a_listing(document: dict[str, Any]) -> None:
    Listing.model_validate(form.listing({field.name: field.example for field in fields(document)}))


def test_kinds_and_bounds(document: dict[str, Any]) -> None:
    found = {field.name: field for field in fields(document)}
    assert (found["bed"].kind, found["bed"].minimum, found["bed"].maximum) == ("number", 1, 50)
    assert (found["acre_lot"].kind, found["acre_lot"].minimum, found["acre_lot"].required) == ("number", 0, False)
    assert [found[name].kind for name in ("zip_code", "street", "city", "status")] == ["text"] * 4
    assert found["prev_sold_date"].kind == "date"


@pytest.mark.parametrize(("shape", "kind", "example"), [
    ({"type": "number", "title": "Year built", "x-unit": "year", "examples": [1980]}, "number", 1980),
    ({"type": "integer", "minimum": 0, "default": 2}, "number", 2),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text", None),
    ({"enum": ["yes", "no"], "type": "string"}, "choice", "yes"),
    ({"type": "string", "format": "date"}, "date", None),
])  # fmt: skip
def test_one_more_field_appears(document: dict[str, Any], shape: dict[str, Any], kind: str, example: object) -> None:
    field = fields(with_field(document, "garage", **shape))[-1]
    assert (field.name, field.kind, field.example, field.required) == ("garage", kind, example, False)
    assert field.title == shape.get("title", "Garage")
    assert field.unit == shape.get("x-unit", "")
    assert field.whole == (shape.get("type") == "integer")


def test_a_field_that_refers_to_a_schema_of_its_own(document: dict[str, Any]) -> None:
    extended = with_field(document, "heating", **{"$ref": "#/components/schemas/Heating"})
    extended["components"]["schemas"]["Heating"] = {"type": "number", "exclusiveMinimum": 1}
    field = fields(extended)[-1]
    assert (field.kind, field.minimum) == ("number", 1)


@pytest.mark.parametrize("document", [{}, {"components": {"schemas": {"Listing": {"type": "object"}}}}])
def test_a_document_without_a_listing_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(SchemaUnreadable, match="Listing"):
        fields(document)


def test_values_are_chosen_from_where_the_model_knows_few(document: dict[str, Any]) -> None:
    found = {field.name: field for field in fields(document)}
    few = {"count": 2, "values": ["for_sale", "sold"]}
    assert form.choices(found["status"], {"status": few}) == ["for_sale", "sold"]
    assert form.choices(found["status"], {}) == []
    assert form.choices(found["city"], {"city": {"count": 900, "values": ["a"] * 900}}) == []
    assert form.choices(found["city"], {"city": {"count": 900, "values": ["a"] * 10}}) == [], "cut short"
    assert form.choices(found["bed"], {"bed": few}) == [], "a number is typed"
    assert form.choices(found["city"], {"city": {"count": 1, "values": ["ohio|avon"]}}) == [], "told apart by the state"
    assert form.choices(found["zip_code"], {"zip_code": {"count": 1, "values": ["01001"]}}) == [], "a number"


def test_nothing_is_sent_of_what_was_left_empty() -> None:
    typed = {"city": "  ", "bed": 3.0, "zip_code": " 01001 ", "acre_lot": None, "prev_sold_date": dt.date(2022, 3, 14)}
    assert form.listing(typed) == {"bed": 3.0, "zip_code": "01001", "prev_sold_date": "2022-03-14"}
