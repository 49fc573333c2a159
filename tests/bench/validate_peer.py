"""The peer of validate, as a notebook would do it: `read_sql`, a validated model per row, PSI in numpy; prints both.

PSI as steps/validate/drift.py defines it, over the deciles of all clean listings before. Everything else that
validate measures is left out.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import create_engine, text

from steps.common.listing import NUMERIC_FIELDS, Refusal
from tests.bench.peer_rows import parsed

_LEAST_SHARE = 1e-4
_DECILES = np.arange(1, 10) / 10
_BEFORE = text(f"SELECT {', '.join(NUMERIC_FIELDS)} FROM listings WHERE source_id = :source_id")  # noqa: S608  # our own


def main(raw_url: str, clean_url: str, source_id: str, batch: str) -> None:
    """Compare a batch in RAW with all of CLEAN; connections are open beforehand."""
    raw, clean = create_engine(raw_url), create_engine(clean_url)
    for engine in (raw, clean):
        engine.connect().close()
    began = time.perf_counter()
    meanings = [meaning for _, _, meaning in parsed(raw, source_id, int(batch))]
    kept = pd.DataFrame([meaning.model_dump() for meaning in meanings if not isinstance(meaning, Refusal)])
    before = pd.read_sql(_BEFORE, clean, params={"source_id": source_id})
    found = {name: psi(kept[name].to_numpy(float), before[name].to_numpy(float)) for name in NUMERIC_FIELDS}
    seconds = time.perf_counter() - began
    json.dump({"seconds": seconds, "refused": len(meanings) - len(kept), "psi": found}, sys.stdout)


def psi(now: NDArray[np.float64], before: NDArray[np.float64]) -> float:
    """Return the population stability index of a column; NaN is a bin of its own."""
    edges = np.unique(np.nanquantile(before, _DECILES, method="inverted_cdf"))
    p, q = (_binned(numbers, edges) for numbers in (now, before))
    used = (p > 0) | (q > 0)
    p, q = (np.maximum(rows[used] / rows.sum(), _LEAST_SHARE) for rows in (p, q))
    return float(((p - q) * np.log(p / q)).sum())


def _binned(numbers: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    missing = np.isnan(numbers)
    bins = np.bincount(np.searchsorted(edges, numbers[~missing], side="right"), minlength=len(edges) + 1)
    return np.append(bins, missing.sum())


if __name__ == "__main__":
    main(*sys.argv[1:])
