"""Every SQL statement on the order of past decisions: when attempts ended, how the alias moved beside them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, DateTime, and_, case, cast, func, not_, or_, select

from steps.common.store.models import AliasEvent
from steps.common.tables import ledger
from steps.common.verdicts import QUARANTINE


def ended_at(connection: Connection, source_id: str) -> dict[int, datetime]:
    """Return when the last step of each attempt was completed, by claim id; attempts without any are left out."""
    claims, done = ledger.claims, ledger.completions
    rows = connection.execute(
        select(done.c.claim_id, func.max(done.c.completed_at).label("at"))
        .join(claims, claims.c.claim_id == done.c.claim_id)
        .where(claims.c.source_id == source_id)
        .group_by(done.c.claim_id)
    )
    return {row.claim_id: row.at for row in rows}


def moves_by_hand(connection: Connection) -> list[AliasEvent]:
    """Return every event by which the alias came to name a version otherwise than by a promotion, oldest first."""
    table, intents = ledger.alias_events, ledger.alias_events.alias()
    rolled_back = and_(table.c.kind == "ALIAS_SET", intents.c.kind == "ROLLBACK_INTENT")
    rows = connection.execute(
        select(table)
        .outerjoin(intents, intents.c.event_id == table.c.intent_id)
        .where(or_(table.c.kind == "ADOPTED", rolled_back))
        .order_by(table.c.event_id)
    )
    return [AliasEvent(**{name: getattr(row, name) for name in AliasEvent.__dataclass_fields__}) for row in rows]


def inputs_read_until(connection: Connection, source_id: str) -> datetime | None:
    """Return when the newest input was served that a verdict on a batch of a source speaks of; None before the first.

    Not when the verdict was given: what was served while validate worked, or waited in the spool then, is in none yet.
    A verdict given before that was written down speaks of all up to itself, but for a quarantine, which reads none.
    """
    claims, given = ledger.claims, ledger.verdicts
    written = cast(given.c.report["inputs_until"].as_string(), DateTime(timezone=True))
    before = and_(not_(given.c.report.has_key("inputs_until")), given.c.verdict != QUARANTINE)
    until = case((before, given.c.decided_at), else_=written)
    newest: datetime | None = connection.scalar(
        select(func.max(until))
        .join(claims, claims.c.claim_id == given.c.claim_id)
        .where(claims.c.source_id == source_id, given.c.step == "validate")
    )
    return newest
