"""What is old goes, what is young or unfinished stays, and nobody else can delete it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import optuna
import psycopg
import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, make_url

from local.postgres import SUPERUSER, Server
from steps.common.store import predictions
from steps.common.tables.retain import retain
from tests.servers import ROOT, Databases
from tests.steps.common.store.served import served
from tests.steps.common.store.test_predictions import NOON, after

BEFORE = after(5)


def command(server: Server, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {"APPRAISER_SUPERUSER_URL": server.url(SUPERUSER, "postgres"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "steps.common.tables.retain", *options], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **settings},
    )  # fmt: skip


def retained(databases: Databases, database: str) -> int:
    return retain(make_url(databases.url(database, SUPERUSER)), database, BEFORE)


def test_predictions_of_before_a_time_go_and_no_working_role_deletes_one(databases: Databases) -> None:
    engine = create_engine(databases.url("raw", "serving"))
    with engine.begin() as connection:
        predictions.add(connection, [served(after(minute), {}) for minute in range(10)])
    engine.dispose()
    for role in ("serving", "pipeline"):
        with databases.connect("raw", role) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("DELETE FROM predictions")
    assert [retained(databases, "raw") for _ in range(2)] == [5, 0]
    with databases.connect("raw") as look:
        assert look.execute("SELECT count(*), min(served_at) FROM predictions").fetchone() == (5, BEFORE)


@pytest.fixture
def storage(databases: Databases) -> Iterator[optuna.storages.RDBStorage]:
    made = optuna.storages.RDBStorage(databases.url("optuna"), skip_table_creation=True)
    yield made
    made.engine.dispose()


def test_a_finished_study_goes_whole_and_the_others_stay_as_they_are(
    databases: Databases, storage: optuna.storages.RDBStorage
) -> None:
    states = {"old": [TrialState.COMPLETE, TrialState.PRUNED], "young": [TrialState.COMPLETE],
              "works": [TrialState.COMPLETE, TrialState.RUNNING], "empty": []}  # fmt: skip
    for name, trials in states.items():
        study = optuna.create_study(storage=storage, study_name=name)
        study.set_user_attr("of", name)
        for state in trials:
            trial = study.ask()
            trial.suggest_float("eta", 0, 1)
            trial.report(1.0, 0)
            if state.is_finished():
                study.tell(trial, 1.0 if state is TrialState.COMPLETE else None, state=state)
    with databases.connect("optuna") as connection:
        # As at the time the first of the predictions above was served; Optuna writes local time without a zone.
        connection.execute(
            "UPDATE trials SET datetime_complete = %s WHERE datetime_complete IS NOT NULL AND study_id <> "
            "(SELECT study_id FROM studies WHERE study_name = 'young')", [NOON.replace(tzinfo=None)],
        )  # fmt: skip
    assert [retained(databases, "optuna") for _ in range(2)] == [1, 0]
    kept = {study.study_name: study for study in optuna.get_all_study_summaries(storage)}
    assert {name: study.n_trials for name, study in kept.items()} == {"young": 1, "works": 2, "empty": 0}
    with databases.connect("optuna") as look:
        for table in ("trial_params", "trial_values", "trial_intermediate_values", "study_user_attributes"):
            assert look.execute(f"SELECT count(*) FROM {table}").fetchone() == (  # noqa: S608  # ours
                {"trial_params": 3, "trial_values": 2, "trial_intermediate_values": 3, "study_user_attributes": 3}[
                    table
                ],
            )


def test_the_command_deletes_what_is_named_and_nothing_else(server: Server) -> None:
    done = command(server, "--predictions-days", "30")
    assert (done.returncode, done.stdout) == (0, "predictions of more than 30 days ago: 0 deleted\n")
    assert command(server).stdout == ""


@pytest.mark.parametrize(
    ("options", "variables", "code", "sentence"),
    [
        (["--predictions-days", "0"], {}, 2, "0 is not at least 1"),
        (["--studies-days", "9"], {"APPRAISER_SUPERUSER_URL": ""}, 1, "optuna needs a superuser's address"),
        (["--studies-days", "9"], {"APPRAISER_SUPERUSER_URL": "postgresql+psycopg://a@127.0.0.1:1/x"}, 1,
         "optuna at 127.0.0.1:1 cannot be reached"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    server: Server, options: list[str], variables: dict[str, str], code: int, sentence: str
) -> None:
    done = command(server, *options, **variables)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
