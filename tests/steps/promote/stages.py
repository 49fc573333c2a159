"""Runs that have come as far as evaluate, for the tests of promote."""

from dataclasses import dataclass
from typing import Any

from steps.common import evidence as figures
from steps.common import registry, step
from steps.common.store import ledger, models
from steps.common.store.ledger import Claim
from tests.steps.deployment import Deployment
from tests.steps.promote.evidence import evidence

BETTER, WORSE, SAME = (52_000.0, 55_000.0), (55_000.0, 52_000.0), (55_000.0, 55_000.0)


@dataclass(frozen=True)
class Evaluated:
    """A run whose candidate was compared with a champion (None: there was none)."""

    claim: Claim
    version: int
    champion: int | None

    @property
    def run_id(self) -> str:
        """Return the run's id."""
        return self.claim.run_id


def evaluated(
    deployment: Deployment, run_id: str, batch: int, champion: int | None, rmse: tuple[float, float] = BETTER,
    **changes: Any,
) -> Evaluated:  # fmt: skip
    """Bring a run to its promote step: a version, and evidence with these RMSE of candidate and champion."""
    claim = deployment.claim(run_id, batch, done="tune")
    version = deployment.version(claim)
    deployment.complete(claim, "train")
    found = evidence(
        rmse[0], rmse[1] if champion else None, candidate_version=version, champion_version=champion or 1, **changes
    )
    measure(deployment, claim, version, champion, found)
    return Evaluated(claim, version, champion)


def measure(deployment: Deployment, claim: Claim, version: int, champion: int | None, found: dict[str, Any]) -> None:
    """Write evidence down, with evaluate's completion row."""
    row = models.Evidence(claim.claim_id, champion or 0, version, figures.sha(found), found)
    with deployment.ledger.begin() as connection:
        models.append_evidence(connection, row)
    deployment.complete(claim, "evaluate", row.sha, {"champion_version": champion})


def in_production(deployment: Deployment, batch: int = 0) -> Evaluated:
    """Put the version of a run into production by the protocol, after whichever is there, and return the run."""
    ready = evaluated(deployment, f"run of batch {batch}", batch, None)
    with registry.turn(deployment.tracking, deployment.ledger, None, None) as turn:
        turn.move("PROMOTE_INTENT", ready.version, "better", ready.run_id)
    return ready


def outcome(deployment: Deployment, claim: Claim) -> str | None:
    """Return a run's outcome, None while it has none."""
    with deployment.ledger.connect() as connection:
        attempts = ledger.attempts(connection, claim.source_id, claim.batch_number)
    return next(ended for attempt, ended in attempts if attempt.claim_id == claim.claim_id)


def verdict(deployment: Deployment, claim: Claim) -> ledger.Verdict | None:
    """Return promote's verdict on a run."""
    with deployment.ledger.connect() as connection:
        return ledger.verdict(connection, claim.claim_id, "promote")


def everything(deployment: Deployment) -> tuple[Any, ...]:
    """Return all that promote may change, for comparing before and after."""
    tables = ("completions", "verdicts", "outcomes", "alias_events", "alerts")
    return (deployment.aliases(), *(deployment.rows(table) for table in tables))


def run(run_id: str) -> int:
    """Run the step here, as its module does, and return its exit code."""
    return main("--run-id", run_id)


def main(*options: str) -> int:
    """Run the module here with its options, and return its exit code."""
    from steps.promote.__main__ import ERRANDS, arguments
    from steps.promote.act import perform, recheck

    return step.main(step.Step("promote", perform, recheck, arguments, ERRANDS), options)


def sentence(deployment: Deployment, ready: Evaluated) -> str:
    """Return the first reason of a verdict."""
    found = verdict(deployment, ready.claim)
    assert found is not None
    return str(found.reasons[0]["sentence"])
