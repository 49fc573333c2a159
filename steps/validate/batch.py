"""A batch as validate looks at it: every row parsed once, kept as codes of its distinct texts."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import CATEGORIES, Category, Codes, Columns, Floats, encode
from steps.common.listing import BUCKETS, NUMERIC_FIELDS, Reason, Refusal
from steps.common.rows import FieldTexts, RowParser
from steps.common.store.raw import RawRows

Mask = NDArray[np.bool_]
DATE: Final = "prev_sold_date"


@dataclass(frozen=True)
class Field:
    """One field of a batch: row i holds the text, value or refusal of `codes[i]` in `meaning`."""

    codes: Codes
    meaning: FieldTexts

    @cached_property
    def missing(self) -> Mask:
        """Tell which rows hold nothing, be it required or not."""
        absent = np.array([value is None for value in self.meaning.values], np.bool_)
        absent[[code for code, why in self.meaning.refusals.items() if why.reason is not Reason.MISSING]] = False
        return absent[self.codes]

    @cached_property
    def malformed(self) -> Mask:
        """Tell which rows hold a text that is not of the field's type."""
        wrong = np.zeros(len(self.meaning.values), np.bool_)
        wrong[[code for code, why in self.meaning.refusals.items() if why.reason is Reason.MALFORMED]] = True
        return wrong[self.codes]

    @cached_property
    def number_by_code(self) -> Floats:
        """Return each text's number, a date as its ordinal day, also where the scope refuses it; NaN for anything else.

        A change of unit may throw every value out of scope, so its median has to be seen before that.
        """
        found = np.array([_number(value) for value in self.meaning.values], np.float64)
        if self.meaning.name in NUMERIC_FIELDS:
            texts = self.meaning.texts
            for code, why in self.meaning.refusals.items():
                if why.reason is Reason.OUT_OF_SCOPE:
                    found[code] = float(texts[code] or "nan")
        return found

    @property
    def numbers(self) -> Floats:
        """Return each row's number; see `number_by_code`."""
        return self.number_by_code[self.codes]

    def category(self) -> Category:
        """Return the field as a column of texts in the form listings have, missing where refused."""
        texts = [value if isinstance(value, str) else None for value in self.meaning.values]
        codes, seen = encode(texts)
        return Category(codes[self.codes], tuple(seen))


def _number(value: object) -> float:
    if isinstance(value, dt.date):
        return float(value.toordinal())
    return float(value) if isinstance(value, int | float) else np.nan


@dataclass(frozen=True)
class Batch:
    """The rows of a batch: its fields, which house each row is, and how many are refused for what."""

    number: int
    fields: dict[str, Field]
    property_id: NDArray[np.int64]
    kept: Mask
    refused: Counter[Refusal]

    def __len__(self) -> int:
        return len(self.property_id)

    @cached_property
    def bucket(self) -> NDArray[np.int64]:
        """Return the bucket 0 to 99 of each row's house."""
        return self.property_id % BUCKETS

    @cached_property
    def columns(self) -> Columns:
        """Return every row as a model's listing; only those of `kept` are ones."""
        numbers = {name: self.fields[name].numbers for name in NUMERIC_FIELDS if name != "price"}
        sold = [value if isinstance(value, dt.date) else None for value in self.fields[DATE].meaning.values]
        codes = self.fields[DATE].codes
        numbers["prev_sold_year"] = np.array([day.year if day else np.nan for day in sold], np.float64)[codes]
        numbers["prev_sold_month"] = np.array([day.month if day else np.nan for day in sold], np.float64)[codes]
        return Columns(numbers, {name: self.fields[name].category() for name in CATEGORIES})

    @property
    def price(self) -> Floats:
        """Return each row's price in dollars, also of refused rows."""
        return self.fields["price"].numbers


def gather(number: int, rows: Iterable[RawRows]) -> Batch:
    """Return a batch whose rows come some at a time, in their order."""
    parser = RowParser()
    codes: dict[str, list[Codes]] = {name: [np.empty(0, np.int32)] for name in parser.fields}
    houses: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    kept: list[Mask] = [np.empty(0, np.bool_)]
    refused: Counter[Refusal] = Counter()
    for some in rows:
        parsed = parser.parse(some.fields)
        for name, found in parsed.codes.items():
            codes[name].append(np.array(found, np.int32))
        houses.append(np.array(parsed.property_id, np.int64))
        mask = np.ones(len(parsed), np.bool_)
        mask[list(parsed.refused)] = False
        kept.append(mask)
        refused.update(parsed.refused.values())
    fields = {name: Field(np.concatenate(codes[name]), parser.fields[name]) for name in codes}
    return Batch(number, fields, np.concatenate(houses), np.concatenate(kept), refused)
