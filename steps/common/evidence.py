"""What evaluate measures and promote decides from: every figure of a comparison, named once, for writer and reader.

A figure that could not be measured is None and has a sentence in `notes`; infinities and NaN are refused, so that no
comparison with one of them can ever turn out true.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Raise it when a field changes its meaning: evidence of another version is not decided from.
SCHEMA_VERSION: Final = 1
# Where a bootstrap distribution is kept: dense in the tails, where bounds and corrected tests look.
_TAIL: Final = (0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.0125, 0.0167, 0.02, 0.025, 0.0375)
PROBABILITIES: Final = (
    *_TAIL, *(step / 20 for step in range(1, 20)), *(round(1 - tail, 4) for tail in reversed(_TAIL)),
)  # fmt: skip
# From so many rows a slice's two errors are compared: fewer say nothing about a ratio, and a source may invent a
# thousand kinds of sale. A gate that asked for fewer would find no test and reject whatever came.
PAIRED_ROWS: Final = 500
# The cuts whose slices may veto a promotion, and so the only ones whose errors are compared.
GUARDED: Final = frozenset({"status", "zip_seen"})

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


class Figures(BaseModel):
    """Measured values that do not change: no field more, none less, and never infinite or not a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Metrics(Figures):
    """A model's errors on some rows: root mean square, mean absolute (dollars), R², median relative, RMS of logs."""

    rmse: NotNegative | None
    mae: NotNegative | None
    r2: float | None
    mdape: NotNegative | None
    rmsle: NotNegative | None


class Distribution(Figures):
    """A bootstrap distribution: its values at `PROBABILITIES`, from so many replicates."""

    replicates: Annotated[int, Field(ge=1000)]
    values: tuple[float, ...]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.values) != len(PROBABILITIES):
            raise ValueError(f"needs {len(PROBABILITIES)} values, has {len(self.values)}")
        if any(low > high for low, high in pairwise(self.values)):
            raise ValueError("values of a distribution never fall")
        return self

    def quantile(self, probability: float) -> float:
        """Return the value at a probability, between two kept ones in proportion; the outermost beyond them."""
        if probability <= PROBABILITIES[0]:
            return self.values[0]
        if probability >= PROBABILITIES[-1]:
            return self.values[-1]
        right = bisect_right(PROBABILITIES, probability)
        low, high = PROBABILITIES[right - 1], PROBABILITIES[right]
        share = (probability - low) / (high - low)
        return self.values[right - 1] + share * (self.values[right] - self.values[right - 1])

    @property
    def least_share(self) -> float:
        """Return the least share that so many replicates can show."""
        return 1 / (self.replicates + 1)

    def share_up_to(self, value: float) -> float:
        """Return the share of replicates up to a value; never below `least_share`."""
        if value < self.values[0]:
            return self.least_share
        if value >= self.values[-1]:
            return 1.0
        right = bisect_right(self.values, value)
        low, high = PROBABILITIES[right - 1], PROBABILITIES[right]
        share = (value - self.values[right - 1]) / (self.values[right] - self.values[right - 1])
        return max(self.least_share, low + share * (high - low))


class Gain(Figures):
    """RMSE of the champion minus RMSE of the candidate on the same rows, in dollars; above zero is better."""

    point: float
    seed: int
    distribution: Distribution


class Slice(Figures):
    """Both models on some of the rows. `new_rows` lie in batches the champion was not trained on.

    `ratio` is the distribution of RMSE(candidate) / RMSE(champion), kept for slices that may veto.
    """

    by: Literal["batch", "state", "price_band", "status", "zip_seen"]
    value: str
    rows: Count
    new_rows: Count
    candidate: Metrics
    champion: Metrics | None
    ratio: Distribution | None = None
    note: str | None = None


class Model(Figures):
    """A version that was scored: what it was trained on, under which rules, and how it did."""

    version: Annotated[int, Field(ge=1)]
    batches: tuple[int, ...]
    split_version: str
    scope_version: str
    metrics: Metrics


class NoiseFloor(Figures):
    """How much RMSE varies by the luck of training alone: fits that differ in nothing but their seed.

    `share` is their standard deviation over their mean; kept as a share, since prices of another range have errors
    of another size. Measured once for a search space and scope.
    """

    search_space: str
    scope_version: str
    rows: Annotated[int, Field(ge=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=3)]
    rmse: Annotated[tuple[NotNegative, ...], Field(min_length=3)]
    share: NotNegative


class Infrastructure(Figures):
    """Whether the version, loaded as serving loads it, answers as training did, and what it costs."""

    golden_rows: Annotated[int, Field(ge=1)]
    golden_equal: bool
    milliseconds_per_1000_rows: NotNegative
    megabytes: NotNegative
    note: str | None = None


class Stored(Figures):
    """A file in MLflow: where, and what it must be."""

    uri: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Count


class Evidence(Figures):
    """One comparison of a candidate with the version in production, on one set of test rows.

    `champion` is None when there was none; `alias_ever_set` tells the first model from a champion that was lost.
    `errors` holds the squared error per property of every version in `scored`.
    """

    schema_version: Literal[1]
    rows: Annotated[int, Field(ge=1)]
    properties: Annotated[int, Field(ge=1)]
    rows_digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    batches: tuple[int, ...]
    candidate: Model
    champion: Model | None
    alias_ever_set: bool
    previous: Model | None = None
    baseline: Metrics
    gain: Gain | None
    slices: tuple[Slice, ...]
    noise_floor: NoiseFloor
    infrastructure: Infrastructure
    errors: Stored
    scored: tuple[int, ...]
    notes: tuple[str, ...] = ()


def sha(evidence: Mapping[str, Any]) -> str:
    """Return the sha256 of evidence in one written form, whatever a database did to the order of its keys.

    JSONB also returns 1e16 as a whole number and -0.0 as 0.0; so numbers are all written as floats.
    """
    return hashlib.sha256(json.dumps(_written(evidence), sort_keys=True, allow_nan=False).encode()).hexdigest()


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _written(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_written(held) for held in value]
    return float(value) + 0.0 if isinstance(value, int | float) and not isinstance(value, bool) else value
