"""Every SQL statement that looks back: pages of batches, versions and alerts, and what they add up to.

Few statements a page, whatever it holds: asking for each batch and step on its own took a second for a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from steps.common.store.ledger import Claim
from steps.common.tables import ledger

# Verdicts looked back on for a streak; a longer one is as alarming.
_STREAK: Final = 1000
SETTINGS: Final = ("ALIAS_SET", "ADOPTED")


@dataclass(frozen=True)
class Attempt:
    """A run's claim on a batch, when it was made, and how and when it ended, if it has."""

    claim: Claim
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
    """A batch: the attempt that counts (the newest with an outcome, else the newest), its steps, verdicts by step."""

    shown: Attempt
    attempts: tuple[Attempt, ...]
    steps: Mapping[str, Done]
    verdicts: Mapping[str, Given]
    last_at: datetime

    def origin(self, step: str) -> int:
        """Return the claim under which a step's work was done."""
        return self._origins.get(step, self.shown.claim.claim_id)

    _origins: Mapping[str, int]


@dataclass(frozen=True)
class VersionRecord:
    """A registered version, the claim that trained it, and the newest verdict on it."""

    version: int
    claim: Claim
    registered_at: datetime
    mlflow_run_id: str
    fingerprint: str
    card: Mapping[str, Any]
    verdict: Given | None


@dataclass(frozen=True)
class Comparison:
    """A candidate against a champion, in figures: each model's part of the evidence, or None."""

    claim_id: int
    run_id: str
    batch_number: int
    candidate_version: int
    champion_version: int | None
    measured_at: datetime
    rows: int | None
    batches: Sequence[int]
    models: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Raised:
    """An alert."""

    code: str
    message: str
    run_id: str | None
    batch_number: int | None
    raised_at: datetime


@dataclass(frozen=True)
class Figures:
    """What the ledger adds up to: newest seconds by step, counts, and the HOLD verdicts since the last other one."""

    step_seconds: Mapping[str, float]
    verdicts: Mapping[tuple[str, str], int]
    outcomes: Mapping[str, int]
    alerts: Mapping[str, int]
    hold_streak: int


def batch_numbers(connection: Connection, limit: int, offset: int) -> tuple[list[int], int]:
    """Return a page of the numbers of claimed batches, highest first, and how many there are."""
    number = ledger.claims.c.batch_number
    page = select(number).distinct().order_by(number.desc()).limit(limit).offset(offset)
    total = connection.scalar(select(func.count(number.distinct())))
    return list(connection.scalars(page)), int(total or 0)


def batches(connection: Connection, numbers: Sequence[int]) -> list[BatchRecord]:
    """Return some batches by their numbers, in that order; numbers nobody claimed are left out."""
    attempts = _attempts(connection, numbers)
    claims = [one.claim.claim_id for of_batch in attempts.values() for one in of_batch]
    done = _done(connection, claims)
    verdicts = _verdicts(connection, claims)
    return [_record(attempts[number], done, verdicts) for number in numbers if number in attempts]


def _attempts(connection: Connection, numbers: Sequence[int]) -> dict[int, list[Attempt]]:
    claims, outcomes = ledger.claims, ledger.outcomes
    rows = connection.execute(
        select(claims, outcomes.c.outcome, outcomes.c.ended_at)
        .outerjoin(outcomes, outcomes.c.claim_id == claims.c.claim_id)
        .where(claims.c.batch_number.in_(numbers))
        .order_by(claims.c.claim_id)
    )
    found: dict[int, list[Attempt]] = {}
    for row in rows:
        attempt = Attempt(_claim(row), row.claimed_at, row.outcome, row.ended_at)
        found.setdefault(row.batch_number, []).append(attempt)
    return found


def _claim(row: Row[Any]) -> Claim:
    return Claim(*(getattr(row, name) for name in Claim.__dataclass_fields__))


def _done(connection: Connection, claims: Sequence[int]) -> dict[tuple[int, str], Row[Any]]:
    table = ledger.completions
    rows = connection.execute(select(table).where(table.c.claim_id.in_(claims)).order_by(table.c.completed_at))
    return {(row.claim_id, row.step): row for row in rows}


def _verdicts(connection: Connection, claims: Sequence[int]) -> dict[tuple[int, str], Given]:
    table = ledger.verdicts
    rows = connection.execute(select(table).where(table.c.claim_id.in_(claims)))
    return {(row.claim_id, row.step): _given(row) for row in rows}


def _given(row: Row[Any]) -> Given:
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
    last_at = max((row.completed_at for row in mine.values()), default=shown.claimed_at)
    return BatchRecord(shown, tuple(attempts), steps, given, last_at, origins)


def newest_evidence(connection: Connection, claim_id: int) -> Mapping[str, Any] | None:
    """Return the newest evidence measured under a claim, whole."""
    table = ledger.evidence
    found = select(table.c.evidence).where(table.c.claim_id == claim_id).order_by(table.c.measured_at.desc()).limit(1)
    evidence: Mapping[str, Any] | None = connection.scalar(found)
    return evidence


