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
from steps.common.columns import Columns
from steps.common.listing import SOURCE_FIELDS
from steps.common.store.raw import RawRows
from steps.validate.batch import gather

BASE: Final = replace(Market(), luxury_share=0.0, states=STATES[:4], cities_per_state=4, zips_per_city=2)
BASE_ROWS: Final = 24_000

Table = dict[str, NDArray[Any]]


@cache
def base_batch() -> Table:
    """Return the batch the champion of every scenario is trained on."""
    return draw_listings(BASE, np.random.default_rng(0), BASE_ROWS)


def write_source(folder: Path, *batches: Table, first: int = 0) -> Path:
    """Write batches as the files of a source, numbered from `first`, and return the folder."""
    folder.mkdir(parents=True)
    for number, table in enumerate(batches, first):
        arrays = [pa.array(table[name], SCHEMA.field(name).type) for name in SCHEMA.names]
        pq.write_table(pa.table(arrays, schema=SCHEMA), folder / f"batch_{number}.parquet")
    return folder


def columns_of(table: Table) -> Columns:
    """Return a table of the source's twelve columns as a model's listings; every row of the market is one."""
    texts: dict[str, list[str | None]] = {name: [*map(str, table[name].tolist())] for name in SOURCE_FIELDS}
    found = gather(0, [RawRows(list(range(len(table["price"]))), texts)])
    assert found.kept.all()
    return found.columns
