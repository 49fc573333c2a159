"""Raises alerts: a row in the ledger that somebody should look at, and a line in the log of whoever found it."""

from __future__ import annotations

from sqlalchemy import Connection

from steps.common.logs import log
from steps.common.store import ledger
from steps.common.store.ledger import Alert


def raise_alert(connection: Connection, alert: Alert, run_id: str, batch_number: int | None) -> bool:
    """Append an alert once for a run and batch, and say it in the log when it is new; return whether it was."""
    is_new = ledger.raise_alert(connection, alert, run_id, batch_number)
    if is_new:
        log().error("alert", code=alert.code, message=alert.message)
    return is_new
