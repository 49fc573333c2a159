"""Every SQL statement that adds the ledger up for monitoring: counts, newest moments, and where runs came to an end.

Whatever the ledger holds, a statement returns a few rows: what watches asks every fifteen seconds, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Column, Connection, Subquery, case, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from steps.common.columns import CATEGORIES
from steps.common.step import ORDER
from steps.common.store import models
from steps.common.tables import ledger

# Verdicts looked back on for a streak; a longer one is as alarming.
_STREAK: Final = 1000
# Comparisons looked back on for the errors of versions, each of two or three of them.
_COMPARISONS: Final = 20


@dataclass(frozen=True)
class Tally:
    """How often something happened, and when last."""

    count: int
    newest_at: datetime


@dataclass(frozen=True)
class Measured:
    """What validate measured of the batch it judged last: shares of rows refused, and of values never seen by field."""

    refused_ratio: float | None
    unseen_ratios: Mapping[str, float]


@dataclass(frozen=True)
class Figures:
    """What the ledger adds up to.

    `step_seconds` are of the newest completions, `verdicts` by step and verdict. `failed` are runs that ended without
    an outcome, by the step they stopped at, each noticed when the next run began; `open_step` is where the newest run
    stands and since when, None where it has ended. `rmse` is each version's error in dollars at its newest comparison,
    those compared last first. `alias_version` is the one the ledger knows in production, 0 for none, None while an
    intent is open.
    """

    step_seconds: Mapping[str, float]
    verdicts: Mapping[tuple[str, str], Tally]
    outcomes: Mapping[str, Tally]
    alerts: Mapping[str, int]
    alias_events: Mapping[str, Tally]
    idle_runs: Tally | None
    failed: Mapping[str, Tally]
    open_step: tuple[str, datetime] | None
    hold_streak: int
    rmse: Mapping[int, float]
    measured: Measured
    alias_version: int | None


def figures(connection: Connection) -> Figures:
    """Return what the ledger adds up to."""
    done, given, ended, raised = ledger.completions, ledger.verdicts, ledger.outcomes, ledger.alerts
    newest = (
        select(done.c.step, done.c.seconds)
        .where(done.c.adopted_from.is_(None))
        .ext(distinct_on(done.c.step))
        .order_by(done.c.step, done.c.completed_at.desc())
    )
    latest = select(given.c.verdict).where(given.c.step == "promote").order_by(given.c.decided_at.desc()).limit(_STREAK)
    codes = select(raised.c.code, func.count()).group_by(raised.c.code)
    idle, at = ledger.idle_runs, ledger.alias_events.c
    return Figures(
        step_seconds={row[0]: row[1] for row in connection.execute(newest)},
        verdicts=_tallies(connection, given.c.decided_at, given.c.step, given.c.verdict),
        outcomes=_tallies(connection, ended.c.ended_at, ended.c.outcome),
        alerts={row[0]: row[1] for row in connection.execute(codes)},
        alias_events=_tallies(connection, at.at, at.kind),
        idle_runs=_tallies(connection, idle.c.ended_at).get(()),
        failed=_failed(connection),
        open_step=_open_step(connection),
        hold_streak=sum(1 for _ in takewhile(lambda verdict: verdict == "HOLD", connection.scalars(latest))),
        rmse=_rmse(connection),
        measured=_measured(connection),
        alias_version=_alias_version(connection),
    )


def _tallies(connection: Connection, moment: Column[Any], *by: Column[Any]) -> dict[Any, Tally]:
    """Return counts and newest moments by the values of some columns: a text where it is one, else a tuple."""
    rows = connection.execute(select(*by, func.count(), func.max(moment)).group_by(*by))
    found = {tuple(row[: len(by)]): Tally(row[-2], row[-1]) for row in rows if row[-1] is not None}
    return {key[0] if len(by) == 1 else key: tally for key, tally in found.items()}


def _runs() -> Subquery:
    """Return runs with their outcome, how many steps they have done, since when, and when the next one began."""
    runs, claims, done, ended, idle = (
        ledger.runs, ledger.claims, ledger.completions, ledger.outcomes, ledger.idle_runs,
    )  # fmt: skip
    steps = (
        select(done.c.claim_id, func.count().label("steps"), func.max(done.c.completed_at).label("at"))
        .group_by(done.c.claim_id)
        .subquery()
    )
    return (
        select(
            case((idle.c.run_id.is_not(None), "IDLE"), else_=ended.c.outcome).label("end"),
            func.coalesce(steps.c.steps, 0).label("steps"),
            func.coalesce(steps.c.at, runs.c.started_at).label("since"),
            func.lead(runs.c.started_at).over(order_by=runs.c.started_at).label("next_at"),
        )
        .outerjoin(idle, idle.c.run_id == runs.c.run_id)
        .outerjoin(claims, claims.c.run_id == runs.c.run_id)
        .outerjoin(ended, ended.c.claim_id == claims.c.claim_id)
        .outerjoin(steps, steps.c.claim_id == claims.c.claim_id)
        .subquery()
    )


def _failed(connection: Connection) -> dict[str, Tally]:
    # One run at a time: where another has begun, it is over. STALE has no outcome either, but every step done.
    runs = _runs().c
    query = (
        select(runs.steps, func.count(), func.max(runs.next_at))
        .where(runs.next_at.is_not(None), runs.steps < len(ORDER), func.coalesce(runs.end, "ABANDONED") == "ABANDONED")
        .group_by(runs.steps)
    )
    return {ORDER[row[0]]: Tally(row[1], row[2]) for row in connection.execute(query)}


def _open_step(connection: Connection) -> tuple[str, datetime] | None:
    runs = _runs().c
    query = select(runs.steps, runs.since).where(runs.next_at.is_(None), runs.end.is_(None), runs.steps < len(ORDER))
    row = connection.execute(query).one_or_none()
    return (ORDER[row.steps], row.since) if row else None


def _rmse(connection: Connection) -> dict[int, float]:
    table = ledger.evidence
    parts = [
        column
        for part in (table.c.evidence[name] for name in ("candidate", "champion", "previous"))
        for column in (part["version"].as_integer(), part["metrics"]["rmse"].as_float())
    ]
    rows = connection.execute(
        select(*parts).order_by(table.c.measured_at.desc(), table.c.claim_id.desc()).limit(_COMPARISONS)
    )
    found: dict[int, float] = {}
    for row in rows:
        for version, rmse in zip(row[::2], row[1::2], strict=True):
            if version is not None and rmse is not None:
                found.setdefault(version, rmse)
    return found


def _measured(connection: Connection) -> Measured:
    table = ledger.verdicts
    report = table.c.report
    query = (
        select(report["counts"]["rows"].as_integer(), report["counts"]["refused"].as_integer(), report["drift"])
        .where(table.c.step == "validate")
        .order_by(table.c.decided_at.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return Measured(None, {})
    rows, refused, drift = row
    unseen = {field: float(drift[field]["new_share"]) for field in CATEGORIES if drift and field in drift}
    return Measured(refused / rows if rows else None, unseen)


def _alias_version(connection: Connection) -> int | None:
    if models.open_intents(connection):
        return None
    known = models.newest_setting(connection)
    return known.candidate or 0 if known else 0
