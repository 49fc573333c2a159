"""The step tune as a process, on a real PostgreSQL and a real MLflow: once, twice, twice at once, and killed."""

import re
import signal
import time
from collections import Counter
from typing import Any

import pytest

from steps.common.booster import DEFAULTS
from steps.common.step import DONE, NOTHING_TO_DO, RETRY
from steps.common.store import clean, ledger
from steps.common.tracking import experiment, pipeline_run
from steps.tune import __main__ as program
from steps.tune.baselines import BASELINES, rmse
from steps.tune.folds import make_folds
from steps.tune.search_space import SEARCH_SPACE
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.training_data import cleaned, completion, spoil_test_part

TRIALS = "5"
_stated = re.search(r"Commit boundaries: ([a-z_, \n]+)\.", program.__doc__ or "")
assert _stated
BOUNDARIES = [name.strip() for name in _stated[1].split(",")]


def tune(deployment: Deployment, run_id: str = "r", **named: Any) -> str:
    """Run the step and return what it printed; it must end well, or be killed where wanted."""
    done = deployment.run("tune", "--run-id", run_id, APPRAISER_TRIALS=TRIALS, **named)
    assert done.returncode == (-signal.SIGKILL if named else DONE), done.stdout + done.stderr
    return done.stdout


def children(deployment: Deployment, parent: str) -> list[Any]:
    """Return the MLflow runs right below one."""
    tracking = deployment.tracking
    found = tracking.search_runs([experiment(tracking)], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=500)
    return list(found)


def trials(deployment: Deployment) -> list[tuple[int, str]]:
    """Return every trial in Optuna's own tables, with its state."""
    with deployment.databases.connect("optuna") as connection:
        return [(row[0], row[1]) for row in connection.execute("SELECT number, state FROM trials ORDER BY number")]


def check_everything(deployment: Deployment, failed: int = 0) -> dict[str, Any]:
    """Check a completed sweep of run `r` in the ledger, in Optuna and in MLflow; return its summary."""
    with deployment.ledger.connect() as connection:
        claim = ledger.claim_of_run(connection, "r")
    assert claim is not None
    done = completion(deployment, claim, "tune")
    assert done is not None
    summary = done.summary
    states = Counter(state for _, state in trials(deployment))
    assert states["COMPLETE"] + states["PRUNED"] == int(TRIALS)
    assert states["FAIL"] == failed
    assert summary["trials"] == {state: states[state] for state in ("COMPLETE", "PRUNED", "FAIL")}
    assert summary["cv_rmse"] <= summary["defaults_cv_rmse"]
    assert summary["search_space"] == SEARCH_SPACE
    run = pipeline_run(deployment.tracking, claim)
    (sweep,) = [child for child in children(deployment, run) if child.data.tags["mlflow.runName"] == "sweep"]
    assert sweep.info.status == "FINISHED"
    below = {child.data.tags["mlflow.runName"]: child for child in children(deployment, sweep.info.run_id)}
    assert len(below) == len(children(deployment, sweep.info.run_id)), "a run of that name twice"
    assert set(below) == {
        *(f"trial {number}" for number, _ in trials(deployment)), *(f"baseline: {kind}" for kind in BASELINES)
    }  # fmt: skip
    statuses = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
    for number, state in trials(deployment):
        one = below[f"trial {number}"]
        assert (one.info.status, one.data.tags["appraiser.state"]) == (statuses[state], state)
        assert ("cv_rmse" in one.data.metrics) == (state == "COMPLETE")
        assert bool(one.data.tags["appraiser.reason"]) == (state == "PRUNED")
        if state != "FAIL":
            assert one.data.params.keys() == DEFAULTS.keys()
            assert one.info.end_time >= one.info.start_time > 0
    best = below[f"trial {summary['trial']}"]
    assert best.data.metrics["cv_rmse"] == pytest.approx(summary["cv_rmse"])
    for kind, error in summary["baselines"].items():
        assert below[f"baseline: {kind}"].data.metrics["cv_rmse"] == pytest.approx(error)
    return summary


def test_a_sweep_from_end_to_end_and_again(deployment: Deployment) -> None:
    claim = cleaned(deployment, "r")
    out = tune(deployment)
    summary = check_everything(deployment)
    assert f"RMSE {summary['cv_rmse']:,.0f} dollars with {summary['trees']} trees" in out.splitlines()[-6]
    before = completion(deployment, claim, "tune")
    assert "this step was done before" in tune(deployment)
    assert completion(deployment, claim, "tune") == before
    assert check_everything(deployment) == summary


def test_the_test_part_is_not_read(deployment: Deployment) -> None:
    cleaned(deployment, "r")
    with deployment.clean.connect() as connection:
        train = clean.read(connection, SOURCE, [0], range(20, 100))
    assert spoil_test_part(deployment) > 100
    tune(deployment)
    summary = check_everything(deployment)
    folds = make_folds(train, 1)
    assert summary["rows"] == summary["sampled_rows"] == len(train)
    assert summary["baselines"] == {kind: rmse(model, folds, 1) for kind, (model, _) in BASELINES.items()}


