"""Clean a batch: every raw row becomes a listing in CLEAN or a refusal with its reason, replaced together.

It never ends early: also a batch whose verdict was SKIP is cleaned, so that later trainings have it; such a batch is
finished with that.

Commit boundaries: replaced, completion.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from steps.common.cleaning import Cleaning
from steps.common.logs import committed, log
from steps.common.step import Job, Refused, Result, Step, main
from steps.common.store import clean, ledger, raw
from steps.common.store.ledger import Completion
from steps.common.store.raw import RawRows

_PROGRESS_SECONDS: Final = 5.0


class BatchIncomplete(Refused):
    """RAW does not hold the rows its own batch row speaks of."""


def perform(job: Job) -> Result:
    """Replace the batch's listings and refusals by what its raw rows say now."""
    batch = (job.source_id, job.claim.batch_number)
    cleaning = Cleaning()
    began = time.monotonic()
    with job.raw.connect() as source, job.clean.begin() as target:
        clean.take_turn(target, *batch)
        clean.delete_batch(target, *batch)
        clean.copy_columns(target, *batch, cleaning.columns(_progressing(raw.read_rows(source, *batch))))
        clean.copy_refusals(target, *batch, cleaning.refusals)
        clean.copy_value_counts(target, *batch, cleaning.value_counts)
        digest = clean.digest(target, *batch)
        summary = cleaning.summary()
        expected = raw.row_count(source, *batch)
        if summary["rows"] != expected:
            raise BatchIncomplete(f"RAW has {summary['rows']} rows of batch {batch[1]}; it was stored with {expected}")
    committed("replaced")
    summary["seconds"] = round(time.monotonic() - began, 3)
    with job.ledger.connect() as connection:
        judged = ledger.verdict(connection, job.claim.claim_id, "validate")
    skipped = judged is not None and judged.verdict == "SKIP"
    return Result(digest, summary, _lines(summary, skipped=skipped), outcome="SKIP" if skipped else None)


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the digest of the batch's listings and refusals as they stand now."""
    del completion  # all that counts is in CLEAN
    with job.clean.connect() as connection:
        return clean.digest(connection, job.source_id, job.claim.batch_number)


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
    return [
        ("rows", f"{summary['rows']:,} read, {summary['kept']:,} kept"),
        ("refused", f"{summary['refused']:,} ({share:.2%}){': ' if reasons else ''}{reasons}"),
        ("properties", f"{summary['properties']:,}"),
        ("parts", f"{summary['train_rows']:,} rows train, {summary['test_rows']:,} rows test"),
        ("next", ending),
    ]


if __name__ == "__main__":
    sys.exit(main(Step("clean", perform, recheck), description=__doc__))
