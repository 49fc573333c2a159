"""One listing, one price: from the API, from the bundle in train, and from MLflow in somebody else's environment."""

import json
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import given, seed, settings

from steps.common import bundle, registry
from steps.common.listing import Listing
from tests.servers import ROOT
from tests.serving.running import environment, running
from tests.steps.common.listings import house, houses, market
from tests.steps.deployment import Deployment
from tests.steps.train.test_step import train, tuned

# What the source really sends beside the usual: extremes of the scope, gaps, and values nobody has seen.
REAL = (
    house(bed=1, bath=1, house_size=100, acre_lot=0), house(bed=50, bath=50, house_size=50_000, acre_lot=10_000),
    house(acre_lot=None, city=None, street=None, brokered_by=None, prev_sold_date=None),
    house(state="Atlantis", city="Poseidonis", zip_code="99999", status="auctioned", brokered_by="0"),
    house(zip_code="00501"), house(prev_sold_date="1800-01-01"), house(prev_sold_date="2100-01-01"),
    house(state="state 0", city="city 0", zip_code="01000"), house(house_size=1800.5, bath=2.5),
    house(city="Doña Ana", brokered_by="11.5"),
)  # fmt: skip


def drawn(count: int) -> list[Listing]:
    """Return listings as hypothesis draws them, the same each time."""
    kept: list[Listing] = []

    @seed(7)
    @settings(max_examples=count, database=None)
    @given(houses)
    def draw(listing: Listing) -> None:
        kept.append(listing)

    draw()
    return kept


def test_a_price_is_the_same_wherever_it_is_asked_for(deployment: Deployment) -> None:
    tuned(deployment, rows=400)
    train(deployment)
    deployment.set_alias(1)
    listings = [*REAL, *market(200, 5)[0], *drawn(200)]
    raw = [json.loads(listing.model_dump_json()) for listing in listings]
    folder = registry.fetch_version(deployment.tracking, deployment.ledger, 1, deployment.folder / "fetched")
    wanted = bundle.load(folder / bundle.FOLDER).prices(listings).tolist()
    assert len(set(wanted)) > 100
    variables = environment(deployment.databases, deployment.mlflow.url, deployment.folder / "state")
    with running(variables, deployment.folder) as service:
        service.wait_until(lambda: service.version() == 1)
        batch = service.post("/predict-batch", {"listings": raw}).json()
        assert [row["price"] for row in batch["results"]] == wanted
        alone = [service.post("/predict", one).json()["price"] for one in raw[:40]]
        explained = [service.post("/explain", one).json()["price"] for one in raw[:20]]
    assert alone == wanted[:40]
    assert explained == wanted[:20]
    assert _from_mlflow(deployment, raw) == wanted


def _from_mlflow(deployment: Deployment, raw: list[dict[str, Any]]) -> list[float]:
    """Return the prices of the model in production, loaded where our repository is not."""
    path = deployment.folder / "raw.json"
    path.write_text(json.dumps(raw))
    script = deployment.folder / "notebook.py"
    script.write_text((Path(__file__).parents[1] / "steps" / "train" / "elsewhere.py").read_text())
    done = subprocess.run(
        [str(ROOT / ".envs/train/bin/python"), str(script), deployment.mlflow.url, str(path)],
        cwd=deployment.folder, env={"PATH": "", "HOME": str(deployment.folder)}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout)["price"]
    return found
