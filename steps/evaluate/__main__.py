"""Scores the candidate and the version in production on the same test rows and writes down what promote decides from.

Errors per property, plots and metrics go to MLflow, the evidence to the ledger, and beside it why the two differ:
where the champion's error comes from, what new data and new parameters brought, what moves prices now, in words too.
Whatever keeps that from being explained is a note, and no reason for anything. It never ends a run early: worse is for
promote to say. Fails for good when the candidate's files are not those of training, or nothing can be tested on.

Commit boundaries: artifacts, evidence, completion.
"""

import sys
from typing import Final

from steps.common.step import Job, Step, main
from steps.common.store.ledger import Claim, Completion
from steps.common.tracking import Tracking, take_over
from steps.evaluate.measure import perform, recheck


def adopt(job: Job, completion: Completion, worked: Claim) -> None:
    """Tell MLflow whose comparison this run takes over; metrics, plots and report stay with that run."""
    del completion  # promote reads the evidence in the ledger
    take_over(Tracking(job.settings), job.claim, worked, "evaluate")


EVALUATE: Final = Step("evaluate", perform, recheck, adopt=adopt)

if __name__ == "__main__":
    sys.exit(main(EVALUATE, description=__doc__))
