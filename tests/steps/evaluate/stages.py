"""Runs that have come as far as train, with real versions of a market in CLEAN, for the tests of evaluate."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from steps.common import booster, bundle, dataset, registry, step
from steps.common.dataset import FrozenList
from steps.common.explanation import Explanation
from steps.common.features import FEATURES_VERSION
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION
from steps.common.store import ledger, models
from steps.common.store.clean import Listings
from steps.common.store.ledger import Claim
from tests.steps.common.listings import market
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.training_data import cleaned

ROWS = 3000
TREES = 40
PARAMETERS = {**booster.DEFAULTS, "depth": 4}


def card(batches: list[int], **changes: Any) -> dict[str, Any]:
    """Return the part of a card that evaluate reads."""
    return {
        "batches": batches, "rows": ROWS * len(batches), "parameters": dict(PARAMETERS), "trees": TREES, "seed": 1,
        "search_space": "space_v1",
        "features_version": FEATURES_VERSION, "split_version": SPLIT_VERSION, "scope_version": SCOPE_VERSION,
        **changes,
    }  # fmt: skip


def trained(
    deployment: Deployment, run_id: str, batch: int = 0, *, share: float = 1.0, trees: int = TREES,
    claim: Claim | None = None, **card_changes: Any,
) -> tuple[Claim, int]:  # fmt: skip
    """Bring a run to its evaluate step: its batch in CLEAN, and a version fitted on a share of the train part."""
    mine = claim or cleaned(deployment, run_id, batch, rows=ROWS, seed=batch)
    deployment.complete(mine, "tune")
    train = train_part(deployment, batch)
    some = train.take(train.property_id % 1000 < share * 1000)
    fitted = booster.fit(some.columns, some.price, some.bucket, PARAMETERS, trees, 1, 1)
    files = deployment.folder / f"model of {mine.claim_id}"
    folder = files / bundle.FOLDER
    folder.mkdir(parents=True)
    facts = card(list(range(batch + 1)), **{"trees": trees, **card_changes})
    bundle.write(folder, fitted, market(5, 1)[0], facts)
    version = deployment.version(mine, files, facts)
    deployment.complete(mine, "train")
    return mine, version


def frozen(engine: Engine, batch: int) -> FrozenList:
    """Return the data set of all batches up to one."""
    del engine
    batches = tuple(range(batch + 1))
    return FrozenList(SOURCE, batches, tuple("c" for _ in batches), tuple("d" for _ in batches))


def train_part(deployment: Deployment, batch: int) -> Listings:
    """Return what a run on all batches up to one may learn from."""
    return dataset.read_train(deployment.clean, frozen(deployment.clean, batch))


def test_rows(deployment: Deployment, batch: int) -> Listings:
    """Return what a run on all batches up to one is tested on."""
    return dataset.read_test(deployment.clean, frozen(deployment.clean, batch))


def evidence(deployment: Deployment, claim: Claim, champion: int | None) -> models.Evidence:
    """Return the evidence a run has written."""
    with deployment.ledger.connect() as connection:
        found = models.evidence(connection, claim.claim_id, champion or 0)
    assert found is not None
    return found


def explanation(deployment: Deployment, claim: Claim, champion: int | None) -> Explanation:
    """Return what a run has written of why its candidate differs."""
    with deployment.ledger.connect() as connection:
        found = models.explanation(connection, claim.claim_id, champion or 0)
    assert found is not None
    return Explanation.model_validate(found.explanation)


def completed(deployment: Deployment, claim: Claim) -> ledger.Completion | None:
    """Return evaluate's completion row of a run."""
    with deployment.ledger.connect() as connection:
        return ledger.completion(connection, claim.claim_id, "evaluate")


def stored(deployment: Deployment, uri: str) -> Path:
    """Return where the artifact store keeps a file."""
    return deployment.mlflow.folder / "artifacts" / uri.removeprefix("mlflow-artifacts:/")


def everything(deployment: Deployment) -> tuple[Any, ...]:
    """Return all that evaluate may change in the ledger, for comparing before and after."""
    return tuple(
        deployment.rows(table) for table in ("evidence", "explanations", "completions", "alerts", "alias_events")
    )


def put_into_production(deployment: Deployment, version: int) -> None:
    """Point the alias at a version by the protocol, whatever its quality."""
    with registry.turn(deployment.tracking, deployment.ledger, None, None) as turn:
        turn.move("PROMOTE_INTENT", version, "by a test", None)


def run(run_id: str) -> int:
    """Run the step in this process, led by the environment; return its exit code."""
    from steps.evaluate.__main__ import EVALUATE

    return step.main(EVALUATE, ["--run-id", run_id])


def promote(run_id: str) -> int:
    """Run the step after it."""
    from steps.promote.__main__ import arguments
    from steps.promote.act import perform, recheck

    return step.main(step.Step("promote", perform, recheck, arguments), ["--run-id", run_id])


def weak_champion(deployment: Deployment) -> int:
    """Put a version into production that has learnt from few houses, by the protocol, and return it."""
    _, version = trained(deployment, "r0", 0, share=0.1, trees=8)
    put_into_production(deployment, version)
    return version
