"""Judge a batch: is it usable, what changed, is that worth a training? Then write down what a training may learn from.

Verdicts: QUARANTINE (exit 100: the batch is in no data set, somebody has to look), SKIP (cleaned for later trainings,
no training now), TRAIN. Verdict and reasons are tags of the pipeline run's MLflow run too, which is made here.

Commit boundaries: told, frozen, completion.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from steps.common import registry
from steps.common.logs import committed, log
from steps.common.step import DONE, FAILED, Job, Refused, Result, Step, main
from steps.common.store import clean, ledger, raw
from steps.common.store.ledger import Alert, Completion, Verdict
from steps.common.tracking import Tracking, pipeline_run, tell_verdict
from steps.validate.batch import Batch, gather
from steps.validate.policy import Policy, read_policy
from steps.validate.reference import Reference, reference
from steps.validate.scoring import with_champion
from steps.validate.validate import QUARANTINE, TRAIN, Decision, Report, decide, look

_NEXT: Final = {
    QUARANTINE: "nothing of this batch is used; the next run goes on with the next one",
    "SKIP": "the batch is cleaned for later trainings, then the run ends",
    TRAIN: "clean, then a training",
}


class BatchIncomplete(Refused):
    """RAW does not hold the rows its own batch row speaks of."""


class CleanIncomplete(Refused):
    """A finished batch is not in CLEAN, so nothing can be compared with all listings so far."""


def perform(job: Job) -> Result:
    """Measure the batch, decide, tell MLflow, freeze the run's list of batches."""
    policy = read_policy(job.settings.validate_policy)
    tracking = Tracking(job.settings)
    # What may not answer is asked first: nobody wants to parse a hundred megabytes to hear that MLflow is down.
    champion = registry.incumbent(tracking, job.ledger)
    run = pipeline_run(tracking, job.claim)
    batch = _batch(job)
    log().info("parsed", rows=len(batch), refused=len(batch) - int(batch.kept.sum()))
    report = look(batch, _reference(job), policy)
    if champion is not None and not report.faults:
        report = with_champion(job, tracking, champion, batch, report, policy)
    decision = decide(report, champion=champion, forced=job.claim.force_train, policy=policy)
    reasons = [dataclasses.asdict(reason) for reason in decision.reasons]
    tell_verdict(tracking, run, "validate", decision.verdict, reasons, ends=decision.verdict != TRAIN)
    committed("told")
    frozen = {} if decision.verdict == QUARANTINE else _freeze(job)
    return _result(job, report, decision, reasons, policy, frozen)


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the verdict and the frozen list as the ledger holds them."""
    with job.ledger.connect() as connection:
        known = ledger.verdict(connection, completion.claim_id, "validate")
        frozen = ledger.frozen_dataset(connection, completion.claim_id)
    return None if known is None else _digest(known.verdict, known.reasons, frozen)


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
    main_reason = decision.reasons[0].sentence
    alert = Alert("QUARANTINE", f"batch {job.claim.batch_number} cannot be used: {main_reason}")
    summary = {
        "verdict": decision.verdict,
        "codes": [reason.code for reason in decision.reasons],
        "rows": report.counts.rows,
        "refused": report.counts.refused,
        "batches": list(frozen),
    }
    return Result(
        _digest(decision.verdict, reasons, frozen),
        summary,
        _lines(report, decision),
        exit_code=FAILED if refused else DONE,
        verdict=Verdict(decision.verdict, reasons, report.as_json(), policy.model_dump()),
        outcome=QUARANTINE if refused else None,
        alerts=[alert] if refused else [],
    )


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


if __name__ == "__main__":
    sys.exit(main(Step("validate", perform, recheck), description=__doc__))
