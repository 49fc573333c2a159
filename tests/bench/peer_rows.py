"""What both peers of validate and clean begin with: a batch from RAW as a frame, and each row parsed by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from sqlalchemy import Engine, text

from steps.common.listing import SOURCE_FIELDS, PricedListing, Refusal, parse

Row = dict[str, str | None]

_BATCH = text(
    f"SELECT row_number, {', '.join(SOURCE_FIELDS)} FROM listings "  # noqa: S608  # our own names
    "WHERE source_id = :source_id AND batch_number = :batch ORDER BY row_number"
)


def parsed(raw: Engine, source_id: str, batch: int) -> Iterator[tuple[int, Row, PricedListing | Refusal]]:
    """Yield each row of a batch: its number, its texts, what it means."""
    frame = pd.read_sql(_BATCH, raw, params={"source_id": source_id, "batch": batch})
    frame = frame.astype(object).where(frame.notna(), None)
    for number, *texts in frame.itertuples(index=False, name=None):
        row = dict(zip(SOURCE_FIELDS, texts, strict=True))
        yield number, row, parse(row)
