"""A small history, written by the steps themselves or by the functions they use: two promotions, a refusal, a skip."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from local.mlflow_server import MlflowServer
from local.postgres import Server
from steps.common import booster, bundle
from steps.common.features import FEATURES_VERSION
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION, TRAIN_BUCKETS
from steps.common.store import clean, ledger, models
from steps.common.store.ledger import Claim
from tests.frontend.explained import EXPLANATION
from tests.servers import fresh_databases
from tests.serving.running import Service, environment, running
from tests.steps import batches
from tests.steps.batches import ODD, Row, changed, finish
from tests.steps.common.listings import house
from tests.steps.conftest import emptied
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.promote import stages as promote
from tests.steps.promote.evidence import evidence
from tests.steps.promote.stages import SAME
from tests.steps.validate import stages as validate

ROWS = 1200
PARAMETERS = {**booster.DEFAULTS, "depth": 5}
STATES = ("Massachusetts", "Connecticut", "Rhode Island", "Vermont")
CITIES = (
    "Agawam", "Amherst", "Chicopee", "Granby", "Holyoke", "Avon", "Bristol", "Danbury", "Groton", "Hartford",
    "Barrington", "Cranston", "Lincoln", "Newport", "Warwick", "Barre", "Bennington", "Burlington", "Rutland", "Stowe",
)  # fmt: skip


def rows(seed: int, **changes: str | None) -> list[Row]:
    """Return a market in New England, as the source writes it."""

    def named(names: tuple[str, ...]) -> Callable[[str], str]:
        return lambda text: names[int(text.rsplit(" ", 1)[1])]

    return changed(batches.rows(ROWS, seed, **changes), state=named(STATES), city=named(CITIES))


def larger(found: list[Row]) -> list[Row]:
    """Return larger and dearer houses."""
    return changed(found, house_size=batches.times(2.2), price=batches.times(1.3))


def mixed() -> list[Row]:
    """Return a third of each of the three batches before it, or of the like."""
    part = ROWS // 3
    return [*rows(3)[:part], *larger(rows(4)[:part]), *rows(5, status="ready_to_build")[:part]]


@contextmanager
def served(server: Server, mlflow_server: MlflowServer, folder: Path) -> Iterator[tuple[Deployment, Service]]:
    """Run the API on a deployment with this history, its champion loaded."""
    with emptied(mlflow_server):
        made = Deployment(fresh_databases(server), mlflow_server, folder)
        write(made)
        with running(environment(made.databases, mlflow_server.url, folder / "state"), folder) as api:
            api.wait_until(lambda: api.version() == 2)
            yield made, api
        made.close()


def write(deployment: Deployment) -> None:
    """Take four batches through: version 1 promoted, version 2 promoted over it, version 3 held back, one skipped."""
    with _led_by(deployment):
        first = _taken(deployment, 0, [*rows(0), *({**row, **odd} for row, odd in zip(rows(0), ODD, strict=False))])
        _decided(deployment, first, 30, None, (61_000.0, 0.0))
        second = _taken(deployment, 1, larger(rows(1)))
        _decided(deployment, second, 60, 1, (47_300.0, 60_400.0))
        third = _taken(deployment, 2, rows(2, status="ready_to_build"))
        _decided(deployment, third, 45, 2, SAME)
        # Of all kinds there were before, in their proportions.
        skipped = _taken(deployment, 3, mixed())
        finish(deployment, skipped, "SKIP")


@contextmanager
def _led_by(deployment: Deployment) -> Iterator[None]:
    with mock.patch.dict(os.environ, deployment.environment):
        yield


def _taken(deployment: Deployment, batch: int, found: list[Row]) -> Claim:
    """Take a batch through fetch, validate and clean."""
    run = f"run of batch {batch}"
    batches.store(deployment, batch, found)
    with deployment.ledger.begin() as connection:
        ledger.append_run(connection, run, SOURCE, force_train=False)
        claim = ledger.claim_batch(connection, run, SOURCE, batch, f"content {batch}", force_train=False)
    deployment.complete(claim, "fetch", summary={"rows": len(found)})
    assert validate.validate(run) == 0
    assert validate.clean(run) == 0
    return claim


def _decided(deployment: Deployment, claim: Claim, trees: int, champion: int | None, rmse: tuple[float, float]) -> None:
    """Train a version of a run, compare it, and let promote decide."""
    deployment.complete(claim, "tune")
    version = _trained(deployment, claim, trees)
    deployment.complete(claim, "train", summary={"version": version})
    found = evidence(
        rmse[0], rmse[1] if champion else None, champion_version=champion or 1, candidate_version=version, rows=240,
        batches=list(range(claim.batch_number + 1)),
    )  # fmt: skip
    promote.measure(deployment, claim, version, champion, found)
    if champion:
        _explained(deployment, claim, version, champion)
    assert promote.run(claim.run_id) in {0, 99}


def _explained(deployment: Deployment, claim: Claim, version: int, champion: int) -> None:
    told = {**EXPLANATION, "batch": claim.batch_number, "candidate_version": version, "champion_version": champion}
    with deployment.ledger.begin() as connection:
        models.append_explanation(connection, models.Explanation(claim.claim_id, champion, version, told))


def _trained(deployment: Deployment, claim: Claim, trees: int) -> int:
    learned = list(range(claim.batch_number + 1))
    with deployment.clean.connect() as connection:
        part = clean.read(connection, SOURCE, learned, TRAIN_BUCKETS)
    fitted = booster.fit(part.columns, part.price, part.bucket, PARAMETERS, trees, 1, 1)
    files = deployment.folder / f"model of {claim.claim_id}"
    folder = files / bundle.FOLDER
    folder.mkdir(parents=True)
    card: dict[str, Any] = {
        "batches": learned, "rows": len(part.price), "trees": trees, "parameters": dict(PARAMETERS),
        "trained_at": "2026-01-02T03:04:05+00:00", "search_space": "space_v1", "features_version": FEATURES_VERSION,
        "split_version": SPLIT_VERSION, "scope_version": SCOPE_VERSION,
    }  # fmt: skip
    bundle.write(folder, fitted, [house()], card)
    return deployment.version(claim, files, card)
