"""Every SQL statement that looks back on batches: pages of them and of alerts.

Few statements a page, whatever it holds: asking for each batch and step on its own took a second for a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from steps.common.store.ledger import Claim
from steps.common.tables import ledger


@dataclass(frozen=True)
class Attempt:
    """A run's claim on a batch, when the run and the claim began, and how and when it ended, if it has."""

    claim: Claim
    started_at: datetime
    claimed_at: datetime
    outcome: str | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Done:
    """A completed step, as the attempt that did the work left it."""

    step: str
    exit_code: int
    seconds: float
    completed_at: datetime
    adopted: bool
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """A verdict and when it was given."""

    verdict: str
    reasons: Sequence[Mapping[str, Any]]
    report: Mapping[str, Any]
    policy: Mapping[str, Any]
    decided_at: datetime


@dataclass(frozen=True)
class BatchRecord:
    """A batch: the attempt that counts (the newest with an outcome, else the newest), its steps, verdicts by step.

    `seconds` are from the start of its run to its last completed step, 0 before the first.
    """

    shown: Attempt
    attempts: tuple[Attempt, ...]
    steps: Mapping[str, Done]
    verdicts: Mapping[str, Given]
    seconds: float
    _origins: Mapping[str, int]

    def origin(self, step: str) -> int:
        """Return the claim under which a step's work was done."""
        return self._origins.get(step, self.shown.claim.claim_id)


@dataclass(frozen=True)
class Raised:
    """An alert."""

    code: str
    message: str
    run_id: str | None
    batch_number: int | None
    raised_at: datetime


def batch_numbers(connection: Connection, limit: int | None = None, offset: int = 0) -> tuple[list[int], int]:
    """Return the numbers of claimed batches, or a page of them, highest first, and how many there are."""
    number = ledger.claims.c.batch_number
    page = select(number).distinct().order_by(number.desc()).limit(limit).offset(offset)
    total = connection.scalar(select(func.count(number.distinct())))
    return list(connection.scalars(page)), int(total or 0)


def batches(connection: Connection, numbers: Sequence[int]) -> list[BatchRecord]:
    """Return some batches by their numbers, in that order; numbers nobody claimed are left out."""
    attempts = _attempts(connection, numbers)
    claims = [one.claim.claim_id for of_batch in attempts.values() for one in of_batch]
    done = _done(connection, claims)
    verdicts = _verdicts_under(connection, claims)
    return [_record(attempts[number], done, verdicts) for number in numbers if number in attempts]


def _attempts(connection: Connection, numbers: Sequence[int]) -> dict[int, list[Attempt]]:
    claims, outcomes, runs = ledger.claims, ledger.outcomes, ledger.runs
    rows = connection.execute(
        select(claims, outcomes.c.outcome, outcomes.c.ended_at, runs.c.started_at)
        .join(runs, runs.c.run_id == claims.c.run_id)
        .outerjoin(outcomes, outcomes.c.claim_id == claims.c.claim_id)
        .where(claims.c.batch_number.in_(numbers))
        .order_by(claims.c.claim_id)
    )
    found: dict[int, list[Attempt]] = {}
    for row in rows:
        attempt = Attempt(claim_of(row), row.started_at, row.claimed_at, row.outcome, row.ended_at)
        found.setdefault(row.batch_number, []).append(attempt)
    return found


def claim_of(row: Row[Any]) -> Claim:
    """Return the claim of a row that has its columns."""
    return Claim(*(getattr(row, name) for name in Claim.__dataclass_fields__))


def _done(connection: Connection, claims: Sequence[int]) -> dict[tuple[int, str], Row[Any]]:
    table = ledger.completions
    rows = connection.execute(select(table).where(table.c.claim_id.in_(claims)).order_by(table.c.completed_at))
    return {(row.claim_id, row.step): row for row in rows}


def _verdicts_under(connection: Connection, claims: Sequence[int]) -> dict[tuple[int, str], Given]:
    """Return the verdicts given under some claims, by claim and step."""
    table = ledger.verdicts
    rows = connection.execute(select(table).where(table.c.claim_id.in_(claims)))
    return {(row.claim_id, row.step): given_of(row) for row in rows}


def given_of(row: Row[Any]) -> Given:
    """Return the verdict of a row that has its columns."""
    return Given(row.verdict, row.reasons, row.report, row.policy, row.decided_at)


def _record(
    attempts: Sequence[Attempt], done: Mapping[tuple[int, str], Row[Any]], verdicts: Mapping[tuple[int, str], Given]
) -> BatchRecord:
    shown = next((one for one in reversed(attempts) if one.outcome is not None), attempts[-1])
    mine = {step: row for (claim_id, step), row in done.items() if claim_id == shown.claim.claim_id}
    origins = {step: row.adopted_from or row.claim_id for step, row in mine.items()}
    steps = {}
    for step, row in mine.items():
        work = done.get((origins[step], step), row)
        steps[step] = Done(
            step, row.exit_code, work.seconds, row.completed_at, row.adopted_from is not None, work.summary
        )
    given = {
        step: found
        for step in ("validate", "promote")
        if (found := verdicts.get((origins.get(step, shown.claim.claim_id), step))) is not None
    }
    last_at = max((row.completed_at for row in mine.values()), default=shown.started_at)
    return BatchRecord(shown, tuple(attempts), steps, given, (last_at - shown.started_at).total_seconds(), origins)


def newest_evidence(connection: Connection, claim_id: int) -> Mapping[str, Any] | None:
    """Return the newest evidence measured under a claim, whole."""
    table = ledger.evidence
    found = select(table.c.evidence).where(table.c.claim_id == claim_id).order_by(table.c.measured_at.desc()).limit(1)
    evidence: Mapping[str, Any] | None = connection.scalar(found)
    return evidence


def alerts(connection: Connection, limit: int, offset: int, batch_number: int | None = None) -> list[Raised]:
    """Return a page of alerts, newest first, or of one batch's."""
    table = ledger.alerts
    query = select(table).order_by(table.c.alert_id.desc()).limit(limit).offset(offset)
    if batch_number is not None:
        query = query.where(table.c.batch_number == batch_number)
    return [Raised(*(getattr(row, name) for name in Raised.__dataclass_fields__)) for row in connection.execute(query)]


def alert_count(connection: Connection) -> int:
    """Return how many alerts were ever raised."""
    return int(connection.scalar(select(func.count()).select_from(ledger.alerts)) or 0)
