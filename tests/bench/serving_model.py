"""A model as large as the real one, in an MLflow model directory, and listings to ask it about."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from steps.common import booster, bundle
from steps.common.columns import from_listings
from steps.common.listing import Listing
from tests.bench.answers import priced_listings, synthetic_listings

VERSION: Final = 1
BUNDLE: Final = bundle.FOLDER
_ROWS: Final = 60_000
_TREES: Final = 250


@cache
def listings(count: int) -> list[dict[str, Any]]:
    """Return so many different listings as callers send them."""
    return list(islice(synthetic_listings(), count))


def write_model(folder: Path) -> None:
    """Write a model directory as train does, and beside it what makes it a copy on disk of version 1."""
    from mlflow.models import Model

    from steps.train import model_directory

    found = list(islice(priced_listings(), _ROWS))
    prices = np.array([one.price for one in found], np.float64)
    fitted = booster.fit(
        from_listings(found), prices, np.arange(_ROWS, dtype=np.int64) % 80 + 20, booster.DEFAULTS, _TREES, 2, 1
    )
    examples = [Listing.model_validate(one.model_dump(exclude={"price"})) for one in found[:20]]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "bundle").mkdir()
        bundle.write(work / "bundle", fitted, examples, {"rows": _ROWS, "trees": _TREES})
        model_directory.write(folder, work / "bundle", examples[0], Model(), work)
    files = {path: sha for path, (sha, _) in bundle.manifest(folder).items()}
    (folder.parent / "champion.json").write_text(json.dumps({"version": VERSION, "files": files}))
