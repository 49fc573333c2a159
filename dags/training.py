"""Take one batch of house listings from the source to a verdict, and to a better model where there is one.

Seven pods, one after the other; each is `python -m steps.<step>` in its own image. What passes between them is in the
ledger, under this run's id: nothing travels through Airflow.

| task | does | ends early |
|---|---|---|
| fetch | takes up a stored batch without a verdict, else asks the source for a new one | *skipped*: nothing new |
| validate | says whether the batch can be used, and what is new in it | *failed*: **QUARANTINE** |
| clean | parses every row; a refused row keeps its reason | |
| tune | searches parameters, in `trials` trials | *skipped*: the verdict was **SKIP** |
| train | fits the candidate and registers it in MLflow | |
| evaluate | prices the same held-out houses with candidate and champion | |
| promote | decides, and moves the alias `Production` | *skipped*: any verdict but **PROMOTE** |

A step that ends early takes the ones behind it along, and the last lines of its log say why. QUARANTINE, and an answer
of the source that is no batch, are final. Any other failure is tried again, three times: a step that finds its work
done says so and ends well, so a retry costs a start and nothing more.

## Parameters
- `force_train` (true or false, default false): train although nothing asks for it. Without a new batch, the usable one
  that was finished last is taken up again: "retrain now".
- `allow_rollback` (true or false, default false): let validate move the alias back to the version named `previous`
  where that prices the new batch clearly better than the one in production, and train from there. Without it there is
  an alert, **ROLLBACK_ADVISED**, and the alias stays. A batch like those of long ago flatters an old version: think
  twice before it is always on. Where the last move was a rollback, none follows by itself.
- `trials` (2 to 500, or empty, the default: the setting `APPRAISER_TRIALS`, 20): trials of the sweep in all, those of
  an interrupted sweep included.

## What the verdicts mean
validate says **TRAIN** (there is a reason to train, and it is named), **SKIP** (the batch is good, and nothing in it
would make a better model) or **QUARANTINE** (the batch cannot be used; it is in no data set, now or later, also where
it was used before, and the next run goes on with the next batch).

promote says **PROMOTE** (the candidate is better on the same houses by more than chance and noise explain; the alias
is moved), **HOLD** (these houses cannot tell them apart), **REJECT** (the candidate is worse, or a guard failed) or
**STALE** (the champion changed while this run worked; the next run takes the batch up again from evaluate). A batch
that was tried three times without an end is **ABANDONED** with an alert, so that it does not block the others; it is in
no data set then, unless it was found good before.

## When not to run it
- To get a batch out of QUARANTINE: the same rows get the same verdict. The next run goes on with the next batch.
- While somebody moves the alias by hand or rolls back: the run works to its end and is STALE.
- Twice at once: the second run waits until the first has ended.

## Reading the logs
Each task shows its pod's log; the last lines say in one block what happened and why. The pods are kept, too:

    kubectl logs -l app=appraiser,step=train --tail=-1
    kubectl get pods -l app=appraiser --sort-by=.metadata.creationTimestamp
    kubectl describe pod <name>

## Going back to the model before

    python -m steps.promote --rollback --reason "prices in Maine are off"

moves `Production` back to the version named `previous`, and writes that and the reason to the ledger.

## What clearing a task does
It starts the step again under the same run. What is done and still valid is found done: no row, version or alias
changes. Clear a failed task once its cause is gone; clear fetch to go on with a run that stopped half-way.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, chain

# Airflow runs with the parent of this folder on PYTHONPATH, so that this module has one name there and in the tests.
from dags.step_pod import StepPod

SCHEDULE = os.environ.get("APPRAISER_SCHEDULE", "@hourly")

with DAG(
    dag_id="training",
    description="A batch goes in, a better model comes out",
    doc_md=__doc__,
    schedule=None if SCHEDULE == "none" else SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=8),
    # Airflow starts no queued run of a paused DAG, and "paused" is what it makes of every new one.
    is_paused_upon_creation=False,
    params={
        "force_train": Param(default=False, type="boolean", description="train although nothing asks for it"),
        "allow_rollback": Param(
            default=False, type="boolean", description="go back where the version before is better"
        ),
        "trials": Param(default=None, type=["null", "integer"], minimum=2, maximum=500, description="trials in all"),
    },
    tags=["appraiser"],
):
    fetch = StepPod(step="fetch", options=["--force-train", "{{ params.force_train | lower }}"], minutes=30)
    rollback = ["--allow-rollback", "{{ params.allow_rollback | lower }}"]
    validate = StepPod(step="validate", options=rollback, size="medium", minutes=30)
    clean = StepPod(step="clean", size="medium", minutes=30)
    tune = StepPod(
        step="tune",
        options=["{{ '--trials=%d' % params.trials if params.trials else '' }}"],
        size="large",
        minutes=120,
        deferrable=True,
    )
    train = StepPod(step="train", size="large", minutes=60, deferrable=True)
    evaluate = StepPod(step="evaluate", size="large", minutes=60, deferrable=True)
    promote = StepPod(step="promote", minutes=10)

    chain(fetch, validate, clean, tune, train, evaluate, promote)
