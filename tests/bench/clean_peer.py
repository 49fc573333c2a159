"""The peer of clean, as a notebook would do it: `read_sql`, a validated model per row, `to_sql`; prints its seconds."""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
from sqlalchemy import create_engine

from steps.common.listing import Refusal, bucket, property_id
from tests.bench.peer_rows import parsed


def main(raw_url: str, clean_url: str, source_id: str, batch: str) -> None:
    """Take a batch from RAW into the table `peer` of CLEAN; connections are open beforehand."""
    raw, clean = create_engine(raw_url), create_engine(clean_url)
    for engine in (raw, clean):
        engine.connect().close()
    began = time.perf_counter()
    kept, refused = [], 0
    for number, row, meaning in parsed(raw, source_id, int(batch)):
        if isinstance(meaning, Refusal):
            refused += 1
            continue
        house = property_id(row)
        place = {"row_number": number, "property_id": house, "bucket": bucket(house)}
        kept.append(place | meaning.model_dump())
    pd.DataFrame(kept).to_sql("peer", clean, index=False)
    json.dump({"seconds": time.perf_counter() - began, "refused": refused}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
