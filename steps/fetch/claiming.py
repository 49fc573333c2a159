"""How a run comes by its batch: an unfinished stored one, a new one, or the last finished one once more."""

from __future__ import annotations

from typing import Final

from steps.common.alerts import raise_alert
from steps.common.logs import committed, log
from steps.common.step import Job, NothingToDo
from steps.common.store import ledger, raw
from steps.common.store.connection import advisory_lock
from steps.common.store.ledger import Alert, Claim
from steps.fetch.asking import Asking
from steps.fetch.fetch import Unfinished, last_finished, unfinished
from steps.fetch.source_client import Source, SourceEnded

_BYTES: Final = 1_000_000
# Longer than one answer may take; whoever waits in vain is tried again.
_TURN_SECONDS: Final = 60.0


def claim(job: Job) -> Claim:
    """Return this run's claim, made now if it has none: of a batch that is in RAW when this returns.

    One fetch at a time for a source. Raises NothingToDo, also for a run that found nothing to do before.
    """
    wait = job.settings.answer_seconds + _TURN_SECONDS
    with advisory_lock(job.raw, f"fetch/{job.source_id}", wait):
        with job.ledger.begin() as connection:
            forced = job.options.force_train == "true"
            ledger.append_run(connection, job.run_id, job.source_id, force_train=forced)
        committed("run")
        _raise_alerts(job)
        with job.ledger.connect() as connection:
            mine = ledger.claim_of_run(connection, job.run_id)
            idle = ledger.idle_reason(connection, job.run_id)
            forced = ledger.run_forces(connection, job.run_id)
        if mine is not None:
            return mine
        if idle is not None:
            raise NothingToDo(idle)
        number, forced = _batch(job, forced=forced)
        return _claimed(job, number, forced=forced)


def _claimed(job: Job, number: int, *, forced: bool) -> Claim:
    with job.raw.connect() as connection:
        batch = raw.batch(connection, job.source_id, number)
    assert batch is not None  # noqa: S101  # it was stored, or listed as stored, a moment ago; RAW deletes nothing
    with job.ledger.begin() as connection:
        mine = ledger.claim_batch(connection, job.run_id, job.source_id, number, batch.content_sha, force_train=forced)
    committed("claim")
    log().info("claimed", batch=number, attempt=mine.attempt, forced=forced)
    return mine


def _batch(job: Job, *, forced: bool) -> tuple[int, bool]:
    """Return the number of the batch this run is to work on, and whether its training is forced."""
    with job.raw.connect() as connection:
        stored = {batch.batch_number for batch in raw.batches(connection, job.source_id)}
    with job.ledger.connect() as connection:
        attempts = ledger.attempts(connection, job.source_id)
    for batch in unfinished(stored, attempts):
        if not batch.exhausted:
            # An interrupted training that somebody asked for is still asked for.
            return batch.batch_number, forced or (batch.newest is not None and batch.newest.force_train)
        _abandon(job, batch)
    try:
        return _asking(job).new_batch().batch_number, forced
    except SourceEnded as end:
        again = last_finished(stored, attempts) if forced else None
        if again is not None:
            return again, True
        reason = f"the source is at its end ({end}) and every stored batch is finished"
        reason += ", none so that it could be trained on again" if forced else ""
    with job.ledger.begin() as connection:
        ledger.append_idle_run(connection, job.run_id, reason)
    committed("nothing_to_do")
    raise NothingToDo(reason)


def _abandon(job: Job, batch: Unfinished) -> None:
    assert batch.newest is not None  # noqa: S101  # it was attempted
    message = f"batch {batch.batch_number} is abandoned after {batch.attempts} attempts without an end"
    with job.ledger.begin() as connection:
        if ledger.abandon(connection, batch.newest):
            raise_alert(connection, Alert("ABANDONED", message), batch.newest.run_id, batch.batch_number)
    committed("abandoned")


def _asking(job: Job) -> Asking:
    settings = job.settings
    source = Source(
        settings.needed("source_url"), settings.source_group, settings.source_day, settings.answer_seconds,
        settings.answer_megabytes * _BYTES,
    )  # fmt: skip

    return Asking(
        source, job.raw, job.source_id, job.run_id,
        allow_restart=settings.allow_restart, growth=settings.answer_growth, alarmed=lambda: _raise_alerts(job),
    )  # fmt: skip


def _raise_alerts(job: Job) -> None:
    """Raise an alert for all in RAW's record of requests that has none yet, so that one killed on the way is made up.

    RAW and the ledger are two databases: no transaction holds both.
    """
    with job.raw.connect() as connection:
        alarms = raw.alarms(connection, job.source_id)
    raised = False
    with job.ledger.begin() as connection:
        known = ledger.alerts_of_runs(connection) if alarms else set()
        for alarm in alarms:
            if (alarm.reason, alarm.run_id, alarm.batch_number) not in known:
                alert = Alert(alarm.reason, alarm.detail)
                raised |= raise_alert(connection, alert, alarm.run_id, alarm.batch_number)
    if raised:
        committed("alert")
