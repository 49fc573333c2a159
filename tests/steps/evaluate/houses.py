"""A market with a known density and price function, as columns, in any size; and models fitted on it."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from steps.common import booster
from steps.common.booster import Fitted, Parameters
from steps.common.columns import Category, Columns
from steps.common.evidence import Infrastructure, Model, NoiseFloor, Stored
from steps.common.listing import BUCKETS, SCOPE_VERSION, SPLIT_VERSION
from steps.common.store.clean import Listings
from steps.evaluate.evaluate import Comparison, Entry, evaluate
from steps.evaluate.scores import Scored, constant, metrics, score

STATES: Final = ("ohio", "maine", "texas", "utah")
LEVELS: Final = np.array([0.8, 1.0, 1.1, 1.4])
ZIPS: Final = 40
STATUSES: Final = ("for_sale", "sold")
TREES: Final = 60
PARAMETERS: Final = {**booster.DEFAULTS, "depth": 5}


def draw(
    rows: int, seed: int, *, batch: int = 0, spread: float = 0.25, twins: bool = False, larger: float = 0.0,
    dearer: float = 1.0, states: Sequence[str] = STATES,
) -> Listings:  # fmt: skip
    """Return houses whose log price is a simple function of them plus a normal error of standard deviation `spread`.

    With `twins` every second row is the house before it, listed again. `larger` moves the mean of log size, `dearer`
    is a factor on every price, `states` is where the houses are: the three causes of a change that can be planted.
    """
    stream = np.random.default_rng(seed)
    size = np.exp(stream.normal(7.4 + larger, 0.35, rows)).round()
    state = np.array([STATES.index(name) for name in states])[stream.integers(0, len(states), rows)]
    zips = stream.integers(0, ZIPS, rows)
    status = (stream.random(rows) < 0.3).astype(np.int32)  # three in ten are sold
    level = np.log(LEVELS[state]) + 0.3 * np.sin(zips)
    price = np.exp(11.9 + 0.7 * (np.log(size) - 7.4) + level + stream.normal(0, spread, rows))
    price = (dearer * price).round()
    house = stream.integers(0, 1 << 62, rows)
    if twins:
        house[1::2] = house[: len(house) // 2 * 2 : 2]
    numbers = {
        "bed": stream.integers(1, 6, rows).astype(np.float64), "bath": stream.integers(1, 4, rows).astype(np.float64),
        "acre_lot": np.full(rows, np.nan), "house_size": size, "prev_sold_year": np.full(rows, np.nan),
        "prev_sold_month": np.full(rows, np.nan),
    }  # fmt: skip
    nothing = np.full(rows, -1, np.int32)
    categories = {
        "status": Category(status, STATUSES),
        "state": Category(state.astype(np.int32), STATES),
        "city": Category(nothing, ()),
        "zip_code": Category(zips.astype(np.int32), tuple(f"{number:05}" for number in range(ZIPS))),
        "brokered_by": Category(nothing, ()),
    }
    return Listings(
        Columns(numbers, categories), price, house, house % BUCKETS, np.full(rows, batch, np.int64),
        np.arange(rows, dtype=np.int64),
    )  # fmt: skip


def together(*parts: Listings) -> Listings:
    """Return several draws as one, in their order."""
    first = parts[0].columns
    numbers = {name: np.concatenate([part.columns.numbers[name] for part in parts]) for name in first.numbers}
    categories = {
        name: Category(np.concatenate([part.columns.categories[name].codes for part in parts]), held.values)
        for name, held in first.categories.items()
    }
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("price", "property_id", "bucket", "batch_number", "row_number")
    }
    return Listings(Columns(numbers, categories), **joined)


def held_out(rows: Listings) -> Listings:
    """Return the rows of buckets 0 to 19."""
    return rows.take(rows.bucket < 20)  # the frozen rule


def train_part(rows: Listings) -> Listings:
    """Return the rows of buckets 20 to 99."""
    return rows.take(rows.bucket >= 20)  # the frozen rule


def fit(rows: Listings, seed: int = 1) -> Fitted:
    """Return a model of the train part of some rows."""
    return fit_all(train_part(rows), seed)


def fit_all(rows: Listings, seed: int = 1, parameters: Parameters = PARAMETERS, trees: int = TREES) -> Fitted:
    """Return a model of all of some rows."""
    return booster.fit(rows.columns, rows.price, rows.bucket, parameters, trees, 1, seed)


def scored(version: int, fitted: Fitted, rows: Listings) -> Scored:
    """Return what a model says of some rows, bound to them."""
    return score(version, rows, lambda columns: booster.prices(fitted, columns))


def compared(
    rows: Listings, candidate: Scored, champion: Scored | None, *, trained_on: tuple[int, ...] = (0,),
    noise: float = 0.001,
) -> dict[str, object]:  # fmt: skip
    """Return the evidence on two scored models as promote reads it; the champion was trained on some batches."""

    def entry(one: Scored, batches: tuple[int, ...]) -> Entry:
        return Entry(Model(
            version=one.version, batches=batches, split_version=SPLIT_VERSION, scope_version=SCOPE_VERSION,
            metrics=metrics(rows.price, one.prices),
        ), one)  # fmt: skip

    batches = tuple(int(number) for number in np.unique(rows.batch_number))
    found = evaluate(Comparison(
        rows=rows,
        batches=batches,
        known_zips=[f"{number:05}" for number in range(ZIPS - 2)],
        candidate=entry(candidate, batches),
        champion=entry(champion, trained_on) if champion else None,
        previous=None,
        baseline=constant(rows, float(np.median(rows.price))),
        alias_ever_set=champion is not None,
        noise_floor=NoiseFloor(
            search_space="s", scope_version=SCOPE_VERSION, rows=1, seeds=(1, 2, 3), rmse=(1.0, 1.0, 1.0), share=noise
        ),
        infrastructure=Infrastructure(
            golden_rows=20, golden_equal=True, milliseconds_per_1000_rows=5, megabytes=200
        ),
        errors=Stored(uri="mlflow-artifacts:/1/r/artifacts/errors.npz", sha256="a" * 64, bytes=1),
        scored=[candidate.version],
        notes=[],
    ))  # fmt: skip
    return found.model_dump(mode="json")
