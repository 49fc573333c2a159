"""Every SQL statement that looks back on model versions: pages of them, what they were compared with, their alias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, func, or_, select

from steps.common.store.history import Given, claim_of, given_of
from steps.common.store.ledger import Claim
from steps.common.tables import ledger

# Events after which the alias is known to name a version.
SETTINGS: Final = ("ALIAS_SET", "ADOPTED")


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
    given = verdicts_on(connection, "train", [row.claim_id for row in rows])
    return [
        VersionRecord(
            row.version, claim_of(row), row.registered_at, row.mlflow_run_id, row.fingerprint, row.card,
            given.get(row.claim_id),
        )
        for row in rows
    ]  # fmt: skip


def version_count(connection: Connection) -> int:
    """Return how many versions there are."""
    return int(connection.scalar(select(func.count()).select_from(ledger.model_versions)) or 0)


def verdicts_on(connection: Connection, step: str, worked_under: Sequence[int]) -> dict[int, Given]:
    """Return promote's newest verdict on what a step did under some claims, also where a later one adopted it."""
    done, given = ledger.completions, ledger.verdicts
    origin = func.coalesce(done.c.adopted_from, done.c.claim_id)
    rows = connection.execute(
        select(given, origin.label("origin"))
        .join(done, (done.c.claim_id == given.c.claim_id) & (done.c.step == step))
        .where(given.c.step == "promote", origin.in_(worked_under))
        .order_by(given.c.decided_at)
    )
    return {row.origin: given_of(row) for row in rows}


def comparisons(connection: Connection) -> list[Comparison]:
    """Return every comparison in figures, newest first."""
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
    return [_comparison(row) for row in connection.execute(query)]


def _comparison(row: Row[Any]) -> Comparison:
    parts = tuple(part for part in (row.candidate, row.champion, row.previous) if part)
    return Comparison(
        row.claim_id, row.run_id, row.batch_number, row.candidate_version, row.champion_version or None,
        row.measured_at, row.tested, row.on or (), parts,
    )  # fmt: skip


def evidence_with(
    connection: Connection, version: int, limit: int
) -> dict[tuple[int, int], tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    """Return the newest evidence a version took part in, whole, with what was explained of it, if anything was.

    By claim and champion (0: none). What the version was itself measured by comes first: the longer it reigns, the
    more candidates were compared with it since, and its own comparison was the first to fall out.
    """
    table, told = ledger.evidence, ledger.explanations
    own = table.c.candidate_version == version
    same = and_(told.c.claim_id == table.c.claim_id, told.c.champion_version == table.c.champion_version)
    query = (
        select(table, told.c.explanation)
        .outerjoin(told, same)
        .where(or_(own, table.c.champion_version == version))
        .order_by(own.desc(), table.c.measured_at.desc(), table.c.claim_id.desc())
        .limit(limit)
    )
    rows = connection.execute(query)
    return {(row.claim_id, row.champion_version): (row.evidence, row.explanation) for row in rows}


def alias_events(connection: Connection, version: int | None = None) -> list[Mapping[str, Any]]:
    """Return the alias's history, newest first, or what of it names a version."""
    table = ledger.alias_events
    query = select(table).order_by(table.c.event_id.desc())
    if version is not None:
        query = query.where(or_(*(table.c[name] == version for name in ("expected", "candidate", "previous"))))
    return [dict(row) for row in connection.execute(query).mappings()]
