"""Goes back to the version before, where it would clearly be better and the run was allowed to; once, come what may.

A run that died over it is found again by the intent it left in the alias's history: the next one, of this run or of
the attempt after it, looks back at the same two versions and moves nothing.
"""

from __future__ import annotations

import dataclasses

from steps.common import registry
from steps.common.artifacts import FileBroken
from steps.common.registry import PRODUCTION
from steps.common.step import Job, NothingToDo
from steps.common.store import ledger, models
from steps.common.store.models import AliasEvent
from steps.validate.look_back import LookBack, look_back, rollback_advised
from steps.validate.out_of_line import out_of_line
from steps.validate.scoring import Scoring, VersionUnusable
from steps.validate.validate import Report

NOT_ALLOWED = "it is left where it is, as allow_rollback is false"


def with_look_back(at_work: Scoring, champion: int, report: Report, *, allowed: bool) -> Report:
    """Return the report with the version before beside the champion, after going back to it where that is right.

    Nothing is looked at where prices do not follow from houses: the version that is least wrong there knows least.
    """
    before = _earlier(at_work.job)
    previous = registry.previous(at_work.tracking)
    now, earlier = (before.expected, before.candidate) if before else (champion, previous)
    if now is None or earlier is None or now == earlier:
        return report
    try:
        found = _compare(at_work, now, earlier)
    except VersionUnusable as reason:
        return dataclasses.replace(report, notes=(*report.notes, str(reason)))
    if found and found.advised and not report.can_be_learnt(at_work.policy):
        found = dataclasses.replace(found, advised=False)
    if found and found.advised:
        moved, outcome = _outcome(at_work, found, before, allowed=allowed)
        found = dataclasses.replace(found, outcome=outcome, moved=moved)
    return dataclasses.replace(report, previous=found)


def _compare(at_work: Scoring, champion: int, previous: int) -> LookBack | None:
    theirs, ours = at_work.here(at_work.version(previous)), at_work.here(at_work.version(champion))
    # Of both: were only one asked, the other would be judged by the slips that it comes nearer to.
    odd = [out_of_line(one.price, one.said, one.state, at_work.policy) for one in (theirs, ours)]
    in_line = ~(odd[0] | odd[1])
    return look_back(previous, champion, theirs.take(in_line), ours.take(in_line), at_work.policy)


def _earlier(job: Job) -> AliasEvent | None:
    """Return the intent to go back that this run left, or an attempt before it that was interrupted."""
    with job.ledger.connect() as connection:
        attempts = [job.claim, *ledger.earlier_attempts(connection, job.claim)]
        return models.rollback_of_runs(connection, [claim.run_id for claim in attempts])


def _outcome(at_work: Scoring, found: LookBack, before: AliasEvent | None, *, allowed: bool) -> tuple[bool, str]:
    """Return whether the alias went back, and what came of the advice in words."""
    if before is not None:
        with registry.turn(at_work.tracking, at_work.job.ledger, at_work.job.run_id, at_work.job.claim.batch_number):
            # Whoever takes the turn settles what was left open.
            pass
        with at_work.job.ledger.connect() as connection:
            return _told(models.settlement(connection, before.event_id))
    return _go_back(at_work, found) if allowed else (False, NOT_ALLOWED)


def _go_back(at_work: Scoring, found: LookBack) -> tuple[bool, str]:
    job = at_work.job
    (reason,) = rollback_advised(found, at_work.policy)
    try:
        settled = registry.roll_back(
            at_work.tracking, job.ledger, reason.sentence, run_id=job.run_id, batch_number=job.claim.batch_number,
            asked_at=found.champion, admitted=lambda connection: ledger.refuse_if_fenced(connection, job.claim),
        )  # fmt: skip
    except (NothingToDo, FileBroken) as error:
        return False, f"it is left where it is: {error}"
    return _told(settled)


def _told(settled: AliasEvent) -> tuple[bool, str]:
    if settled.kind != "ALIAS_SET":
        return False, f"it is left where it is: {settled.reason}"
    return True, f"{PRODUCTION} was moved back to version {settled.candidate}, of which the rest of this verdict speaks"