def test_killed_at_each_commit_boundary_in_turn_and_at_a_moment_between(deployment: Deployment) -> None:
    cleaned(deployment, "r")
    # A count after a boundary is within one process: the second trial of the process that is gone on with.
    where = {"study": "study", "trial": "trial#2", "trial_run": "trial_run#1", "completion": "completion"}
    assert list(where) == BOUNDARIES
    assert "boundary=trial " not in tune(deployment, killed_at=where["study"])
    tune(deployment, killed_at=where["trial"])
    assert len(trials(deployment)) == 2
    tune(deployment, killed_at=where["trial_run"])
    assert [state for _, state in trials(deployment)].count("RUNNING") == 0
    running = deployment.start("tune", "--run-id", "r", APPRAISER_TRIALS=TRIALS)
    while "boundary=trial_run" not in running.printed():
        assert running.poll() is None
        time.sleep(0.02)
    # The next trial has begun or is about to; either way the total comes out right.
    with deployment.databases.connect("optuna") as connection:
        while connection.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'").fetchone() == (0,):
            assert running.poll() is None
            connection.rollback()
    running.kill()
    running.communicate()
    tune(deployment, killed_at=where["completion"])
    summary = check_everything(deployment, failed=1)
    assert "this step was done before" in tune(deployment)
    assert check_everything(deployment, failed=1) == summary


def test_two_at_once_make_one_sweep(deployment: Deployment) -> None:
    cleaned(deployment, "r")
    both = [deployment.start("tune", "--run-id", "r", APPRAISER_TRIALS=TRIALS) for _ in range(2)]
    outs = [one.communicate(timeout=280)[0] for one in both]
    assert [one.returncode for one in both] == [DONE, DONE], outs
    assert sum("this step was done before" in out for out in outs) == 1
    check_everything(deployment)


def test_a_later_run_tries_the_champions_parameters_in_a_study_of_its_own(deployment: Deployment) -> None:
    earlier = cleaned(deployment, "before", batch=0)
    champion = {**DEFAULTS, "depth": 5, "learning_rate": 0.3}
    version = deployment.version(earlier, card={"parameters": champion})
    deployment.set_alias(version)
    deployment.complete(earlier, "train", outcome="PROMOTE")
    claim = cleaned(deployment, "r", batch=1, rows=300, seed=1)
    tune(deployment)
    done = completion(deployment, claim, "tune")
    assert done is not None
    assert done.summary["champion_version"] == version
    assert f"/champion {version}/" in done.summary["study"]
    assert done.summary["rows"] == 960 + 240
    (sweep,) = children(deployment, pipeline_run(deployment.tracking, claim))
    origins = {
        child.data.tags["mlflow.runName"]: child.data.tags["appraiser.origin"]
        for child in children(deployment, sweep.info.run_id)
        if "appraiser.origin" in child.data.tags
    }
    assert origins.pop("trial 0") == "defaults"
    assert origins.pop("trial 1") == "champion"
    assert set(origins.values()) == {"sampler"}


def test_the_next_attempt_adopts_the_sweep_and_tells_so(deployment: Deployment) -> None:
    first = cleaned(deployment, "r", rows=300)
    tune(deployment)
    second = deployment.claim("r2", 0, done="clean", adopting=first)
    assert "adopted from an earlier attempt" in tune(deployment, "r2")
    given, adopted = (
        deployment.tracking.get_run(pipeline_run(deployment.tracking, claim)).data.tags for claim in (first, second)
    )
    assert adopted["appraiser.tune.adopted_from"] == "r"
    for name in ("appraiser.tune.sweep_run", "appraiser.tune.cv_rmse"):
        assert adopted[name] == given[name]


def test_a_batch_that_is_skipped_ends_the_run_early(deployment: Deployment) -> None:
    claim = cleaned(deployment, "r", rows=50, verdict="SKIP")
    for _ in range(2):
        done = deployment.run("tune", "--run-id", "r")
        assert done.returncode == NOTHING_TO_DO
    assert trials(deployment) == []
    kept = completion(deployment, claim, "tune")
    assert kept is not None
    assert kept.exit_code == NOTHING_TO_DO
    after = deployment.run("train", "--run-id", "r")
    assert after.returncode == NOTHING_TO_DO
    assert "tune ended the run early" in after.stdout


def test_a_train_part_too_small_is_a_sentence(deployment: Deployment) -> None:
    cleaned(deployment, "r", rows=22)
    done = deployment.run("tune", "--run-id", "r")
    assert "NothingToLearnFrom: 2 listings in 2 buckets cannot make 3 folds" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unreachable_study_names_its_address(deployment: Deployment, free_port: int) -> None:
    cleaned(deployment, "r", rows=50)
    address = f"postgresql+psycopg://pipeline:x@127.0.0.1:{free_port}/optuna"
    done = deployment.run("tune", "--run-id", "r", APPRAISER_OPTUNA_URL=address)
    assert done.returncode == RETRY
    assert f"APPRAISER_OPTUNA_URL: no answer from 127.0.0.1:{free_port}/optuna" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
