"""Every SQL statement on the ledger's runs, claims, completions and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, text
from sqlalchemy.dialects.postgresql import insert

from steps.common.tables import ledger

# What ends an attempt for good; a batch whose newest attempt has none of these is unfinished.
OUTCOMES = ("SKIP", "QUARANTINE", "HOLD", "REJECT", "PROMOTE", "ABANDONED")
# Outcomes after which a batch's listings belong to the data of later runs.
USABLE_OUTCOMES = ("SKIP", "HOLD", "REJECT", "PROMOTE")


class Fenced(Exception):
    """A later attempt at the same batch has taken over; nothing was written."""


class UnknownRun(Exception):
    """No step of this run has been here before, so there is nothing to go on from."""


@dataclass(frozen=True)
class Claim:
    """A run's right to work on a batch; the batch's highest claim_id is the one that may commit."""

    claim_id: int
    source_id: str
    batch_number: int
    attempt: int
    run_id: str
    content_sha: str
    force_train: bool


@dataclass(frozen=True)
class Completion:
    """A step that is done: the digest of what it left behind, its figures, its exit code."""

    claim_id: int
    step: str
    exit_code: int
    digest: str
    summary: dict[str, Any]
    adopted_from: int | None
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """A decision: its ordered reasons (each with code, sentence and figures), what was measured, the policy."""

    verdict: str
    reasons: Sequence[Mapping[str, Any]]
    report: Mapping[str, Any]
    policy: Mapping[str, Any]


@dataclass(frozen=True)
class Alert:
    """What somebody should look at: a code and a sentence."""

    code: str
    message: str


def _claim(row: Row[Any]) -> Claim:
    return Claim(*(getattr(row, name) for name in Claim.__dataclass_fields__))


def _completion(row: Row[Any]) -> Completion:
    return Completion(*(getattr(row, name) for name in Completion.__dataclass_fields__))


def take_turn(connection: Connection, source_id: str, batch_number: int) -> None:
    """Wait until no other transaction claims or commits on this batch; held until the transaction ends."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 1))"), {"key": f"{source_id}/{batch_number}"}
    )


def append_run(connection: Connection, run_id: str, source_id: str, *, force_train: bool) -> None:
    """Write a run down once, and the source with it."""
    connection.execute(insert(ledger.sources).values(source_id=source_id).on_conflict_do_nothing())
    run = {"run_id": run_id, "source_id": source_id, "force_train": force_train}
    connection.execute(insert(ledger.runs).values(run).on_conflict_do_nothing())


def run_forces(connection: Connection, run_id: str) -> bool:
    """Return whether a run that is written down forces a training."""
    return bool(connection.scalar(select(ledger.runs.c.force_train).where(ledger.runs.c.run_id == run_id)))


def append_idle_run(connection: Connection, run_id: str, reason: str) -> None:
    """Write down once that a run found nothing to do, and why."""
    connection.execute(insert(ledger.idle_runs).values(run_id=run_id, reason=reason).on_conflict_do_nothing())


def idle_reason(connection: Connection, run_id: str) -> str | None:
    """Return why a run found nothing to do, if it did."""
    return connection.scalar(select(ledger.idle_runs.c.reason).where(ledger.idle_runs.c.run_id == run_id))


def sources(connection: Connection) -> list[str]:
    """Return the sources this ledger has seen; more than one is a deployment gone wrong."""
    return list(connection.scalars(select(ledger.sources.c.source_id)))


def claim_of_run(connection: Connection, run_id: str) -> Claim | None:
    """Return the claim a run made, if it made one."""
    row = connection.execute(select(ledger.claims).where(ledger.claims.c.run_id == run_id)).one_or_none()
    return _claim(row) if row else None


def newest_claim(connection: Connection, source_id: str, batch_number: int) -> Claim | None:
    """Return a batch's newest claim, the only one that may commit."""
    claims = ledger.claims
    row = connection.execute(
        select(claims)
        .where(claims.c.source_id == source_id, claims.c.batch_number == batch_number)
        .order_by(claims.c.claim_id.desc())
        .limit(1)
    ).one_or_none()
    return _claim(row) if row else None


