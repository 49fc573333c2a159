"""What the model is told about a property: names, types, bounds, units and normalising, each said once.

`Listing` is what a caller of the API sends and what a model reads; `PricedListing` is the same with its price.
`parse` turns the twelve values of a source's row into one or the other: a listing, or the reason it was refused;
`parse_field` does it for one value, for whoever reads many rows (`steps.common.rows`).
`property_id` decides which house a row is, hence whether it is ever used for training.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema

# Changing a bound below changes which houses count: raise the version, and the comparison with the champion restarts.
SCOPE_VERSION: Final = "scope_v1"
# What was judged or cleaned without a word of its scope is of this one: there was no other before the word was kept.
FIRST_SCOPE_VERSION: Final = "scope_v1"
# Frozen for ever: a house that moved from test to train would have been seen by the champion it tests.
SPLIT_VERSION: Final = "split_v1"
BUCKETS: Final = 100
TEST_BUCKETS: Final = range(20)
TRAIN_BUCKETS: Final = range(20, BUCKETS)

_ZIP: Final = re.compile(r"\s*([0-9]{1,5})(?:\.0*|-[0-9]{4})?\s*")
# Whole floats beyond this are no longer exact, so their shortest form keeps its exponent.
_EXACT: Final = 1e15
_EXACT_DIGITS: Final = 15
_NO_FRACTION: Final = frozenset({"", "0"})
_MISSING_TEXT: Final = frozenset({None, "", "NaN", "nan", "None", "null"})


class Reason(StrEnum):
    """Why a row is not a listing."""

    MISSING = "MISSING"
    MALFORMED = "MALFORMED"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not a listing: the reason, the field it lies in, and the rule in words."""

    reason: Reason
    field: str
    rule: str


def shortest(value: str) -> str:
    """Return a number's shortest form (`1001.0` is `1001`), any other text as it is."""
    whole = _whole(value)
    if whole is not None:
        return whole
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() and abs(number) < _EXACT else repr(number)


def _whole(value: str) -> str | None:
    """Return the digits of a plain whole number, with or without `.0`, None for any other text.

    Nearly every identifier is one, and every row has two: `float` and back took a second for a million rows.
    """
    whole, _, rest = value.partition(".")
    plain = rest in _NO_FRACTION and whole.isascii() and whole.isdigit() and whole[0] != "0"
    return whole if plain and len(whole) <= _EXACT_DIGITS else None


@lru_cache(maxsize=1 << 17)
def _five_digits(text: str) -> str:
    found = _ZIP.fullmatch(text)
    if found is None:
        raise ValueError("must be a US zip code of up to five digits")
    return found[1].zfill(5)


def _zip_code(value: object) -> object:
    if isinstance(value, str):
        return _five_digits(value)
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return _five_digits(shortest(str(value))) if known else value


def _identifier(value: object) -> object:
    if isinstance(value, str):
        return shortest(value.strip())
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return shortest(str(value)) if known else value


# What a field of a listing may hold.
type Value = str | float | dt.date | None
# A text of blanks alone is empty once it is trimmed; without the pattern the schema would not say so.
_NOT_BLANK: Final = {"pattern": r"\S"}
_TEXT_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 80, **_NOT_BLANK}
Category = Annotated[str, Field(min_length=1, max_length=80, json_schema_extra=_NOT_BLANK)]
# The length before the function: after it pydantic checks it in Python, which took twice as long as all the rest.
Identifier = Annotated[
    str, Field(min_length=1, max_length=80), BeforeValidator(_identifier),
    WithJsonSchema({"anyOf": [_TEXT_SCHEMA, {"type": "number"}]}),
]  # fmt: skip
ZipCode = Annotated[
    str, BeforeValidator(_zip_code),
    WithJsonSchema({"anyOf": [
        {"type": "string", "pattern": rf"^{_ZIP.pattern}$"}, {"type": "integer", "minimum": 0, "maximum": 99_999},
    ]}),
]  # fmt: skip


