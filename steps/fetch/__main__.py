"""fetch: take up an unfinished batch, or ask the source for a new one and store it in RAW as it came.

A batch is stored whole or not at all, under the number the source gives it. Every request is written down before it
is sent and afterwards with what came of it; where an answer was lost, the source's counter is set back, once a run,
and all batches are passed through again. A batch for which three runs did so, and the source answered with none, is
given up with an alert, and the next one is taken; where the answers were lost, only after a day. An answer that cannot
be taken is kept by its sha and its first 64 KiB.

Ends with 0 when a batch is stored and claimed; 99 when the source has no more; 100 when its answer is no batch, or a
stored one with other content; otherwise (no answer, a server error, a database away) it may be tried again. With
--force-train true and no new batch, the batch that was finished last is taken up again: "retrain now".

Commit boundaries: run, abandoned, request_sent, batch_stored, batch_known, answer_refused, gap_found, restarted,
batch_given_up, batch_missed, source_ended, alert, nothing_to_do, claim, completion.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from steps.common.alerts import raise_alert
from steps.common.step import Job, Refused, Result, Step, main
from steps.common.store import raw
from steps.common.store.ledger import Alert, Claim, Completion
from steps.common.store.raw import Batch, Event
from steps.fetch.claiming import claim

_MEGABYTE: Final = 1_000_000


class BatchGone(Refused):
    """RAW no longer holds what was claimed; somebody has changed it, and nothing may rest on it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add fetch's own option."""
    parser.add_argument(
        "--force-train", choices=("true", "false"), default="false", help="train although nothing asks for it"
    )


def perform(job: Job) -> Result:
    """Describe the claimed batch after making sure that RAW holds it as it was received."""
    batch = _intact(job, job.claim)
    with job.raw.connect() as connection:
        events = raw.events_of_run(connection, job.source_id, job.run_id)
    known, restarts = events.get(Event.KNOWN, 0), events.get(Event.RESTARTED, 0)
    is_new = Event.STORED in events
    summary = {
        "batch": batch.batch_number, "rows": batch.rows, "bytes": batch.bytes, "seconds": batch.seconds,
        "received_at": batch.received_at.isoformat(), "content_sha": batch.content_sha, "body_sha": batch.body_sha,
        "new": is_new, "known_batches": known, "restarts": restarts,
    }  # fmt: skip
    lines = [
        ("batch", f"{batch.batch_number}, {'new from the source' if is_new else 'taken up again'}"),
        ("rows", f"{batch.rows:,}"),
        ("answer", f"{batch.bytes / _MEGABYTE:,.1f} MB in {batch.seconds:.1f} s, {batch.received_at:%Y-%m-%d %H:%M}"),
        ("content", f"sha256 {batch.content_sha}"),
        ("known batches", f"{known} passed over"),
        ("counter", "set back, and all batches passed through again" if restarts else "as the source had it"),
    ]
    return Result(batch.content_sha, summary, lines)


def _intact(job: Job, claim: Claim) -> Batch:
    with job.raw.connect() as connection:
        batch = raw.batch(connection, job.source_id, claim.batch_number)
        found = raw.content_sha(connection, job.source_id, claim.batch_number)
    if batch is None or not batch.content_sha == claim.content_sha == found:
        message = f"RAW does not hold batch {claim.batch_number} as it was claimed, sha256 {claim.content_sha}"
        with job.ledger.begin() as connection:
            raise_alert(connection, Alert("BATCH_GONE", message), job.run_id, claim.batch_number)
        raise BatchGone(message)
    return batch


def recheck(job: Job, completion: Completion) -> str | None:
    """Return the sha of the batch's content as RAW holds it now."""
    with job.raw.connect() as connection:
        return raw.content_sha(connection, job.source_id, completion.summary["batch"])


FETCH: Final = Step("fetch", perform, recheck, add_arguments, claim=claim)

if __name__ == "__main__":
    sys.exit(main(FETCH, description=__doc__))
