"""The real DAG, loaded by the real Airflow, and the pods its tasks would create."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

# Airflow reads its settings, and makes its folder, where it is first imported; a test must not find the user's own.
_HOME = tempfile.mkdtemp(prefix="airflow-")
os.environ |= {
    "AIRFLOW_HOME": _HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    # Loading takes two seconds on a machine with nothing else to do.
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
}

ROOT = Path(__file__).parents[2]
RUN_ID = "manual__2026-03-01T12:00:00+00:00"
Render = Callable[..., Any]


def load(path: Path) -> Any:
    """Load a DAG file as Airflow's DAG processor does."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(path))


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[Path]:
    """Return Airflow's folder, and take it away in the end."""
    yield Path(_HOME)
    shutil.rmtree(_HOME)


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a kubeconfig that leads to a port nobody listens on: rendering asks no cluster anything."""
    path = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
        "clusters: [{name: test, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: test, context: {cluster: test, user: test}}]\n"
        "users: [{name: test, user: {}}]\n"
    )
    return path


@pytest.fixture(scope="session")
def training(kubeconfig: Path) -> Any:
    """Return the DAG `training`, loaded where tags are allowed and no schedule is set."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("APPRAISER_IMAGES_ALLOW_TAGS", "true")
        environment.setenv("APPRAISER_KUBECONFIG", str(kubeconfig))
        environment.delenv("APPRAISER_SCHEDULE", raising=False)
        bag = load(ROOT / "dags" / "training.py")
    assert bag.import_errors == {}
    return bag.dags["training"]


@pytest.fixture(scope="session")
def render(training: Any) -> Render:
    """Return a function from a step and the run's parameters to its pod."""
    return pods_of(training)


def pods_of(training: Any) -> Render:
    """Return a function from a step and the run's parameters to the pod, as the cluster would be asked for it."""

    def rendered(step: str, **parameters: object) -> Any:
        from kubernetes.client import ApiClient

        task = training.get_task(step).prepare_for_execution()
        context = context_of(task, {**training.params.dump(), **parameters})
        task.render_template_fields(context)
        return ApiClient().sanitize_for_serialization(task.build_pod_request_obj(context))

    return rendered


def context_of(task: Any, parameters: dict[str, object]) -> Any:
    """Return what Airflow would give a task of the first attempt of a run, as far as a pod depends on it."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    instance = RuntimeTaskInstance.model_construct(
        id=uuid.UUID(int=1), dag_id=task.dag.dag_id, task_id=task.task_id, run_id=RUN_ID, try_number=1, map_index=-1,
        task=task, start_date=datetime.now(UTC),
    )  # fmt: skip
    return {"ti": instance, "run_id": RUN_ID, "dag": task.dag, "params": parameters}