class Listing(BaseModel):
    """One property as the model knows it: texts trimmed and in lower case, the zip code as five digits."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, str_to_lower=True, allow_inf_nan=False
    )

    status: Category = Field(
        title="Status", description="Kind of sale: for_sale, sold, ready_to_build or another", examples=["for_sale"]
    )
    bed: float = Field(ge=1, le=50, title="Bedrooms", description="Number of bedrooms", examples=[3])
    bath: float = Field(ge=1, le=50, title="Bathrooms", description="Number of bathrooms", examples=[2])
    house_size: float = Field(
        ge=100, le=50_000, title="Living area", description="Living area in square feet", examples=[1800],
        json_schema_extra={"x-unit": "sq ft"},
    )  # fmt: skip
    state: Category = Field(title="State", description="Name of the state or territory", examples=["Massachusetts"])
    zip_code: ZipCode = Field(title="Zip code", description="Five digits, leading zeros kept", examples=["01001"])
    acre_lot: float | None = Field(
        default=None, ge=0, le=10_000, title="Lot", description="Size of the lot in acres", examples=[0.25],
        json_schema_extra={"x-unit": "acres"},
    )  # fmt: skip
    city: Category | None = Field(default=None, title="City", description="Name of the city", examples=["Agawam"])
    street: Identifier | None = Field(
        default=None, title="Street", description="The source's number for the street address", examples=["1962661"]
    )
    brokered_by: Identifier | None = Field(
        default=None, title="Broker", description="The source's number for the broker", examples=["103378"]
    )
    prev_sold_date: dt.date | None = Field(
        default=None, ge=dt.date(1800, 1, 1), le=dt.date(2100, 1, 1),
        title="Previous sale", description="Date of the sale before, YYYY-MM-DD", examples=["2022-03-14"],
    )  # fmt: skip


class PricedListing(Listing):
    """A listing with the price asked or paid for it, in US dollars."""

    price: float = Field(
        ge=10_000, le=10_000_000, title="Price", description="Price in US dollars", examples=[250_000],
        json_schema_extra={"x-unit": "USD"},
    )  # fmt: skip


LISTING_FIELDS: Final = tuple(Listing.model_fields)
# The order of the source's own keys, which is the order of the columns in RAW.
SOURCE_FIELDS: Final = (
    "brokered_by", "status", "price", "bed", "bath", "acre_lot", "street", "city", "state", "zip_code", "house_size",
    "prev_sold_date",
)  # fmt: skip
NUMERIC_FIELDS: Final = ("price", "bed", "bath", "acre_lot", "house_size")
# Numbers in the source's answer; identifiers and zip codes are numbers there although nobody adds them up.
SOURCE_NUMBERS: Final = frozenset({*NUMERIC_FIELDS, "brokered_by", "street", "zip_code"})

_validate: Callable[[Mapping[str, str | None]], PricedListing] = PricedListing.__pydantic_validator__.validate_python
# The same fields one by one, with the model's own rules on texts and numbers.
_FIELD_RULES: Final = ConfigDict(str_strip_whitespace=True, str_to_lower=True, allow_inf_nan=False)
_VALIDATE_FIELD: Final[dict[str, Callable[[object], Value]]] = {
    name: TypeAdapter[Value](field.rebuild_annotation(), config=_FIELD_RULES).validator.validate_python
    for name, field in PricedListing.model_fields.items()
}
_IDENTIFIERS: Final = frozenset({"street", "brokered_by"})
_REQUIRED: Final = frozenset(name for name, field in PricedListing.model_fields.items() if field.is_required())
_OUT_OF_SCOPE: Final = frozenset({"greater_than_equal", "less_than_equal"})
_EMPTY: Final = "string_too_short"


def parse(raw: Mapping[str, str | None]) -> PricedListing | Refusal:
    """Return the listing a source's row holds, or why it holds none.

    `raw` maps the twelve source fields to their text as received; None, a blank text and `NaN` are missing.
    The first broken rule in the order of the fields is the one reported. Never raises.
    """
    given = {name: text for name, text in raw.items() if not is_missing(text)}
    try:
        return _validate(given)
    except ValidationError as error:
        return _refusal(error)


def parse_field(name: str, text: str | None) -> Value | Refusal:
    """Return what one field's text means: the value `parse` would give the listing, or the refusal. Never raises."""
    if text is None or is_missing(text):
        return Refusal(Reason.MISSING, name, "is required") if name in _REQUIRED else None
    # The rules of an identifier leave such a number as it is, and there is a new one in nearly every row.
    if name in _IDENTIFIERS and (whole := _whole(text)) is not None:
        return whole
    try:
        return _VALIDATE_FIELD[name](text)
    except ValidationError as error:
        return _refusal(error, name)


def is_missing(text: str | None) -> bool:
    """Tell whether a raw text says nothing: None, a blank one, or a word for a gap such as `NaN`."""
    return text in _MISSING_TEXT or (text is not None and text.isspace())


def _refusal(error: ValidationError, field: str | None = None) -> Refusal:
    return broken_rule(error.errors(include_url=False, include_context=False, include_input=False)[0], field)


def broken_rule(fault: Mapping[str, Any], field: str | None = None) -> Refusal:
    """Return one of pydantic's error details on a listing, or on the field named, as the reason for its refusal."""
    kind = str(fault["type"])
    field = field or (str(fault["loc"][0]) if fault["loc"] else "listing")
    if kind == _EMPTY and field not in _REQUIRED:
        return Refusal(Reason.MISSING, field, "is empty; null says that it is not known")
    if kind in {_EMPTY, "missing"}:
        return Refusal(Reason.MISSING, field, "is required")
    reason = Reason.OUT_OF_SCOPE if kind in _OUT_OF_SCOPE else Reason.MALFORMED
    return Refusal(reason, field, str(fault["msg"]))


def property_id(raw: Mapping[str, str | None]) -> int:
    """Return which house a row is, as a whole number of 63 bits, under the frozen rule `split_v1`.

    The rule: BLAKE2b of street and zip code as received, numbers in their shortest form; city and state too where
    the street is missing. It does not look at any normalised value, so that no change of normalising moves a house
    from one part to the other.
    """
    names = ("street", "zip_code") if raw.get("street") else ("city", "state", "zip_code")
    return house_at("|".join(shortest(raw.get(name) or "") for name in names))


def house_at(place: str) -> int:
    """Return the property id of a place whose parts are in their shortest form, joined by `|`; see `property_id`."""
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest()) >> 1


def bucket(house: int) -> int:
    """Return the bucket 0 to 99 of a property: 0 to 19 are test for ever, 20 to 99 are for training."""
    return house % BUCKETS
