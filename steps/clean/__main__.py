"""Clean a batch: every raw row becomes a listing in CLEAN or a refusal with its reason, replaced together.

It never ends early: also a batch whose verdict was SKIP is cleaned, so that later trainings have it; such a batch is
finished with that. After a change of the model's scope, every batch of the run's data set that still stands in CLEAN
under other bounds is cleaned again first, so that a data set is of one scope.

Commit boundaries: recleaned, replaced, completion.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from steps.common.cleaning import Cleaning
from steps.common.dataset import of_another_scope, scope_of
from steps.common.listing import SCOPE_VERSION
from steps.common.logs import committed, log
from steps.common.step import Job, Refused, Result, Step, main
from steps.common.store import clean, cleanings, ledger, raw
from steps.common.store.ledger import Completion
from steps.common.store.raw import RawRows

_PROGRESS_SECONDS: Final = 5.0


class BatchIncomplete(Refused):
    """RAW does not hold the rows its own batch row speaks of."""


class ScopeChanged(Refused):
    """The run was judged by other bounds than those it would be cleaned by now."""


def perform(job: Job) -> Result:
    """Replace the batch's listings and refusals by what its raw rows say now; before it those of other bounds."""
    _refuse_other_scope(job.completed("validate"))
    began = time.monotonic()
    recleaned: dict[str, str] = {}
    for number in [number for number in _left_behind(job) if number != job.claim.batch_number]:
        recleaned[str(number)], _ = _replace(job, number)
        committed("recleaned")
    digest, summary = _replace(job, job.claim.batch_number)
    committed("replaced")
    summary |= {"recleaned": recleaned, "seconds": round(time.monotonic() - began, 3)}
    with job.ledger.connect() as connection:
        judged = ledger.verdict(connection, job.claim.claim_id, "validate")
    skipped = judged is not None and judged.verdict == "SKIP"
    return Result(digest, summary, _lines(summary, skipped=skipped), outcome="SKIP" if skipped else None)


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the batch's listings and refusals as they stand now.

    What was cleaned by other bounds is none of this code's making: done for its own run, whatever became of the rows
    since, and of no use to a later attempt. Nor does one adopt anything while a batch of its data set stands under
    other bounds: nobody would clean that one again before it is trained on.
    """
    own = completion.claim_id == job.claim.claim_id
    if of_another_scope(completion):
        return completion.digest if own else None
    if not own and _left_behind(job):
        return None
    with job.clean.connect() as connection:
        return clean.digest(connection, job.source_id, job.claim.batch_number)


def _refuse_other_scope(judged: Completion) -> None:
    # Of a batch that few rows were refused of, other bounds may refuse half.
    if of_another_scope(judged):
        raise ScopeChanged(
            f"the run was judged under {scope_of(judged)}, this code cleans by "
            f"{SCOPE_VERSION}. Trigger the DAG: the next run judges the batch anew"
        )


def _left_behind(job: Job) -> list[int]:
    """Return the batches of the run's data set that do not stand in CLEAN under the scope of today."""
    with job.ledger.connect() as connection:
        frozen = ledger.frozen_dataset(connection, job.claim.claim_id)
    with job.clean.connect() as connection:
        return list(cleanings.otherwise(connection, job.source_id, list(frozen)))


def _replace(job: Job, number: int) -> tuple[str, dict[str, Any]]:
    """Replace a batch in CLEAN in one transaction; return its digest and figures."""
    batch = (job.source_id, number)
    cleaning = Cleaning()
    with job.raw.connect() as source, job.clean.begin() as target:
        clean.take_turn(target, *batch)
        clean.delete_batch(target, *batch)
        clean.copy_columns(target, *batch, cleaning.columns(_progressing(raw.read_rows(source, *batch))))
        clean.copy_refusals(target, *batch, cleaning.refusals)
        clean.copy_value_counts(target, *batch, cleaning.value_counts)
        digest = clean.digest(target, *batch)
        cleanings.append(target, *batch, digest)
        summary = cleaning.summary()
        expected = raw.row_count(source, *batch)
        if summary["rows"] != expected:
            raise BatchIncomplete(f"RAW has {summary['rows']} rows of batch {number}; it was stored with {expected}")
    return digest, summary


def _progressing(rows: Iterable[RawRows]) -> Iterator[RawRows]:
    """Pass rows through, and say every few seconds how many there were."""
    told, count = time.monotonic(), 0
    for some in rows:
        yield some
        count += len(some.numbers)
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            log().info("cleaning", rows=count)


def _lines(summary: dict[str, Any], *, skipped: bool) -> list[tuple[str, object]]:
    reasons = ", ".join(f"{why} {count:,}" for why, count in summary["refused_by_reason"].items())
    share = summary["refused"] / max(summary["rows"], 1)
    ending = "the batch is finished: validate saw no need for a training" if skipped else "tune goes on"
    again = ", ".join(summary["recleaned"])
    return [
        *([("cleaned again", f"batch {again}, which stood there by other bounds or not at all")] if again else []),
        ("rows", f"{summary['rows']:,} read, {summary['kept']:,} kept"),
        ("refused", f"{summary['refused']:,} ({share:.2%}){': ' if reasons else ''}{reasons}"),
        ("properties", f"{summary['properties']:,}"),
        ("parts", f"{summary['train_rows']:,} rows train, {summary['test_rows']:,} rows test"),
        ("next", ending),
    ]


if __name__ == "__main__":
    sys.exit(main(Step("clean", perform, recheck), description=__doc__))
