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
from steps.common.store.ledger import Claim, Completion
from tests.frontend import explained
from tests.servers import fresh_databases
from tests.serving.running import Service, environment, running
from tests.steps import batches
from tests.steps.batches import ODD, Row, changed, finish
from tests.steps.common.listings import house
from tests.steps.conftest import emptied
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.promote import stages as promote
from tests.steps.promote.evidence import evidence, part
from tests.steps.promote.stages import SAME
from tests.steps.validate import stages as validate

ROWS = 1200
_WRITTEN = 4
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
        _decided(deployment, second, 60, 1, (explained.rmse("candidate"), explained.rmse("champion")))
        third = _taken(deployment, 2, rows(2, status="ready_to_build"))
        _decided(deployment, third, 45, 2, SAME)
        # Of all kinds there were before, in their proportions.
        skipped = _taken(deployment, 3, mixed())
        finish(deployment, skipped, "SKIP")


def lengthen(deployment: Deployment, batches: int) -> int:
    """Add so many batches to that history, and return the champion after them.

    Each is judged as batch 2 was, and brings a version with the files of version 2; every other one is promoted.
    """
    with deployment.ledger.connect() as connection:
        second, third = (ledger.newest_claim(connection, SOURCE, batch) for batch in (1, 2))
        assert second is not None
        assert third is not None
        judged = ledger.verdict(connection, third.claim_id, "validate")
    files, champion = deployment.folder / f"model of {second.claim_id}", 2
    with _led_by(deployment):
        for batch in range(_WRITTEN, _WRITTEN + batches):
            claim = deployment.claim(f"run of batch {batch}", batch)
            deployment.complete(claim, "fetch", summary={"rows": ROWS})
            done = Completion(claim.claim_id, "validate", 0, "d", {}, None, 0.0)
            with deployment.ledger.begin() as connection:
                ledger.append_completion(connection, done, judged, None)
            deployment.complete(claim, "clean", summary={"refused": batch})
            deployment.complete(claim, "tune")
            version = deployment.version(claim, files, _card(list(range(batch + 1)), ROWS * batch, 40))
            rmse = (47_300.0, 48_400.0) if batch % 2 else SAME
            if _judged(deployment, claim, version, champion, rmse) == 0:
                champion = version
    return champion


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
    _judged(deployment, claim, _trained(deployment, claim, trees), champion, rmse)


def _judged(deployment: Deployment, claim: Claim, version: int, champion: int | None, rmse: tuple[float, float]) -> int:
    """Compare a run's version, and let promote decide; return its exit code."""
    deployment.complete(claim, "train", summary={"version": version})
    found = evidence(
        rmse[0], rmse[1] if champion else None, champion_version=champion or 1, candidate_version=version, rows=240,
        batches=list(range(claim.batch_number + 1)), slices=_slices(),
    )  # fmt: skip
    promote.measure(deployment, claim, version, champion, found)
    if champion:
        _explained(deployment, claim, version, champion)
    ended = promote.run(claim.run_id)
    assert ended in {0, 99}
    return ended


def _slices() -> list[dict[str, Any]]:
    """Return as many slices as a batch of the whole country has."""
    states = [part("state", f"state {number}", 50_000 + number, 50_100, rows=500) for number in range(50)]
    return [*states, *(part("price_band", f"{number}00k to {number + 1}00k", 50_000, 50_000) for number in range(1, 7))]


def _explained(deployment: Deployment, claim: Claim, version: int, champion: int) -> None:
    told = {
        **explained.explanation(),
        "batch": claim.batch_number,
        "candidate_version": version,
        "champion_version": champion,
    }
    with deployment.ledger.begin() as connection:
        models.append_explanation(connection, models.Explanation(claim.claim_id, champion, version, told))


def _trained(deployment: Deployment, claim: Claim, trees: int) -> int:
    learned = list(range(claim.batch_number + 1))
    with deployment.clean.connect() as connection:
        train = clean.read(connection, SOURCE, learned, TRAIN_BUCKETS)
    fitted = booster.fit(train.columns, train.price, train.bucket, PARAMETERS, trees, 1, 1)
    files = deployment.folder / f"model of {claim.claim_id}"
    folder = files / bundle.FOLDER
    folder.mkdir(parents=True)
    card = _card(learned, len(train.price), trees)
    bundle.write(folder, fitted, [house()], card)
    return deployment.version(claim, files, card)


def _card(batches: list[int], rows: int, trees: int) -> dict[str, Any]:
    return {
        "batches": batches, "rows": rows, "trees": trees, "parameters": dict(PARAMETERS),
        "trained_at": "2026-01-02T03:04:05+00:00", "search_space": "space_v1", "features_version": FEATURES_VERSION,
        "split_version": SPLIT_VERSION, "scope_version": SCOPE_VERSION,
    }  # fmt: skip
