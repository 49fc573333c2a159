"""From a body to prices: parses listings as strictly as the API's schema says, and prices them with one champion.

Plain values in and out; a listing that is none becomes the reason it was refused, in the pipeline's own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from steps.common.bundle import Bundle
from steps.common.columns import from_listings
from steps.common.listing import LISTING_FIELDS, Listing, Reason, Refusal, broken_rule

MOST_ROWS: Final = 10_000
# A listing has some 500 bytes. Each key it should not have becomes an error of a kilobyte, and a body of megabytes, all
# of it such keys, once took a gigabyte.
LISTING_BYTES: Final = 64 << 10
_COLONS_A_ROW: Final = 16  # eleven after the keys, and some in texts
_SENT_CHARACTERS: Final = 200
_FIELD_CHARACTERS: Final = 80
_NOT_JSON: Final = "json_invalid"


class BatchOfListings(BaseModel):
    """Up to 10,000 listings; each gets a price or the reason it has none."""

    model_config = ConfigDict(extra="forbid", title="BatchOfListings")

    listings: Annotated[list[Listing], Field(min_length=1, max_length=MOST_ROWS, title="Listings")]


class NotJson(Exception):
    """The body is not JSON."""


class NoBatch(Exception):
    """The body is JSON and no batch of listings; the refusal says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.field}: {refusal.rule}")
        self.refusal = refusal


@dataclass(frozen=True)
class Batch:
    """The rows of a batch in their order: listings by position, and what was sent where there is none, with why."""

    rows: int
    listings: Mapping[int, Listing]
    refused: Mapping[int, tuple[object, Refusal]]


_listing: Final = Listing.__pydantic_validator__.validate_json
_batch: Final = BatchOfListings.__pydantic_validator__.validate_json
_LISTINGS: Final = TypeAdapter(list[Listing])
to_json_one: Final = Listing.__pydantic_serializer__.to_json
to_json_many: Final = _LISTINGS.dump_json


def parse(body: bytes) -> Listing | tuple[Refusal, ...]:
    """Return the listing a body holds, or every rule it breaks; raise NotJson."""
    try:
        found: Listing = _listing(body, strict=True)
    except ValidationError as error:
        faults = _faults(error)
        return tuple(_bounded(broken_rule(fault)) for fault in faults[: len(LISTING_FIELDS)])
    return found


def parse_batch(body: bytes, most_rows: int) -> Batch:
    """Return a batch's rows; raise NotJson, or NoBatch where it is not a list of 1 to `most_rows` things."""
    if len(body) > LISTING_BYTES and body.count(b":") > _COLONS_A_ROW * most_rows:
        raise NoBatch(Refusal(Reason.OUT_OF_SCOPE, "listings", f"more fields than {most_rows:,} listings have"))
    try:
        listings = _batch(body, strict=True).listings
    except ValidationError as error:
        faults = _faults(error)
    else:
        _refuse_too_many(len(listings), most_rows)
        return Batch(len(listings), dict(enumerate(listings)), {})
    outside = next((fault for fault in faults if len(fault["loc"]) < 2 or fault["type"] == "too_long"), None)  # noqa: PLR2004  # ("listings", row, …)
    if outside is not None:
        raise NoBatch(_bounded(broken_rule(outside)))
    refusals: dict[int, Refusal] = {}
    for fault in faults:
        row = int(fault["loc"][1])
        if row not in refusals:
            refusals[row] = _bounded(broken_rule({**fault, "loc": fault["loc"][2:]}))
    sent = from_json(body)["listings"]
    _refuse_too_many(len(sent), most_rows)
    good = [row for row in range(len(sent)) if row not in refusals]
    parsed = _LISTINGS.validate_json(to_json([sent[row] for row in good]), strict=True)
    refused = {row: (bounded(sent[row]), why) for row, why in refusals.items()}
    return Batch(len(sent), dict(zip(good, parsed, strict=True)), refused)


def _faults(error: ValidationError) -> Sequence[Mapping[str, Any]]:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == _NOT_JSON:
        raise NotJson(faults[0]["msg"]) from None
    return faults


def _refuse_too_many(rows: int, most_rows: int) -> None:
    if rows > most_rows:
        raise NoBatch(Refusal(Reason.OUT_OF_SCOPE, "listings", f"at most {most_rows:,} listings are taken at once"))


def _bounded(refusal: Refusal) -> Refusal:
    """Return a refusal whose field, which may be anything a caller made up, is no longer than a field's name."""
    return Refusal(refusal.reason, refusal.field[:_FIELD_CHARACTERS], refusal.rule)


def sent(body: bytes) -> object:
    """Return what a refused body held, bounded; of one that no listing is as long as, the beginning."""
    if len(body) > LISTING_BYTES:
        return {"sent": body[:_SENT_CHARACTERS].decode(errors="replace")}
    try:
        return bounded(from_json(body))
    except ValueError:
        return {"sent": body[:_SENT_CHARACTERS].decode(errors="replace")}


def bounded(value: object) -> object:
    """Return the known fields of what was sent, cut short: what is kept of it may be anybody's name or a novel."""
    if not isinstance(value, dict):
        return {"sent": _scalar(value)}
    return {name: _scalar(value[name]) for name in LISTING_FIELDS if name in value}


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) < 1e15:  # noqa: PLR2004  # beyond it, and for NaN, the text is exact
        return value
    return value[:_SENT_CHARACTERS] if isinstance(value, str) else repr(value)[:_SENT_CHARACTERS]


def prices(bundle: Bundle, listings: Sequence[Listing]) -> tuple[list[float], list[list[str]]]:
    """Return listings' prices in dollars, rounded to the cent, and the fields of each whose value the model never saw.

    As columns, which takes a third of the time of one after the other.
    """
    unseen: list[list[str]] = [[] for _ in listings]
    if not listings:
        return [], unseen
    columns = from_listings(listings)
    for field, rows in bundle.encodings.unseen_rows(columns).items():
        for row in rows.nonzero()[0].tolist():
            unseen[row].append(field)
    return bundle.prices(columns).tolist(), unseen
