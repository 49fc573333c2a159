"""The peer of fetch, as a notebook would do it: get, `json.loads`, `DataFrame.to_sql`; prints seconds and memory."""

from __future__ import annotations

import json
import resource
import sys
import time

import httpx
import pandas as pd
from sqlalchemy import create_engine


def main(source: str, database: str) -> None:
    """Take the answer of a source into the table `peer`; a connection to the database is open beforehand."""
    engine = create_engine(database)
    engine.connect().close()
    began = time.perf_counter()
    answer = json.loads(httpx.get(f"{source}/data?group_number=1", timeout=600).content)
    pd.DataFrame(answer["data"]).to_sql("peer", engine, index=False)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    json.dump({"seconds": seconds, "peak_mb": peak}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
