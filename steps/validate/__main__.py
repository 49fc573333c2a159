"""Judge a batch: is it usable, what changed, is that worth a training? Then write down what a training may learn from.

Verdicts: QUARANTINE (exit 100: the batch is in no data set, somebody has to look), SKIP (cleaned for later trainings,
no training now), TRAIN. Verdict and reasons are tags of the pipeline run's MLflow run too, which is made here, also
where they are taken over from an earlier attempt; the runs such attempts left open are ended.

The version before the one in production prices the batch as well. Where it is clearly better there is an alert,
ROLLBACK_ADVISED, and with --allow-rollback true the alias goes back to it, once; the rest of the verdict then speaks of
the version that is in production after that, which a candidate will have to beat.

Commit boundaries: told, frozen, completion. Before them, where the alias goes back: intent, alias, previous,
alias_event.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from steps.common import registry
from steps.common.dataset import of_another_scope
from steps.common.listing import SCOPE_VERSION
from steps.common.logs import committed, log
from steps.common.step import DONE, FAILED, Job, Refused, Result, Step, main
from steps.common.store import clean, cleanings, decisions, ledger, predictions, raw
from steps.common.store.ledger import Alert, Claim, Completion, Verdict
from steps.common.store.predictions import Asked
from steps.common.tracking import Tracking, end_overtaken, pipeline_run, take_over, tell_verdict
from steps.common.verdicts import QUARANTINE, SKIP, TRAIN
from steps.validate.batch import Batch, gather
from steps.validate.going_back import with_look_back
from steps.validate.inputs import inputs_drift
from steps.validate.policy import Policy, read_policy
from steps.validate.reason import Code
from steps.validate.reference import Reference, reference
from steps.validate.scoring import scoring, with_champion
from steps.validate.validate import Decision, Report, decide, look

_NEXT: Final = {
    QUARANTINE: "nothing of this batch is used; the next run goes on with the next one",
    SKIP: "the batch is cleaned for later trainings, then the run ends",
    TRAIN: "clean, then a training",
}
ALARMING: Final = frozenset({Code.CHAMPION_UNUSABLE, Code.ROLLBACK_ADVISED})


class BatchIncomplete(Refused):
    """RAW does not hold the rows its own batch row speaks of."""


class CleanIncomplete(Refused):
    """A finished batch is not in CLEAN, so nothing can be compared with all listings so far."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add validate's own option."""
    parser.add_argument(
        "--allow-rollback", choices=("true", "false"), default="false",
        help="go back to the version before where it is clearly better on this batch",
    )  # fmt: skip


