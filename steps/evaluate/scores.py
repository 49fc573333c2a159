"""A version's prices on the test rows, its errors, and the proof that two versions were scored on the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import Columns, Floats
from steps.common.evidence import Metrics
from steps.common.resampling import Properties
from steps.common.store.clean import Listings

# What a price is compared with where there is no model at all.
BASELINE: Final = 0


class RowsDiffer(Exception):
    """Two versions were scored on different rows; their errors are not to be compared."""


@dataclass(frozen=True)
class Scored:
    """What a version (0: the baseline) says of the rows with this digest, in dollars and in their order."""

    version: int
    rows_digest: str
    prices: Floats


def rows_digest(rows: Listings) -> str:
    """Return one sha256 over which rows these are, in order, and what they cost."""
    state = hashlib.sha256()
    for column in (rows.batch_number, rows.row_number, rows.property_id, rows.price):
        state.update(np.ascontiguousarray(column).tobytes())
    return state.hexdigest()


def score(version: int, rows: Listings, predict: Callable[[Columns], Floats]) -> Scored:
    """Return a version's prices for some rows, bound to these rows."""
    return Scored(version, rows_digest(rows), np.asarray(predict(rows.columns), np.float64))


def constant(rows: Listings, price: float) -> Scored:
    """Return what always saying one price comes to: the baseline any model must beat."""
    return Scored(BASELINE, rows_digest(rows), np.full(len(rows), price))


def refuse_other_rows(rows: Listings, *scored: Scored) -> None:
    """Raise RowsDiffer unless every version was scored on exactly these rows."""
    digest = rows_digest(rows)
    for one in scored:
        if one.rows_digest != digest or len(one.prices) != len(rows):
            raise RowsDiffer(
                f"version {one.version} was scored on other rows ({one.rows_digest[:12]}, not {digest[:12]})"
            )


def metrics(price: Floats, predicted: Floats) -> Metrics:
    """Return the errors of predicted prices in dollars; a figure that is not a number is None, as on no rows."""
    if not len(price):
        return Metrics(rmse=None, mae=None, r2=None, mdape=None, rmsle=None)
    with np.errstate(all="ignore"):
        error = predicted - price
        squared = float(np.mean(error**2))
        spread = float(np.var(price))
        return Metrics(
            rmse=_number(np.sqrt(squared)),
            mae=_number(np.mean(np.abs(error))),
            r2=_number(1 - squared / spread) if spread else None,
            mdape=_number(np.median(np.abs(error) / price)),
            rmsle=_number(np.sqrt(np.mean((np.log1p(predicted) - np.log1p(price)) ** 2))),
        )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def unmeasured(of: str, found: Metrics) -> list[str]:
    """Return a sentence for each figure of a model that is not a number."""
    names = [name for name, value in found if value is None]
    return [f"{name} of {of} is not a number, so it is left out and nothing is decided from it." for name in names]


def errors_file(rows: Listings, houses: Properties, scored: list[Scored]) -> bytes:
    """Return an .npz with each test property's id, its rows, and its sum of squared errors (dollars²) per version.

    Arrays: `property_id` int64, `rows` int32, `squared_<version>` float64. The same input gives the same bytes.
    """
    refuse_other_rows(rows, *scored)
    arrays: dict[str, NDArray[np.int64] | NDArray[np.int32] | Floats] = {
        "property_id": houses.ids,
        "rows": np.bincount(houses.place, minlength=len(houses.ids)).astype(np.int32),
    }
    for one in scored:
        arrays[f"squared_{one.version}"] = houses.sums((one.prices - rows.price) ** 2)
    written = BytesIO()
    np.savez_compressed(written, allow_pickle=False, **arrays)
    return written.getvalue()
