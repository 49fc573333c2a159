"""The steps validate and clean in this process, and what they leave in the ledger and in MLflow."""

from collections.abc import Sequence
from typing import Any

from steps.common import step
from steps.common.step import DONE
from steps.common.store import ledger
from steps.common.store.ledger import Claim, Verdict
from steps.common.tracking import pipeline_run
from tests.steps.batches import Row, fetched, finish
from tests.steps.deployment import Deployment
from tests.steps.validate.champion import crown


def validate(run_id: str, *options: str) -> int:
    """Run the step, led by the environment; return its exit code."""
    from steps.validate.__main__ import VALIDATE

    return step.main(VALIDATE, ["--run-id", run_id, *options])


def clean(run_id: str) -> int:
    """Run the step after it."""
    from steps.clean.__main__ import perform, recheck

    return step.main(step.Step("clean", perform, recheck), ["--run-id", run_id])


def passed(deployment: Deployment, run_id: str, batch: int, rows: Sequence[Row], outcome: str = "PROMOTE") -> Claim:
    """Take a batch through fetch, validate and clean, and end its run."""
    claim = fetched(deployment, run_id, batch, rows)
    assert validate(run_id) == DONE
    assert clean(run_id) == DONE
    finish(deployment, claim, outcome)
    return claim


def in_production(deployment: Deployment, rows: Sequence[Row]) -> tuple[Claim, int]:
    """Take batch 0 through, and put a version trained on it into production; return its run's claim and its number."""
    claim = passed(deployment, "run of batch 0", 0, rows)
    return claim, crown(deployment, claim)


def verdict(deployment: Deployment, claim: Claim) -> Verdict:
    """Return what validate decided in a run."""
    with deployment.ledger.connect() as connection:
        found = ledger.verdict(connection, claim.claim_id, "validate")
    assert found is not None
    return found


def codes(found: Verdict) -> list[str]:
    """Return the codes of a verdict's reasons, in their order."""
    return [str(reason["code"]) for reason in found.reasons]


def frozen(deployment: Deployment, claim: Claim) -> dict[int, str]:
    """Return the list of batches a run may learn from."""
    with deployment.ledger.connect() as connection:
        return ledger.frozen_dataset(connection, claim.claim_id)


def told(deployment: Deployment, claim: Claim) -> Any:
    """Return a pipeline run as MLflow has it."""
    return deployment.tracking.get_run(pipeline_run(deployment.tracking, claim))


def left(deployment: Deployment, claim: Claim) -> list[object]:
    """Return all that validate leaves of a run, without times."""
    tables = ("completions", "verdicts", "outcomes", "dataset_batches", "alerts")
    timeless = {"seconds", "completed_at", "decided_at", "ended_at", "raised_at", "alert_id"}
    rows = [
        {name: value for name, value in row.items() if name not in timeless}
        for table in tables
        for row in deployment.rows(table)
    ]
    run = told(deployment, claim)
    return [rows, run.info.status, {name: value for name, value in run.data.tags.items() if "appraiser" in name}]
