"""An explanation by the service's own code beside `pred_contribs` alone and `shap.TreeExplainer`, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import numpy as np

from serving.explanation import explain
from steps.common import bundle
from steps.common.features import features
from steps.common.listing import Listing

_TIMES: Final = 200
_SLOW_TIMES: Final = 5


def run(folder: Path, some: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the report: milliseconds a row, the median of many different rows."""
    import shap

    model = bundle.load(folder)
    listings = cycle([[Listing.model_validate(one)] for one in some[:500]])
    ready = shap.TreeExplainer(model.booster)
    ways: dict[str, tuple[Callable[[list[Listing]], object], int]] = {
        "pred_contribs": (model.contributions, _TIMES),
        "/explain": (lambda one: explain(model, one[0]), _TIMES),
        "TreeExplainer, ready": (lambda one: ready.shap_values(features(one, model.encodings)), _TIMES),
        "TreeExplainer, built": (
            lambda one: shap.TreeExplainer(model.booster).shap_values(features(one, model.encodings)), _SLOW_TIMES,
        ),
    }  # fmt: skip
    one = next(listings)
    theirs = ready.shap_values(features(one, model.encodings))
    assert np.allclose(theirs, model.contributions(one)[:, :-1], atol=1e-3), "the two explain differently"
    took = {}
    for name, (way, times) in ways.items():
        way(next(listings))
        took[name] = 1000 * statistics.median(_seconds(way, next(listings)) for _ in range(times))
    yield f"explaining one row, ms (shap {version('shap')}); goals: ≤ 2x pred_contribs, ≥ 3x faster than one ready"
    for name, milliseconds in took.items():
        yield f"{name:22}{milliseconds:9.2f}  {milliseconds / took['/explain']:8.1f} x /explain"


def _seconds(way: Callable[[list[Listing]], object], listing: list[Listing]) -> float:
    began = time.perf_counter()
    way(listing)
    return time.perf_counter() - began
