"""The form, read out of the API's own OpenAPI document: a new field of `Listing` appears without an edit here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Json = Mapping[str, Any]
Kind = Literal["number", "text", "date", "choice"]

# With more values than this a list is no help; what is typed is then checked by the model.
MOST_CHOICES: Final = 80
_NUMBERS: Final = frozenset({"number", "integer"})
_REFERENCE: Final = "#/components/schemas/"


class SchemaUnreadable(Exception):
    """The document holds no listing a form could be made from."""


@dataclass(frozen=True)
class Field:
    """One field of the form; `minimum` and `maximum` are numbers, or days of a date."""

    name: str
    kind: Kind
    title: str
    description: str
    unit: str
    required: bool
    whole: bool
    minimum: float | None
    maximum: float | None
    example: Any


def fields(document: Json, schema: str = "Listing") -> tuple[Field, ...]:
    """Return the fields of a schema in its order; raise SchemaUnreadable where there is none."""
    schemas = document.get("components", {}).get("schemas", {})
    listing = schemas.get(schema)
    if not isinstance(listing, Mapping) or not listing.get("properties"):
        raise SchemaUnreadable(f"the OpenAPI document has no schema {schema} with properties")
    required = frozenset(listing.get("required", ()))
    return tuple(_field(name, found, name in required, schemas) for name, found in listing["properties"].items())


def _field(name: str, found: Json, required: bool, schemas: Json) -> Field:
    shape = _shape(found, schemas)
    merged = {**shape, **{key: value for key, value in found.items() if key not in {"anyOf", "$ref"}}}
    kind: Kind = "text"
    if shape.get("type") in _NUMBERS:
        kind = "number"
    elif shape.get("format") == "date":
        kind = "date"
    elif shape.get("enum"):
        kind = "choice"
    examples = merged.get("examples") or shape.get("enum") or [merged.get("default")]
    return Field(
        name, kind, str(merged.get("title") or name.replace("_", " ").capitalize()),
        str(merged.get("description") or ""), str(merged.get("x-unit") or ""), required,
        shape.get("type") == "integer", _bound(merged, "inimum"), _bound(merged, "aximum"), examples[0],
    )  # fmt: skip


def _shape(found: Json, schemas: Json) -> Json:
    """Return the first shape a value may have that is not null."""
    if "$ref" in found:
        return _shape(schemas.get(str(found["$ref"]).removeprefix(_REFERENCE), {}), schemas)
    several = [one for one in found.get("anyOf", ()) if one.get("type") != "null"]
    return _shape(several[0], schemas) if several else found


def _bound(shape: Json, ending: str) -> float | None:
    for name in (f"m{ending}", f"exclusiveM{ending}"):
        value = shape.get(name)
        if isinstance(value, int | float):
            return float(value)
    return None


def choices(field: Field, known: Json) -> list[str]:
    """Return what may be chosen for a text field, out of the values the model knows; nothing where it is typed.

    Typed are fields of many values, numbers, and what is told apart only by another field (`state|city`).
    """
    values = [str(value) for value in known.get(field.name, {}).get("values", ())]
    count = known.get(field.name, {}).get("count", 0)
    names = all(not value.isdigit() and "|" not in value for value in values)
    return values if field.kind == "text" and names and 0 < count == len(values) <= MOST_CHOICES else []


def listing(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as the API takes it: nothing for what was left empty, dates as text."""
    given = {name: value.strip() if isinstance(value, str) else value for name, value in typed.items()}
    return {
        name: value.isoformat() if isinstance(value, dt.date) else value
        for name, value in given.items()
        if value is not None and value != ""
    }


def names(found: Iterable[Field], *, required: bool) -> list[str]:
    """Return the names of the fields that must, or need not, be given."""
    return [field.name for field in found if field.required == required]