def claim_batch(
    connection: Connection, run_id: str, source_id: str, batch_number: int, content_sha: str, *, force_train: bool
) -> Claim:
    """Append the next attempt at a batch for a run, or return the claim the run has already made."""
    take_turn(connection, source_id, batch_number)
    mine = claim_of_run(connection, run_id)
    if mine is not None:
        return mine
    newest = newest_claim(connection, source_id, batch_number)
    row = connection.execute(
        insert(ledger.claims)
        .values(
            source_id=source_id, batch_number=batch_number, attempt=newest.attempt + 1 if newest else 1,
            run_id=run_id, content_sha=content_sha, force_train=force_train,
        )
        .returning(ledger.claims)
    ).one()  # fmt: skip
    return _claim(row)


def refuse_if_fenced(connection: Connection, claim: Claim) -> None:
    """Raise Fenced if the attempt was abandoned or a later one exists; else hold the batch until the commit."""
    take_turn(connection, claim.source_id, claim.batch_number)
    newest, outcome = attempts(connection, claim.source_id, claim.batch_number)[-1]
    if newest == claim and outcome == "ABANDONED":
        raise Fenced(f"attempt {claim.attempt} at batch {claim.batch_number} is over: a later run has abandoned it")
    if newest.claim_id > claim.claim_id:
        raise Fenced(
            f"attempt {claim.attempt} at batch {claim.batch_number} is over: run {newest.run_id} has taken it up as "
            f"attempt {newest.attempt}"
        )


def completion(connection: Connection, claim_id: int, step: str) -> Completion | None:
    """Return a step's completion under a claim, if it has one."""
    table = ledger.completions
    row = connection.execute(select(table).where(table.c.claim_id == claim_id, table.c.step == step)).one_or_none()
    return _completion(row) if row else None


def attempts(connection: Connection, source_id: str, batch_number: int | None = None) -> list[tuple[Claim, str | None]]:
    """Return every attempt at a batch, or at any, oldest first, each with its outcome or None."""
    claims, outcomes = ledger.claims, ledger.outcomes
    query = (
        select(claims, outcomes.c.outcome)
        .outerjoin(outcomes, outcomes.c.claim_id == claims.c.claim_id)
        .where(claims.c.source_id == source_id)
        .order_by(claims.c.claim_id)
    )
    rows = connection.execute(query if batch_number is None else query.where(claims.c.batch_number == batch_number))
    return [(_claim(row), row.outcome) for row in rows]


def abandon(connection: Connection, claim: Claim) -> bool:
    """End a batch's newest attempt as ABANDONED; return False where it is over or no longer the newest."""
    take_turn(connection, claim.source_id, claim.batch_number)
    newest, outcome = attempts(connection, claim.source_id, claim.batch_number)[-1]
    if newest != claim or outcome is not None:
        return False
    connection.execute(insert(ledger.outcomes).values(claim_id=claim.claim_id, outcome="ABANDONED"))
    return True


def earlier_attempts(connection: Connection, claim: Claim) -> list[Claim]:
    """Return the unfinished attempts just before this one, newest first; what they did may be adopted.

    An attempt with an outcome ends the row: a batch taken up again on purpose is judged afresh.
    """
    found: list[Claim] = []
    for earlier, outcome in reversed(attempts(connection, claim.source_id, claim.batch_number)):
        if earlier.claim_id >= claim.claim_id:
            continue
        if outcome is not None or earlier.force_train != claim.force_train:
            break
        found.append(earlier)
    return found


def append_completion(connection: Connection, done: Completion, verdict: Verdict | None, outcome: str | None) -> None:
    """Append a step's completion with its verdict and outcome; what is there already stays as it is."""
    row = {name: getattr(done, name) for name in Completion.__dataclass_fields__}
    connection.execute(insert(ledger.completions).values(row).on_conflict_do_nothing())
    if verdict is not None:
        decided = {name: getattr(verdict, name) for name in Verdict.__dataclass_fields__}
        values = {"claim_id": done.claim_id, "step": done.step, **decided}
        connection.execute(insert(ledger.verdicts).values(values).on_conflict_do_nothing())
    if outcome is not None:
        ended = {"claim_id": done.claim_id, "outcome": outcome}
        connection.execute(insert(ledger.outcomes).values(ended).on_conflict_do_nothing())


