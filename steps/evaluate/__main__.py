"""Scores the candidate and the version in production on the same test rows and writes down what promote decides from.

Errors per property, plots and metrics go to MLflow, the evidence to the ledger, and beside it why the two differ:
where the champion's error comes from, what new data and new parameters brought, what moves prices now, in words too.
Whatever keeps that from being explained is a note, and no reason for anything. It never ends a run early: worse is for
promote to say. Fails for good when the candidate's files are not those of training, or nothing can be tested on.

Commit boundaries: artifacts, evidence, completion.
"""

import sys

from steps.common.step import Step, main
from steps.evaluate.measure import perform, recheck

if __name__ == "__main__":
    sys.exit(main(Step("evaluate", perform, recheck), description=__doc__))
