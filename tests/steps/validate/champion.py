"""A real model in production, trained on what is in CLEAN, for tests that ask how wrong it is."""

from steps.common import bundle, registry
from steps.common.booster import DEFAULTS, fit
from steps.common.listing import SCOPE_VERSION, SPLIT_VERSION, TRAIN_BUCKETS
from steps.common.store import clean, ledger
from steps.common.store.ledger import Claim
from tests.steps.common.listings import house
from tests.steps.deployment import SOURCE, Deployment

TREES = 60


def train(deployment: Deployment, claim: Claim, split: str = SPLIT_VERSION) -> int:
    """Register a version trained on the train part of a run's frozen list, as its card says; return its number."""
    with deployment.ledger.connect() as connection:
        batches = list(ledger.frozen_dataset(connection, claim.claim_id))
    with deployment.clean.connect() as connection:
        rows = clean.read(connection, SOURCE, batches, TRAIN_BUCKETS)
    found = fit(rows.columns, rows.price, rows.bucket, DEFAULTS, TREES, threads=1, seed=0)
    files = deployment.folder / f"model of {claim.claim_id}"
    folder = files / bundle.FOLDER
    folder.mkdir(parents=True)
    card = {
        "split_version": split, "scope_version": SCOPE_VERSION, "batches": batches, "parameters": dict(DEFAULTS),
        "trees": TREES,
    }  # fmt: skip
    bundle.write(folder, found, [house()], card)
    return deployment.version(claim, files, card)


def crown(deployment: Deployment, claim: Claim) -> int:
    """Train a version of a run and put it into production."""
    version = train(deployment, claim)
    deployment.set_alias(version, registry.PRODUCTION)
    return version


def promote(deployment: Deployment, version: int) -> None:
    """Put a version into production by the protocol, whatever its quality."""
    with registry.turn(deployment.tracking, deployment.ledger, None, None) as turn:
        turn.move("PROMOTE_INTENT", version, "by a test", None)
