"""The market of the drift laboratory: few places, no luxury, so that a model of its base batch knows what it can."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from local.synthetic import SCHEMA
from local.synthetic_market import STATES, Market, draw_listings
from steps.common.columns import Category, Columns, encode

BASE: Final = replace(Market(), luxury_share=0.0, states=STATES[:4], cities_per_state=4, zips_per_city=2)
BASE_ROWS: Final = 24_000

Table = dict[str, NDArray[Any]]


@cache
def base_batch() -> Table:
    """Return the batch the champion of every scenario is trained on."""
    return draw_listings(BASE, np.random.default_rng(0), BASE_ROWS)


def write_source(folder: Path, *batches: Table) -> Path:
    """Write batches as the files of a source, numbered from 0, and return the folder."""
    folder.mkdir(parents=True)
    for number, table in enumerate(batches):
        arrays = [pa.array(table[name], SCHEMA.field(name).type) for name in SCHEMA.names]
        pq.write_table(pa.table(arrays, schema=SCHEMA), folder / f"batch_{number}.parquet")
    return folder


def columns_of(table: Table) -> Columns:
    """Return a table of the source's twelve columns as a model's listings; every row of the market is one."""
    numbers = {name: np.asarray(table[name], np.float64) for name in ("bed", "bath", "acre_lot", "house_size")}
    days = [text.split("-") for text in table["prev_sold_date"].tolist()]
    numbers["prev_sold_year"] = np.array([float(year) for year, _, _ in days])
    numbers["prev_sold_month"] = np.array([float(month) for _, month, _ in days])
    texts = {
        **{name: [text.lower() for text in table[name].tolist()] for name in ("status", "state", "city")},
        "zip_code": [f"{int(number):05}" for number in table["zip_code"].tolist()],
        "brokered_by": [str(int(number)) for number in table["brokered_by"].tolist()],
    }
    categories = {}
    for name, values in texts.items():
        codes, seen = encode(values)
        categories[name] = Category(codes, tuple(seen))
    return Columns(numbers, categories)
