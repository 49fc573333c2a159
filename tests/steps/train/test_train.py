"""What training fits and says of it: never a test row, twenty golden listings, a card with everything on it."""

import numpy as np
import pytest

from steps.common.booster import DEFAULTS
from steps.common.columns import from_listings
from steps.common.features import features
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION
from steps.common.settings import Settings
from steps.common.store.clean import Listings
from steps.train import train
from steps.train.build import build
from steps.train.train import HeldOutRowsSeen
from tests.steps.common.listings import house, market

TUNED = {
    "parameters": {**DEFAULTS, "depth": 5}, "trees": 30, "cv_rmse": 20_000.0, "defaults_cv_rmse": 21_000.0,
    "baselines": {"ridge": 30_000.0, "untuned xgboost": 25_000.0}, "study": "s", "trial": 3,
    "search_space": "space_v1/features_v1", "champion_version": None,
}  # fmt: skip


def listings(rows: int, first_bucket: int = 20) -> Listings:
    houses, prices, bucket = market(rows)
    number = np.arange(rows)
    return Listings(from_listings(houses), prices, number, np.maximum(bucket, first_bucket), number * 0, number)


def test_a_single_test_row_stops_the_fit() -> None:
    rows = listings(50)
    rows.bucket[7] = 19
    with pytest.raises(HeldOutRowsSeen, match="1 rows of the test part among 50"):
        train.fit(rows, DEFAULTS, 5, 1)


def test_the_same_rows_give_the_same_model_of_so_many_trees() -> None:
    rows = listings(300)
    first, second = (train.fit(rows, TUNED["parameters"], 30, 1) for _ in range(2))  # type: ignore[arg-type]
    assert first.booster.num_boosted_rounds() == 30
    assert first.booster.save_raw("ubj") == second.booster.save_raw("ubj")
    assert first.encodings == second.encodings


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_twenty_golden_listings_that_price_like_their_rows(rows: int) -> None:
    known = listings(rows)
    golden = train.golden(known)
    assert len(golden) == 20
    fitted = train.fit(known, DEFAULTS, 3, 1)
    places = np.linspace(0, rows - 1, 18).astype(int)
    wanted = features(known.columns.take(places), fitted.encodings)
    assert features(golden[:18], fitted.encodings).tobytes() == wanted.tobytes()
    bare, strange = golden[18:]
    assert (bare.acre_lot, bare.city, bare.brokered_by, bare.prev_sold_date) == (None, None, None, None)
    assert set(fitted.encodings.unseen(strange)) == {"state", "city", "zip_code", "brokered_by", "status"}


def test_listings_without_their_optionals_become_golden_too() -> None:
    bare = [house(acre_lot=None, city=None, brokered_by=None, prev_sold_date=None, street=None)] * 3
    number = np.arange(3)
    rows = Listings(from_listings(bare), np.full(3, 2e5), number, number + 20, number, number)
    assert train.golden(rows)[0] == bare[0]


def test_a_card_names_data_parameters_and_versions() -> None:
    card = train.card(
        tuned=TUNED,
        frozen={"fingerprint": "f", "batches": [0, 1]},
        rows=10,
        threads=2,
        made={"trained_at": "now", **build(Settings(git_sha="abc"))},
    )
    assert card["parameters"] == TUNED["parameters"]
    assert (card["trees"], card["threads"], card["rows"], card["batches"]) == (30, 2, 10, [0, 1])
    assert card["git_sha"] == "abc"
    assert card["libraries"].keys() == {"python", "numpy", "scipy", "xgboost-cpu"}
    assert (card["split_version"], card["scope_version"]) == (SPLIT_VERSION, SCOPE_VERSION)
    assert card["metrics"] == {
        "cv_rmse": 20_000.0, "defaults_cv_rmse": 21_000.0, "ridge_cv_rmse": 30_000.0,
        "untuned_xgboost_cv_rmse": 25_000.0,
    }  # fmt: skip
