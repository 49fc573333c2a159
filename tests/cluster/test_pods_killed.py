"""What is killed in the cluster, and that nothing is lost by it: a step in its middle, the API under requests."""

import threading
import time

import httpx
import pytest

from local.airflow_client import AirflowClient
from steps.common.step import ORDER
from tests.cluster import airflow
from tests.cluster.access import eventually, forwarded
from tests.cluster.conftest import TRIALS, Batch
from tests.cluster.story import Story
from tests.cluster.world import NAMESPACE, STEPS_NAMESPACE, World
from tests.steps.common.listings import HOUSE

pytestmark = pytest.mark.cluster
CALLERS = 4
NOW = ("--grace-period=0", "--force", "--wait=false")


def test_a_pod_killed_mid_train_is_tried_again_and_the_run_comes_out_right(
    here: World, scheduler: AirflowClient, second: Batch, story: Story
) -> None:
    assert second.states["train"] == "success"
    with story.part("third batch, its train killed"):
        run = scheduler.trigger(trials=TRIALS, force_train=True)

        def training() -> list[str]:
            return [
                pod["metadata"]["name"]
                for pod in here.pods(step="train")
                if run in pod["spec"]["containers"][0]["args"] and pod["status"]["phase"] == "Running"
            ]

        (pod,) = eventually(training, airflow.RUN_SECONDS)
        here.cluster.kubectl("delete", "pod", pod, f"--namespace={STEPS_NAMESPACE}", *NOW)
        story.say(f"killed {pod}")
        states = airflow.follow(scheduler, run, story)
    assert [states[step] for step in ORDER[:-1]] == ["success"] * 6
    assert states["promote"] in {"success", "skipped"}
    tries = {task.step: task.tries for task in scheduler.tasks(run)}
    assert tries["train"] > 1
    found = here.query(
        "postgres-clean", "ledger",
        f"SELECT count(*) AS versions, (SELECT count(*) FROM claims WHERE run_id = '{run}') AS claims, "  # noqa: S608  the test's own
        f"(SELECT count(*) FROM outcomes JOIN claims USING (claim_id) WHERE run_id = '{run}') AS outcomes "
        f"FROM model_versions JOIN claims USING (claim_id) WHERE run_id = '{run}'",
    )  # fmt: skip
    assert found == [{"versions": 1, "claims": 1, "outcomes": 1}]
    registered = "SELECT count(*) AS versions FROM model_versions"
    assert here.query("postgres-mlflow", "mlflow", registered) == here.query("postgres-clean", "ledger", registered)


class Callers:
    """People who ask for prices, all at once, until told to stop; what they were told is kept."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answered: list[str] = []
        self.failed = 0
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CALLERS)]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._enough.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._enough.is_set():
                try:
                    answer = client.post(f"{self.address}/predict", json=HOUSE)
                except httpx.TransportError:
                    self.failed += 1
                    time.sleep(0.1)
                    continue
                if answer.status_code == 200:
                    self.answered.append(answer.json()["inference_id"])


def test_the_api_killed_under_requests_loses_nothing_it_answered(here: World, serving: str, first: Batch) -> None:
    """RAW refuses the API meanwhile, so that what was answered is in the spool alone when the pod is killed."""
    assert first.states["promote"] == "success"
    eventually(lambda: httpx.get(f"{serving}/health", timeout=30).json()["model_version"])
    stored = "SELECT inference_id FROM predictions"
    here.execute("postgres-raw", "raw", "ALTER ROLE serving NOLOGIN")
    try:
        here.execute(
            "postgres-raw", "raw", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'serving'"
        )
        with forwarded(here.cluster, NAMESPACE, "serving", 8000) as address:
            callers = Callers(address)
            callers.start()
            eventually(lambda: len(callers.answered) >= 50)
            here.kubectl("delete", "pod", "serving-0", *NOW)
            eventually(lambda: callers.failed)
            callers.stop()
        here.kubectl("rollout", "status", "statefulset/serving", "--timeout=180s", seconds=190)
        before = {str(row["inference_id"]) for row in here.query("postgres-raw", "raw", stored)}
        assert not before & set(callers.answered)
    finally:
        here.execute("postgres-raw", "raw", "ALTER ROLE serving LOGIN")
    answered = set(callers.answered)
    eventually(lambda: answered <= {str(row["inference_id"]) for row in here.query("postgres-raw", "raw", stored)})