def origin(connection: Connection, claim_id: int, step: str) -> int:
    """Return the claim under which a step's work was really done: an earlier one's where it was adopted."""
    done = completion(connection, claim_id, step)
    return claim_id if done is None or done.adopted_from is None else done.adopted_from


def verdict(connection: Connection, claim_id: int, step: str) -> Verdict | None:
    """Return the verdict a step gave under a claim or the one it adopted, if there is one."""
    table = ledger.verdicts
    where = (table.c.claim_id == origin(connection, claim_id, step), table.c.step == step)
    row = connection.execute(select(table).where(*where)).one_or_none()
    return Verdict(row.verdict, row.reasons, row.report, row.policy) if row else None


def raise_alert(
    connection: Connection, alert: Alert, run_id: str | None, batch_number: int | None, alias_event: int | None = None
) -> bool:
    """Append an alert once for a run, a batch and an event of the alias; return whether it was new."""
    values = {**asdict(alert), "run_id": run_id, "batch_number": batch_number, "alias_event": alias_event}
    statement = insert(ledger.alerts).values(values).on_conflict_do_nothing().returning(ledger.alerts.c.alert_id)
    return connection.execute(statement).one_or_none() is not None


def alerts_of_runs(connection: Connection) -> set[tuple[str, str | None, int | None]]:
    """Return code, run and batch of every alert there is."""
    alerts = ledger.alerts.c
    rows = connection.execute(select(alerts.code, alerts.run_id, alerts.batch_number))
    return {(row.code, row.run_id, row.batch_number) for row in rows}


def usable(attempts: Iterable[tuple[Claim, str | None]]) -> list[Claim]:
    """Return of each batch whose listings later runs may use the claim that found it so, in the order of the claims.

    The newest outcome that says something about the rows counts. QUARANTINE takes out a batch that was usable before;
    ABANDONED, where an attempt was given up for other reasons, does not.
    """
    found: dict[int, Claim] = {}
    for claim, outcome in attempts:
        if outcome == "QUARANTINE" or outcome in USABLE_OUTCOMES:
            found.pop(claim.batch_number, None)
        if outcome in USABLE_OUTCOMES:
            found[claim.batch_number] = claim
    return list(found.values())


def finished_batches(connection: Connection, source_id: str) -> dict[int, str]:
    """Return the batches whose listings later runs may use, with the sha of their content, by number."""
    found = usable(attempts(connection, source_id))
    return {claim.batch_number: claim.content_sha for claim in sorted(found, key=lambda claim: claim.batch_number)}


def freeze_dataset(connection: Connection, claim_id: int, batches: Mapping[int, str]) -> None:
    """Write down the batches a run learns and tests on; a list that is there already stays."""
    rows = [
        {"claim_id": claim_id, "batch_number": number, "content_sha": sha} for number, sha in sorted(batches.items())
    ]
    connection.execute(insert(ledger.dataset_batches).on_conflict_do_nothing(), rows)


def frozen_dataset(connection: Connection, claim_id: int) -> dict[int, str]:
    """Return the frozen list of a run, which validate wrote: batch number to sha of its content."""
    table = ledger.dataset_batches
    judged = origin(connection, claim_id, "validate")
    rows = connection.execute(select(table).where(table.c.claim_id == judged).order_by(table.c.batch_number))
    return {row.batch_number: row.content_sha for row in rows}


def open_ledger(engine: Engine, source_id: str) -> None:
    """Refuse a ledger that belongs to another source."""
    with engine.connect() as connection:
        others = set(sources(connection)) - {source_id}
    if others:
        raise UnknownRun(f"this ledger belongs to the source {', '.join(sorted(others))}, not to {source_id}")
