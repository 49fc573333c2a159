"""A model as files: what was written is what is read, anything else is refused, prices agree to the cent."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from steps.common import bundle
from steps.common.booster import DEFAULTS, GAMMA, Fitted, fit, milliseconds, xgboost_parameters
from steps.common.bundle import BundleBroken
from steps.common.columns import from_listings
from steps.common.features import FEATURES, features
from steps.common.margins import margins
from tests.steps.common.listings import house, market

MARKET, PRICES, BUCKETS = market(1500)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(from_listings(MARKET), PRICES, BUCKETS, DEFAULTS, 40, threads=1, seed=1)


@pytest.fixture
def folder(fitted: Fitted, tmp_path: Path) -> Path:
    bundle.write(tmp_path, fitted, MARKET[:20], {"parameters": dict(DEFAULTS), "rows": 1500})
    return tmp_path


def test_what_was_written_is_read(folder: Path, fitted: Fitted) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(bundle.FILES)
    read = bundle.load(folder)
    read.check_golden()
    assert read.card["rows"] == 1500
    assert [one.listing for one in read.golden] == MARKET[:20]
    wanted = margins(fitted.booster, features(from_listings(MARKET), fitted.encodings))
    assert read.margins(MARKET).tobytes() == wanted.tobytes()
    described = json.loads((folder / "features.json").read_text())
    assert [(one["name"], one["dtype"]) for one in described] == [(name, "float32") for name in FEATURES]


def test_a_price_is_the_same_alone_in_company_and_from_columns(folder: Path) -> None:
    read = bundle.load(folder)
    together = read.prices(from_listings(MARKET))
    assert together.tolist() == read.prices(MARKET).tolist()
    assert together[:100].tolist() == [float(read.prices([one])[0]) for one in MARKET[:100]]
    assert all(price == round(price, 2) for price in together.tolist())
    assert together.tolist() == [round(math.exp(margin), 2) for margin in read.margins(MARKET).tolist()]


def test_the_model_has_learnt_something(folder: Path) -> None:
    listings, prices, _ = market(800, seed=9)
    error = np.sqrt(np.mean((bundle.load(folder).prices(listings) - prices) ** 2))
    assert error < 0.4 * prices.std()


def test_contributions_add_up_to_the_margin(folder: Path) -> None:
    read = bundle.load(folder)
    listings = [*MARKET[:200], house(state="Atlantis", city=None, acre_lot=None)]
    found = read.contributions(listings)
    assert found.shape == (201, len(FEATURES) + 1)
    assert found.astype(float).sum(axis=1) == pytest.approx(read.margins(listings).astype(float), rel=1e-5)


def test_the_same_input_gives_the_same_model(fitted: Fitted) -> None:
    again = fit(from_listings(MARKET), PRICES, BUCKETS, DEFAULTS, 40, threads=1, seed=1)
    assert again.encodings == fitted.encodings
    assert again.booster.save_raw("ubj") == fitted.booster.save_raw("ubj")


@pytest.mark.parametrize("power", [1.1, 1.5, GAMMA])
def test_every_power_has_a_log_link_and_rows_for_units(power: float) -> None:
    found = xgboost_parameters({**DEFAULTS, "variance_power": power}, 250_000.0, 1, 0)
    assert found["objective"] == ("reg:gamma" if power == GAMMA else "reg:tweedie")
    columns = from_listings(MARKET)
    parameters = {**DEFAULTS, "variance_power": power, "leaf_rows": 400.0, "l2_rows": 0.1}
    model = fit(columns, PRICES, BUCKETS, parameters, 5, threads=1, seed=1)
    leaves = model.booster.predict(_matrix(model), pred_leaf=True)
    fewest = min(int(np.unique(tree, return_counts=True)[1].min()) for tree in leaves.T)
    # Rows near the mean price count as one each; cheap and dear ones as somewhat less or more.
    assert 200 <= fewest <= 900
    assert all(len(np.unique(tree)) > 1 for tree in leaves.T)
    priced = np.exp(margins(model.booster, features(columns, model.encodings)))
    assert priced.mean() == pytest.approx(PRICES.mean(), rel=0.1)


def _matrix(model: Fitted) -> object:
    import xgboost

    return xgboost.DMatrix(features(MARKET, model.encodings), feature_names=list(FEATURES))


def test_the_time_of_a_thousand_rows_is_measured(fitted: Fitted) -> None:
    matrix = features(MARKET[:10], fitted.encodings)
    assert 0 < milliseconds(fitted.booster, matrix) < 1000
    assert milliseconds(fitted.booster, matrix, enough=float("inf")) > 0


def test_every_file_is_verified_to_the_byte(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below/note").write_text("x")
    known = {name: digest for name, (digest, _) in bundle.manifest(folder).items()}
    assert set(known) == {*bundle.FILES, "below/note"}
    bundle.verify(folder, known)
    for name in known:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(BundleBroken, match=f"{name} differs"):
            bundle.verify(folder, known)
        path.unlink()
        with pytest.raises(BundleBroken, match=f"{name} is missing"):
            bundle.verify(folder, known)
        path.write_bytes(content)
    (folder / "below/more.pkl").write_text("x")
    with pytest.raises(BundleBroken, match=r"below/more.pkl is in no manifest"):
        bundle.verify(folder, known)
    with pytest.raises(BundleBroken):
        bundle.verify(folder / "nowhere", {})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.ubj", b"not a model"),
        ("encodings.json", b"{}"),
        ("encodings.json", b'{"version": "features_v0", "look_ups": {}}'),
        ("features.json", b'[{"name": "price_per_sqft"}]'),
        ("golden.json", b'[{"listing": {}, "margin": 1, "price": 1}]'),
        ("card.json", b"{truncated"),
    ],
)
def test_files_that_make_no_model_are_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BundleBroken):
        bundle.load(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "golden.json").unlink()
    with pytest.raises(BundleBroken, match=r"golden.json"):
        bundle.load(folder)


def test_a_golden_price_that_differs_by_a_cent_is_noticed(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden[7]["price"] = round(golden[7]["price"] + 0.01, 2)
    (folder / "golden.json").write_text(json.dumps(golden))
    with pytest.raises(BundleBroken, match="1 of 20 golden prices differ"):
        bundle.load(folder).check_golden()
    (folder / "golden.json").write_text("[]")
    with pytest.raises(BundleBroken, match="0 of 0"):
        bundle.load(folder).check_golden()
