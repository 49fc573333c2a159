"""The DAG: its shape, its bounds, and that an operator finds its manual."""

import ast
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError
from annotated_types import Ge, Le

from dags.step_pod import StepPod
from dags.step_spec import DATABASES
from steps.common.settings import Settings
from steps.common.step import ORDER
from tests.dags.conftest import ROOT, load


def test_seven_steps_one_after_the_other(training: Any) -> None:
    assert [task.task_id for task in training.topological_sort()] == list(ORDER)
    assert {task.task_id: task.downstream_task_ids for task in training.tasks} == {
        step: {following} if following else set() for step, following in zip(ORDER, [*ORDER[1:], None], strict=True)
    }


def test_every_task_is_a_step_pod_of_the_default_pool(training: Any) -> None:
    assert {type(task) for task in training.tasks} == {StepPod}
    assert {(task.pool, task.queue, task.trigger_rule) for task in training.tasks} == {
        ("default_pool", "default", "all_success")
    }
    assert set(DATABASES) == set(ORDER)


def test_one_run_at_a_time_never_paused_never_caught_up(training: Any) -> None:
    assert (training.max_active_runs, training.catchup, training.is_paused_upon_creation) == (1, False, False)


def test_every_clock_is_set_and_the_pod_gives_up_first(training: Any) -> None:
    for task in training.tasks:
        longest_start = task.schedule_timeout_seconds + task.startup_timeout_seconds
        assert task.execution_timeout >= timedelta(seconds=task.active_deadline_seconds + longest_start)
    assert training.dagrun_timeout >= sum((task.execution_timeout for task in training.tasks), timedelta())


def test_a_failed_attempt_is_repeated_soon(training: Any) -> None:
    assert all(task.retries >= 2 for task in training.tasks)
    assert all(task.retry_delay <= timedelta(seconds=30) for task in training.tasks)


def test_long_steps_leave_their_place_while_they_wait(training: Any) -> None:
    assert [task.task_id for task in training.tasks if task.deferrable] == ["tune", "train", "evaluate"]


@pytest.mark.parametrize(("setting", "schedule"), [(None, "@hourly"), ("0 3 * * *", "0 3 * * *"), ("none", None)])
def test_schedule_is_a_setting(
    setting: str | None, schedule: str | None, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPRAISER_IMAGES_ALLOW_TAGS", "true")
    monkeypatch.setenv("APPRAISER_KUBECONFIG", str(kubeconfig))
    monkeypatch.delenv("APPRAISER_SCHEDULE", raising=False)
    if setting is not None:
        monkeypatch.setenv("APPRAISER_SCHEDULE", setting)
    assert load(ROOT / "dags" / "training.py").dags["training"].schedule == schedule


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trials", 1),
        ("trials", 501),
        ("trials", "20"),
        ("trials", 2.5),
        ("force_train", "yes"),
        ("force_train", 1),
        ("allow_rollback", "true"),
        ("allow_rollback", 0),
    ],
)
def test_parameters_out_of_bounds_are_refused(training: Any, name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        training.params.get_param(name).resolve(value)


def test_trials_have_the_bounds_of_the_setting_and_are_left_to_it(training: Any) -> None:
    field = Settings.model_fields["trials"]
    schema = training.params.get_param("trials").schema
    assert Ge(schema["minimum"]) in field.metadata
    assert Le(schema["maximum"]) in field.metadata
    assert training.params["trials"] is None


def test_docstring_is_the_manual(training: Any) -> None:
    manual = training.doc_md
    assert manual == ast.get_docstring(ast.parse((ROOT / "dags" / "training.py").read_text()), clean=False)
    for word in [*ORDER, *training.params, "TRAIN", "SKIP", "QUARANTINE", "PROMOTE", "HOLD", "REJECT", "STALE"]:
        assert word in manual
    assert "ABANDONED" in manual
    assert "python -m steps.promote --rollback --reason" in manual
    assert re.search(r"kubectl logs -l app=appraiser,step=train", manual)


def test_code_is_short_enough_to_read_aloud() -> None:
    code = (ROOT / "dags" / "training.py").read_text().rsplit('"""', 1)[1]
    assert len(code.split()) < 200