def perform(job: Job) -> Result:
    """Measure the batch, go back where that is right, decide, tell MLflow, freeze the run's list of batches."""
    policy = read_policy(job.settings.validate_policy)
    tracking = Tracking(job.settings)
    # What may not answer is asked first: nobody wants to parse a hundred megabytes to hear that MLflow is down.
    champion = registry.incumbent(tracking, job.ledger)
    _end_overtaken(job, tracking)
    run = pipeline_run(tracking, job.claim)
    batch = _batch(job)
    log().info("parsed", rows=len(batch), refused=len(batch) - int(batch.kept.sum()))
    before = _reference(job)
    report = dataclasses.replace(look(batch, before, policy), notes=_notes(job, before))
    if before is not None and not report.faults:
        asked = _asked(job)
        inputs = inputs_drift(asked.rows, asked.counts, before, policy)
        report = dataclasses.replace(report, inputs=inputs, inputs_until=asked.until)
    if champion is not None and not report.faults:
        with scoring(job, tracking, batch, policy) as at_work:
            report = with_look_back(at_work, champion, report, allowed=job.options.allow_rollback == "true")
            champion = registry.incumbent(tracking, job.ledger) or champion
            report = with_champion(at_work, champion, report)
    decision = decide(report, champion=champion, forced=job.claim.force_train, policy=policy)
    reasons = [dataclasses.asdict(reason) for reason in decision.reasons]
    tell_verdict(tracking, run, "validate", decision.verdict, reasons, ends=decision.verdict != TRAIN)
    committed("told")
    frozen = {} if decision.verdict == QUARANTINE else _freeze(job)
    return _result(job, report, decision, reasons, policy, frozen)


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the verdict and the frozen list as the ledger holds them.

    No attempt adopts a verdict given under another scope: what it refused, and how much of it, is not so any more.
    """
    if completion.claim_id != job.claim.claim_id and of_another_scope(completion):
        return None
    with job.ledger.connect() as connection:
        known = ledger.verdict(connection, completion.claim_id, "validate")
        frozen = ledger.frozen_dataset(connection, completion.claim_id)
    return None if known is None else _digest(known.verdict, known.reasons, frozen)


def adopt(job: Job, completion: Completion, worked: Claim) -> None:
    """Tell MLflow the verdict this run takes over, as if it had been given here."""
    del completion  # the verdict says more
    tracking = Tracking(job.settings)
    _end_overtaken(job, tracking)
    run = take_over(tracking, job.claim, worked, "validate")
    with job.ledger.connect() as connection:
        known = ledger.verdict(connection, worked.claim_id, "validate")
    assert known is not None  # noqa: S101  # its digest was computed a moment ago
    tell_verdict(tracking, run, "validate", known.verdict, known.reasons, ends=known.verdict != TRAIN)
    committed("told")


def _end_overtaken(job: Job, tracking: Tracking) -> None:
    """End in MLflow what earlier attempts left open: at this batch, or at one that was given up, which fetch cannot."""
    with job.ledger.connect() as connection:
        attempts = ledger.attempts(connection, job.source_id)
    mine = job.claim
    end_overtaken(tracking, [
        (claim, outcome)
        for claim, outcome in attempts
        if claim.claim_id < mine.claim_id and (claim.batch_number == mine.batch_number or outcome == "ABANDONED")
    ])  # fmt: skip


def _batch(job: Job) -> Batch:
    number = job.claim.batch_number
    with job.raw.connect() as connection:
        batch = gather(number, raw.read_rows(connection, job.source_id, number))
        expected = raw.row_count(connection, job.source_id, number)
    if len(batch) != expected:
        raise BatchIncomplete(f"RAW has {len(batch)} rows of batch {number}; it was stored with {expected}")
    return batch


def _reference(job: Job) -> Reference | None:
    """Return all clean listings of other finished batches, counted; None where this is the first."""
    with job.ledger.connect() as connection:
        finished = ledger.finished_batches(connection, job.source_id)
    batches = [number for number in finished if number != job.claim.batch_number]
    if not batches:
        return None
    with job.clean.connect() as connection:
        rows = clean.listings_by_batch(connection, job.source_id, batches)
        counts = clean.value_counts(connection, job.source_id, batches)
    missing = sorted(set(batches) - set(rows))
    if missing:
        raise CleanIncomplete(f"CLEAN has no listings of finished batch {', '.join(map(str, missing))}")
    return reference(rows, counts)


def _notes(job: Job, before: Reference | None) -> tuple[str, ...]:
    """Return what a reader has to know of the batches compared with: the first run after a change of scope.

    They are compared with as they stand, since clean, which makes them anew, comes after the verdict: all that differs
    is what lies between the old bounds and the new.
    """
    if before is None:
        return ()
    batches = before.batches
    with job.clean.connect() as connection:
        others = cleanings.otherwise(connection, job.source_id, batches)
    told = f"compared with as cleaned by other bounds than {SCOPE_VERSION}: {cleanings.named(others)}"
    return (told,) if others else ()


def _asked(job: Job) -> Asked:
    """Return what people have asked the API about that no verdict speaks of yet, counted."""
    with job.ledger.connect() as connection:
        since = decisions.inputs_read_until(connection, job.source_id)
    with job.raw.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return predictions.asked_since(connection, since)


def _freeze(job: Job) -> dict[int, str]:
    """Write down the batches this run may learn from and test on, once; return them as they stand."""
    claim = job.claim
    with job.ledger.begin() as connection:
        ledger.refuse_if_fenced(connection, claim)
        frozen = ledger.frozen_dataset(connection, claim.claim_id)
        if not frozen:
            finished = ledger.finished_batches(connection, job.source_id)
            ledger.freeze_dataset(connection, claim.claim_id, {**finished, claim.batch_number: claim.content_sha})
            frozen = ledger.frozen_dataset(connection, claim.claim_id)
    committed("frozen")
    return frozen


def _digest(verdict: str, reasons: Sequence[Mapping[str, Any]], frozen: Mapping[int, str]) -> str:
    told = [[reason["code"], reason["sentence"]] for reason in reasons]
    return hashlib.sha256(json.dumps([verdict, told, sorted(frozen.items())]).encode()).hexdigest()


def _result(
    job: Job, report: Report, decision: Decision, reasons: list[dict[str, Any]], policy: Policy,
    frozen: Mapping[int, str],
) -> Result:  # fmt: skip
    refused = decision.verdict == QUARANTINE
    summary = {
        "verdict": decision.verdict,
        "codes": [reason.code for reason in decision.reasons],
        "rows": report.counts.rows,
        "refused": report.counts.refused,
        "batches": list(frozen),
        "scope_version": SCOPE_VERSION,
    }
    return Result(
        _digest(decision.verdict, reasons, frozen),
        summary,
        _lines(report, decision),
        exit_code=FAILED if refused else DONE,
        verdict=Verdict(decision.verdict, reasons, report.as_json(), policy.model_dump()),
        outcome=QUARANTINE if refused else None,
        alerts=_alerts(job.claim.batch_number, decision),
    )


def _alerts(batch: int, decision: Decision) -> list[Alert]:
    """Return what somebody should look at: a refused batch, a champion of no use, a better version before it."""
    if decision.verdict == QUARANTINE:
        return [Alert(QUARANTINE, f"batch {batch} cannot be used: {decision.reasons[0].sentence}")]
    return [
        Alert(reason.code, f"batch {batch}: {reason.sentence}")
        for reason in decision.reasons
        if reason.code in ALARMING
    ]


def _lines(report: Report, decision: Decision) -> list[tuple[str, object]]:
    counts = report.counts
    before = ", ".join(map(str, report.batches_before)) or "none"
    return [
        ("verdict", decision.verdict),
        *((reason.code, reason.sentence) for reason in decision.reasons),
        ("rows", f"{counts.rows:,}, {counts.refused:,} of them will be refused"),
        ("compared with", f"batches {before}, {counts.rows_before:,} listings"),
        *(("note", note) for note in report.notes),
        ("next", _NEXT[decision.verdict]),
    ]


VALIDATE: Final = Step("validate", perform, recheck, add_arguments, adopt=adopt)

if __name__ == "__main__":
    sys.exit(main(VALIDATE, description=__doc__))
