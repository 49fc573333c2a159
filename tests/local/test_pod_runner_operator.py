"""The unmodified KubernetesPodOperator, plain and deferrable, run by Airflow itself against the pod runner.

One `dag.test()` in a process of its own runs a task for every case: Airflow's own in-process API server, task runner
and triggers, with a database made for it. Its start takes most of the time, so there is only one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.pod_runner_process import IMAGE, NAMESPACE, PodRunner, started, terminated

DAG = f"""
import json, os
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

CASES = {{"succeeds": ["lines", "3"], "skips": ["leave", "99"], "fails": ["leave", "100"], "deleted": ["polite"]}}

with DAG("pods", schedule=None) as dag:
    for name, words in CASES.items():
        for way in ("plain", "deferred"):
            KubernetesPodOperator(
                task_id=f"{{name}}-{{way}}", name=name, image="{IMAGE}", arguments=words, namespace="{NAMESPACE}",
                labels={{"case": name}}, config_file=os.environ["POD_KUBECONFIG"], in_cluster=False,
                deferrable=way == "deferred", poll_interval=0.2, startup_check_interval_seconds=1,
                skip_on_exit_code=99, on_finish_action="keep_pod", log_pod_spec_on_failure=False,
            )

if __name__ == "__main__":
    states = {{instance.task_id: instance.state for instance in dag.test().get_task_instances()}}
    print("STATES", json.dumps(states))
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodRunner]:
    with started(tmp_path_factory.mktemp("operator")) as runner:
        yield runner


@pytest.fixture(scope="module")
def output(runner: PodRunner, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what Airflow prints while it runs every case; the pods of the case `deleted` are deleted once they run."""
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    (folder / "dags" / "pods.py").write_text(DAG)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "APPRAISER"))} | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "POD_KUBECONFIG": str(runner.kubeconfig),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run(["airflow", "db", "migrate"], env=environment, check=True, capture_output=True, timeout=300)
    done = threading.Event()
    deleter = threading.Thread(target=delete_running_pods, args=[runner, done])
    deleter.start()
    try:
        run = subprocess.run(
            [sys.executable, folder / "dags" / "pods.py"], env=environment, cwd=folder, check=False, timeout=500,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    finally:
        done.set()
        deleter.join()
    assert "STATES" in run.stdout, run.stdout
    return run.stdout


def delete_running_pods(runner: PodRunner, done: threading.Event) -> None:
    """Delete every pod of the case `deleted` that says it is ready, as somebody with kubectl would."""
    while not done.wait(0.1):
        for pod in runner.api.list_namespaced_pod(NAMESPACE, label_selector="case=deleted").items:
            name, going = pod.metadata.name, pod.metadata.deletion_timestamp
            if not going and pod.status.phase == "Running" and "ready" in runner.log(name):
                runner.delete(name)


@pytest.mark.parametrize("way", ["plain", "deferred"])
@pytest.mark.parametrize(
    ("case", "state"), [("succeeds", "success"), ("skips", "skipped"), ("fails", "failed"), ("deleted", "failed")]
)
def test_the_pods_end_is_the_tasks_end(output: str, case: str, state: str, way: str) -> None:
    (line,) = [line for line in output.splitlines() if line.startswith("STATES")]
    assert json.loads(line.removeprefix("STATES"))[f"{case}-{way}"] == state


def test_the_tasks_log_shows_the_pods_log(output: str) -> None:
    assert "[base] line 2" in output  # Followed.
    assert "[base] logs: line 2" in output  # Fetched after the deferral.
    assert output.count("returned exit code 99. Skipping.") == 2


@pytest.mark.parametrize(("case", "code"), [("succeeds", 0), ("skips", 99), ("fails", 100)])
@pytest.mark.usefixtures("output")
def test_pods_are_kept_and_marked_as_seen(runner: PodRunner, case: str, code: int) -> None:
    selector = f"case={case},already_checked=True,kubernetes_pod_operator=True"
    pods = runner.api.list_namespaced_pod(NAMESPACE, label_selector=selector).items
    assert [terminated(pod).exit_code for pod in pods] == [code, code]
