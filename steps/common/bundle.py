"""A model version as files: written once by training, read by everybody who prices a house.

`model.ubj` the trees · `encodings.json` the look-ups · `features.json` the model's input, column by column ·
`golden.json` listings with the prices training gave them · `card.json` where the model comes from. Reading them runs
no code of theirs: two formats of data, nothing pickled.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xgboost
from numpy.typing import NDArray

from steps.common.booster import Fitted
from steps.common.columns import Columns
from steps.common.features import FEATURES, SOURCES, Encodings, features
from steps.common.listing import Listing
from steps.common.margins import margins

MODEL: Final = "model.ubj"
ENCODINGS: Final = "encodings.json"
FEATURE_LIST: Final = "features.json"
GOLDEN: Final = "golden.json"
CARD: Final = "card.json"
FILES: Final = (MODEL, ENCODINGS, FEATURE_LIST, GOLDEN, CARD)
# Where the bundle lies in the directory of an MLflow model.
FOLDER: Final = "artifacts/bundle"


class BundleBroken(Exception):
    """The files are not the ones that were written down, or do not make a model; nothing of them is used."""


@dataclass(frozen=True)
class Golden:
    """A listing with the margin (log price) and the price in dollars that training computed for it."""

    listing: Listing
    margin: float
    price: float


def price(margin: float) -> float:
    """Return the price in dollars, rounded to the cent, of a margin: the only place where one becomes the other.

    `math.exp`, never `np.exp`: the two differ in the last digit, and a served price equals the trained one.
    """
    return round(math.exp(margin), 2)


@dataclass(frozen=True)
class Bundle:
    """A model version ready for use."""

    booster: xgboost.Booster
    encodings: Encodings
    golden: tuple[Golden, ...]
    card: Mapping[str, Any]

    def margins(self, listings: Columns | Sequence[Listing]) -> NDArray[np.float32]:
        """Return the log of each listing's price."""
        return margins(self.booster, features(listings, self.encodings))

    def prices(self, listings: Columns | Sequence[Listing]) -> NDArray[np.float64]:
        """Return each listing's price in dollars, rounded to the cent."""
        return np.array([price(margin) for margin in self.margins(listings).tolist()], np.float64)

    def contributions(self, listings: Columns | Sequence[Listing]) -> NDArray[np.float32]:
        """Return what each feature adds to each listing's margin: a column a name of FEATURES, the last the bias.

        Exact (TreeSHAP as XGBoost computes it): a row's sum is its margin.
        """
        rows = xgboost.DMatrix(features(listings, self.encodings), feature_names=list(FEATURES), nthread=1)
        found: NDArray[np.float32] = self.booster.predict(rows, pred_contribs=True)
        return found

    def check_golden(self) -> None:
        """Raise BundleBroken unless every golden listing gets the price here that training gave it."""
        wrong = [
            f"{known.price} here {found}"
            for known in self.golden
            if (found := float(self.prices([known.listing])[0])) != known.price
        ]
        if wrong or not self.golden:
            raise BundleBroken(f"{len(wrong)} of {len(self.golden)} golden prices differ: {'; '.join(wrong[:3])}")


def write(folder: Path, fitted: Fitted, golden: Sequence[Listing], card: Mapping[str, Any]) -> None:
    """Write a model's files into an existing folder, with the golden listings' prices as this model has them."""
    fitted.booster.save_model(folder / MODEL)
    _write(folder / ENCODINGS, fitted.encodings.as_json())
    _write(
        folder / FEATURE_LIST,
        [{"name": name, "dtype": "float32", "fields": list(SOURCES[name])} for name in FEATURES],
    )
    found = margins(fitted.booster, features(golden, fitted.encodings)).tolist()
    _write(
        folder / GOLDEN,
        [
            {"listing": listing.model_dump(mode="json"), "margin": margin, "price": price(margin)}
            for listing, margin in zip(golden, found, strict=True)
        ],
    )
    _write(folder / CARD, card)


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1), encoding="utf-8")


def load(folder: Path, threads: int = 1) -> Bundle:
    """Read a bundle's files; raises BundleBroken when they are not a model this code can use.

    What they are is not asked here: `verify` a folder that came from elsewhere before.
    """
    try:
        plain = {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES if name != MODEL}
        names = [found["name"] for found in plain[FEATURE_LIST]]
        encodings = Encodings.from_json(plain[ENCODINGS])
        golden = tuple(
            Golden(Listing.model_validate(one["listing"]), one["margin"], one["price"]) for one in plain[GOLDEN]
        )
        booster = xgboost.Booster({"nthread": threads}, model_file=folder / MODEL)
    except (OSError, ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as error:
        raise BundleBroken(f"{folder.name}: {type(error).__name__}: {str(error).split(chr(10))[0]}") from error
    if names != list(FEATURES) or booster.num_features() != len(FEATURES):
        raise BundleBroken(f"the model takes {', '.join(names)}; this code makes {', '.join(FEATURES)}")
    return Bundle(booster, encodings, golden, plain[CARD])


def manifest(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the sha256 and size in bytes of every file below a folder, by its path from there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (_sha256(path), path.stat().st_size) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(folder: Path, sha256: Mapping[str, str]) -> None:
    """Raise BundleBroken unless the files below a folder are those of a manifest: none missing, changed or added.

    `sha256` maps the path of every file to its digest in hex.
    """
    found = {name: digest for name, (digest, _) in manifest(folder).items()}
    wrong = [
        *(f"{name} is missing" for name in sorted(sha256.keys() - found.keys())),
        *(f"{name} is in no manifest" for name in sorted(found.keys() - sha256.keys())),
        *(f"{name} differs" for name in sorted(found.keys() & sha256.keys()) if found[name] != sha256[name]),
    ]
    if wrong or not sha256:
        raise BundleBroken(f"{folder.name}: {'; '.join(wrong) or 'the manifest is empty'}")
