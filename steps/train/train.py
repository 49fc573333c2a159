"""Fits the candidate on the whole train part, and says what it was made from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from steps.common import booster
from steps.common.booster import Fitted, Parameters
from steps.common.columns import Columns
from steps.common.features import FEATURES_VERSION
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION, TRAIN_BUCKETS, Listing
from steps.common.store.clean import Listings

SEED: Final = 20_260
GOLDEN_ROWS: Final = 20
# What every model must be able to price, though few rows look like it: nothing optional given, nothing known.
_STRANGE: Final = {
    "status": "never_seen", "state": "nowhere", "city": "nowhere", "zip_code": "99999", "brokered_by": "never seen",
}  # fmt: skip
_OPTIONAL: Final = ("acre_lot", "city", "brokered_by", "prev_sold_date")


class HeldOutRowsSeen(Exception):
    """Rows of the test part were handed to training; nothing was fitted."""


def fit(train: Listings, parameters: Parameters, trees: int, threads: int, seed: int = SEED) -> Fitted:
    """Fit the candidate on listings of buckets 20 to 99; raises HeldOutRowsSeen for any other."""
    strange = ~np.isin(train.bucket, list(TRAIN_BUCKETS))
    if strange.any():
        raise HeldOutRowsSeen(f"{int(strange.sum())} rows of the test part among {len(train)} rows to train on")
    return booster.fit(train.columns, train.price, train.bucket, parameters, trees, threads, seed)


def golden(train: Listings) -> list[Listing]:
    """Return twenty listings whose prices a loaded model must repeat: from all over the data, and two odd ones."""
    places = np.linspace(0, len(train) - 1, GOLDEN_ROWS - 2).astype(int)
    found = [_listing(train.columns, int(place)) for place in places]
    bare = found[0].model_copy(update=dict.fromkeys(_OPTIONAL))
    return [*found, bare, found[-1].model_copy(update=_STRANGE)]


def _listing(columns: Columns, row: int) -> Listing:
    numbers = {name: float(column[row]) for name, column in columns.numbers.items()}
    known = {name: number for name, number in numbers.items() if not np.isnan(number)}
    year, month = known.pop("prev_sold_year", None), known.pop("prev_sold_month", None)
    texts = {name: category.take(np.array([row])).texts()[0] for name, category in columns.categories.items()}
    # Columns keep no day, and the features know none.
    sold = dt.date(int(year), int(month), 1) if year and month else None
    return Listing.model_validate({**known, **texts, "prev_sold_date": sold})


def card(
    *, tuned: Mapping[str, Any], frozen: Mapping[str, Any], rows: int, threads: int, made: Mapping[str, Any]
) -> dict[str, Any]:
    """Return where a model comes from.

    `tuned` is the summary of the sweep, `frozen` names the data set, `made` says when, by which build and with what.
    """
    return {
        **made,
        **frozen,
        "rows": rows,
        "parameters": dict(tuned["parameters"]),
        "trees": tuned["trees"],
        "seed": SEED,
        "threads": threads,
        "metrics": {"cv_rmse": tuned["cv_rmse"], "defaults_cv_rmse": tuned["defaults_cv_rmse"], **{
            f"{kind.replace(' ', '_')}_cv_rmse": error for kind, error in tuned["baselines"].items()
        }},
        "study": tuned["study"],
        "trial": tuned["trial"],
        "search_space": tuned["search_space"],
        "champion_version": tuned["champion_version"],
        "features_version": FEATURES_VERSION,
        "split_version": SPLIT_VERSION,
        "scope_version": SCOPE_VERSION,
    }  # fmt: skip
