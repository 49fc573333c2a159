"""The promotion itself: takes the turn at the alias, decides, moves the alias if so decided, says so everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import Connection

from steps.common import evidence, logs, registry
from steps.common.registry import Turn
from steps.common.step import DONE, NOTHING_TO_DO, Job, Refused, Result
from steps.common.store import ledger, models
from steps.common.store.ledger import Completion, Verdict
from steps.common.store.models import AliasEvent, ModelVersion
from steps.common.tracking import Tracking, pipeline_run, tell_verdict
from steps.promote.policy import Policy, read_policy
from steps.promote.promote import PROMOTE, decide
from steps.promote.reason import Code, because

STALE: Final = "STALE"


@dataclass(frozen=True)
class Decided:
    """A verdict, the versions it is about, and the event by which the alias was set, where it was."""

    verdict: Verdict
    candidate: int
    champion: int | None
    setting: AliasEvent | None = None


def perform(job: Job) -> Result:
    """Decide about the run's candidate and, for PROMOTE, move the alias; HOLD, REJECT and STALE end the run early."""
    policy = read_policy(job.settings.promote_policy)
    tracking = Tracking(job.settings)
    run = pipeline_run(tracking, job.claim)
    with registry.turn(tracking, job.ledger, job.run_id, job.claim.batch_number) as turn:
        decided = _decide(job, turn, policy)
        if decided.verdict.verdict == PROMOTE and decided.setting is None:
            decided = _act(job, turn, decided)
    verdict = decided.verdict
    tell_verdict(tracking, run, "promote", verdict.verdict, verdict.reasons, ends=True)
    return Result(
        digest=_digest(verdict.verdict, decided.candidate, decided.setting),
        summary={
            "verdict": verdict.verdict,
            "candidate": decided.candidate,
            "champion": decided.champion,
            "codes": [reason["code"] for reason in verdict.reasons],
            "sentence": verdict.reasons[0]["sentence"],
        },
        lines=[
            ("verdict", verdict.verdict),
            ("candidate", f"version {decided.candidate}"),
            ("champion", "none" if decided.champion is None else f"version {decided.champion}"),
            *[("why", reason["sentence"]) for reason in verdict.reasons],
        ],
        exit_code=DONE if verdict.verdict == PROMOTE else NOTHING_TO_DO,
        verdict=verdict,
        # A STALE attempt is not over: the next run takes the batch up again, from evaluate.
        outcome=None if verdict.verdict == STALE else verdict.verdict,
    )


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the decision as the ledger has it; where the alias has gone since is another's decision."""
    with job.ledger.connect() as connection:
        verdict = ledger.verdict(connection, completion.claim_id, "promote")
        candidate = models.version_of_claim(connection, job.claim)
        setting = models.promotion(connection, candidate.version) if candidate else None
    if verdict is None or candidate is None:
        return None
    return _digest(verdict.verdict, candidate.version, setting)


def _digest(verdict: str, candidate: int, setting: AliasEvent | None) -> str:
    effect = [verdict, candidate, setting.event_id if setting else None]
    return hashlib.sha256(json.dumps(effect).encode()).hexdigest()


def _decide(job: Job, turn: Turn, policy: Policy) -> Decided:
    champion = registry.incumbent(turn.tracking, job.ledger)
    with job.ledger.connect() as connection:
        candidate = _candidate(connection, job)
        setting = models.promotion(connection, candidate.version)
        if setting is not None:
            # This promotion was carried out and its process died before the completion row.
            champion = setting.previous
        measured = ledger.origin(connection, job.claim.claim_id, "evaluate")
        found = models.evidence(connection, measured, champion or 0)
    if found is None and setting is None:
        return Decided(_stale(job, champion, policy), candidate.version, champion)
    verdict = decide(intact(found), policy)
    if setting is not None and verdict.verdict != PROMOTE:
        sentence = f"The alias was set by this promotion (event {setting.event_id}) under the policy of that time."
        verdict = replace(
            verdict, verdict=PROMOTE, reasons=[because(Code.CARRIED_OUT, sentence, event=setting.event_id)]
        )
    return Decided(verdict, candidate.version, champion, setting)


def _candidate(connection: Connection, job: Job) -> ModelVersion:
    found = models.version_of_claim(connection, job.claim)
    if found is None:
        raise Refused(f"the ledger has no model version of run {job.run_id}, though train has completed")
    return found


def intact(found: models.Evidence | None) -> Mapping[str, Any]:
    """Return evidence as it was measured, nothing where there is none; raise Refused for evidence that was changed."""
    if found is None:
        return {}
    if evidence.sha(found.evidence) != found.sha:
        raise Refused(f"the evidence of claim {found.claim_id} is not the one that was measured: its sha256 differs")
    return found.evidence


def _stale(job: Job, champion: int | None, policy: Policy) -> Verdict:
    measured = job.completed("evaluate").summary.get("champion_version")
    sentence = (
        f"The champion is {_named(champion)} now; the candidate was compared with {_named(measured)}. The next run "
        f"takes batch {job.claim.batch_number} up again from evaluate."
    )
    reason = because(
        Code.CHAMPION_CHANGED, sentence, measured=champion, compared_with=measured, batch=job.claim.batch_number
    )
    return Verdict(STALE, [reason], {}, policy.model_dump(mode="json"))


def _named(version: int | None) -> str:
    return f"version {version}" if version else "none"


def _act(job: Job, turn: Turn, decided: Decided) -> Decided:
    # An alias may be set to a version without files; nobody could serve it.
    with TemporaryDirectory() as folder:
        registry.fetch_version(turn.tracking, job.ledger, decided.candidate, Path(folder))
    settled = turn.move(
        "PROMOTE_INTENT",
        decided.candidate,
        decided.verdict.reasons[0]["sentence"],
        job.run_id,
        lambda connection: ledger.refuse_if_fenced(connection, job.claim),
    )
    if settled.kind == STALE:
        reason = because(Code.ALIAS_MOVED, f"{settled.reason}.")
        verdict = replace(decided.verdict, verdict=STALE, reasons=[reason])
        return replace(decided, verdict=verdict)
    return replace(decided, setting=settled)


def roll_back(job: Job) -> int:
    """Point the alias back at `previous`, or at the version asked for; return the exit code."""
    ledger.open_ledger(job.ledger, job.source_id)
    settled = registry.roll_back(Tracking(job.settings), job.ledger, job.options.reason, job.options.to)
    if settled.kind == STALE:
        raise Refused(f"not rolled back: {settled.reason}")
    lines = [
        (registry.PRODUCTION, f"version {settled.candidate}"),
        (registry.PREVIOUS, f"version {settled.previous}, rolled back from"),
        ("why", settled.reason),
    ]
    logs.close("promote · rolled back", lines, f"exit code {DONE}")
    return DONE
