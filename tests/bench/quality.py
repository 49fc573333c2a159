"""How good the model that a sweep ends with is: on the test part, and on every row of it that can be read at all.

The second takes in the rows that are out of the model's scope (a house for $1, a lot of 100,000 acres), which clean
refuses: what the scope spares the figures is shown, not hidden. Rows with a field missing or malformed stay out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection

from steps.common import booster
from steps.common.booster import Fitted
from steps.common.listing import NUMERIC_FIELDS, TEST_BUCKETS, Reason, Refusal, bucket, parse_field, property_id
from steps.common.rows import FIELDS
from steps.common.store import clean, raw
from steps.common.store.clean import READ, Listings
from steps.common.store.copying import written
from steps.evaluate.scores import metrics

type Row = Mapping[str, str | None]


def quality(
    fitted: Fitted, in_clean: Connection, in_raw: Connection, source_id: str, batches: range
) -> dict[str, dict[str, Any]]:
    """Return rows and metrics on the `test part` and on `all parseable` rows of it."""
    test = clean.read(in_clean, source_id, batches, TEST_BUCKETS)
    beyond = clean.from_cells(_cells(out_of_scope(in_raw, source_id, batches)))
    return {"test part": _figures(fitted, [test]), "all parseable": _figures(fitted, [test, beyond])}


def out_of_scope(connection: Connection, source_id: str, batches: range) -> Iterator[tuple[int, int, Row]]:
    """Yield batch, row number and texts of the test part's rows that are refused for nothing but their scope."""
    for number in batches:
        for some in raw.read_rows(connection, source_id, number):
            for position, row_number in enumerate(some.numbers):
                row = {name: column[position] for name, column in some.fields.items()}
                if bucket(property_id(row)) in TEST_BUCKETS and _only_out_of_scope(row):
                    yield number, row_number, row


def _only_out_of_scope(row: Row) -> bool:
    found = [parse_field(name, row[name]) for name in FIELDS]
    refused = [why for why in found if isinstance(why, Refusal)]
    return bool(refused) and all(why.reason is Reason.OUT_OF_SCOPE and why.field in NUMERIC_FIELDS for why in refused)


def _cells(rows: Iterable[tuple[int, int, Row]]) -> Iterator[dict[str, list[str]]]:
    for batch_number, row_number, row in rows:
        house = property_id(row)
        values = {name: parse_field(name, row[name]) for name in FIELDS}
        fields = {
            name: written(float(row[name] or "nan") if isinstance(value, Refusal) else value)
            for name, value in values.items()
        }
        keys = {"property_id": house, "bucket": bucket(house), "batch_number": batch_number, "row_number": row_number}
        cells = {**{name: str(key) for name, key in keys.items()}, **fields}
        yield {name: [cells[name]] for name in READ}


def _figures(fitted: Fitted, parts: list[Listings]) -> dict[str, Any]:
    price = np.concatenate([part.price for part in parts])
    predicted = np.concatenate([booster.prices(fitted, part.columns) for part in parts if len(part)])
    return {"rows": len(price), **metrics(price, predicted).model_dump()}