def versions(connection: Connection, limit: int, offset: int, only: int | None = None) -> list[VersionRecord]:
    """Return a page of versions, newest first, or one of them."""
    table, claims = ledger.model_versions, ledger.claims
    query = (
        select(table, *(claims.c[name] for name in Claim.__dataclass_fields__ if name != "claim_id"))
        .join(claims, claims.c.claim_id == table.c.claim_id)
        .order_by(table.c.version.desc())
        .limit(limit)
        .offset(offset)
    )
    rows = connection.execute(query if only is None else query.where(table.c.version == only)).all()
    given = _verdicts_on(connection, [row.claim_id for row in rows])
    return [
        VersionRecord(
            row.version, _claim(row), row.registered_at, row.mlflow_run_id, row.fingerprint, row.card,
            given.get(row.claim_id),
        )
        for row in rows
    ]  # fmt: skip


def version_count(connection: Connection) -> int:
    """Return how many versions there are."""
    return int(connection.scalar(select(func.count()).select_from(ledger.model_versions)) or 0)


def _verdicts_on(connection: Connection, trained_under: Sequence[int]) -> dict[int, Given]:
    """Return the newest promote verdict on what was trained under some claims, also where a later one adopted it."""
    done, given = ledger.completions, ledger.verdicts
    trained = func.coalesce(done.c.adopted_from, done.c.claim_id)
    rows = connection.execute(
        select(given, trained.label("trained"))
        .join(done, (done.c.claim_id == given.c.claim_id) & (done.c.step == "train"))
        .where(given.c.step == "promote", trained.in_(trained_under))
        .order_by(given.c.decided_at)
    )
    return {row.trained: _given(row) for row in rows}


def comparisons(connection: Connection, version: int | None = None) -> list[Comparison]:
    """Return every comparison in figures, or those a version took part in, newest first."""
    table, claims = ledger.evidence, ledger.claims
    found = table.c.evidence
    query = (
        select(
            table.c.claim_id, claims.c.run_id, claims.c.batch_number, table.c.candidate_version,
            table.c.champion_version, table.c.measured_at, found["rows"].label("tested"), found["batches"].label("on"),
            *(found[part].label(part) for part in ("candidate", "champion", "previous")),
        )
        .join(claims, claims.c.claim_id == table.c.claim_id)
        .order_by(table.c.measured_at.desc(), table.c.claim_id.desc())
    )  # fmt: skip
    return [_comparison(row) for row in connection.execute(_with(query, version))]


def _with(query: Select[Any], version: int | None) -> Select[Any]:
    table = ledger.evidence.c
    return query if version is None else query.where(or_(
        table.candidate_version == version, table.champion_version == version
    ))  # fmt: skip


def _comparison(row: Row[Any]) -> Comparison:
    parts = tuple(part for part in (row.candidate, row.champion, row.previous) if part)
    return Comparison(
        row.claim_id, row.run_id, row.batch_number, row.candidate_version, row.champion_version or None,
        row.measured_at, row.tested, row.on or (), parts,
    )  # fmt: skip


def evidence_with(connection: Connection, version: int, limit: int) -> dict[tuple[int, int], Mapping[str, Any]]:
    """Return the newest evidence a version took part in, whole, by claim and champion (0: none)."""
    table = ledger.evidence
    query = select(table).order_by(table.c.measured_at.desc(), table.c.claim_id.desc()).limit(limit)
    rows = connection.execute(_with(query, version))
    return {(row.claim_id, row.champion_version): row.evidence for row in rows}


def verdicts_of(connection: Connection, claims: Sequence[int]) -> dict[int, Given]:
    """Return promote's verdict under each of some claims, where there is one."""
    return {claim: given for (claim, step), given in _verdicts(connection, claims).items() if step == "promote"}


def alias_events(connection: Connection, version: int | None = None) -> list[Mapping[str, Any]]:
    """Return the alias's history, newest first, or what of it names a version."""
    table = ledger.alias_events
    query = select(table).order_by(table.c.event_id.desc())
    if version is not None:
        query = query.where(or_(*(table.c[name] == version for name in ("expected", "candidate", "previous"))))
    return [dict(row) for row in connection.execute(query).mappings()]


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


def figures(connection: Connection) -> Figures:
    """Return what the ledger adds up to."""
    done, given, ended, raised = ledger.completions, ledger.verdicts, ledger.outcomes, ledger.alerts
    newest = (
        select(done.c.step, done.c.seconds)
        .where(done.c.adopted_from.is_(None))
        .ext(distinct_on(done.c.step))
        .order_by(done.c.step, done.c.completed_at.desc())
    )
    decided = select(given.c.step, given.c.verdict, func.count()).group_by(given.c.step, given.c.verdict)
    latest = select(given.c.verdict).where(given.c.step == "promote").order_by(given.c.decided_at.desc()).limit(_STREAK)
    return Figures(
        {row[0]: row[1] for row in connection.execute(newest)},
        {(row[0], row[1]): row[2] for row in connection.execute(decided)},
        {row[0]: row[1] for row in connection.execute(select(ended.c.outcome, func.count()).group_by(ended.c.outcome))},
        {row[0]: row[1] for row in connection.execute(select(raised.c.code, func.count()).group_by(raised.c.code))},
        sum(1 for _ in takewhile(lambda verdict: verdict == "HOLD", connection.scalars(latest))),
    )
