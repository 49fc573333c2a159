"""The unmodified DAG in a real cluster: seven pods a batch, a model in production, and a price through the Services."""

import json

import httpx
import pytest

from steps.common.step import ORDER
from tests.cluster.access import eventually
from tests.cluster.conftest import Batch
from tests.cluster.world import STEPS_NAMESPACE, World
from tests.steps.common.listings import HOUSE

pytestmark = pytest.mark.cluster


def ran(here: World, batch: Batch) -> dict[str, dict[str, object]]:
    """Return the environment each step's pod of a run was given, from the pod and its image."""
    claims = here.query("postgres-clean", "ledger", f"SELECT run_id FROM claims WHERE run_id = '{batch.run}'")  # noqa: S608
    assert claims == [{"run_id": batch.run}]
    return {
        pod["metadata"]["labels"]["step"]: pod
        for pod in here.pods()
        if batch.run in pod["spec"]["containers"][0]["args"]
    }


def test_the_first_batch_runs_seven_pods_and_its_model_goes_into_production(here: World, first: Batch) -> None:
    assert dict(first.states) == dict.fromkeys(ORDER, "success")
    assert set(ran(here, first)) == set(ORDER)
    outcomes = here.query("postgres-clean", "ledger", "SELECT outcome FROM outcomes ORDER BY claim_id LIMIT 1")
    assert outcomes == [{"outcome": "PROMOTE"}]
    alias = "SELECT alias, version FROM registered_model_aliases WHERE alias = 'Production'"
    assert here.query("postgres-mlflow", "mlflow", alias)


def test_the_second_batch_runs_seven_pods_too(here: World, second: Batch) -> None:
    pods = ran(here, second)
    assert set(pods) == set(ORDER)
    assert [second.states[step] for step in ORDER[:-1]] == ["success"] * 6
    # 99 where the gate found nothing to promote; the pod ran all the same.
    assert second.states["promote"] in {"success", "skipped"}


@pytest.mark.parametrize("step", ORDER)
def test_kubectl_shows_the_log_of_each_step(here: World, first: Batch, second: Batch, step: str) -> None:
    log = here.cluster.kubectl("logs", f"--namespace={STEPS_NAMESPACE}", f"--selector=step={step}", "--tail=-1")
    assert f"{step} · batch 0 · attempt 1" in log
    assert f"{step} · batch 1 · attempt 1" in log
    assert log.count("exit code 0") >= 1
    assert first.run != second.run


def test_the_build_reaches_every_step_and_stands_in_the_model_card(here: World, first: Batch) -> None:
    for step, pod in ran(here, first).items():
        container = pod["spec"]["containers"][0]  # type: ignore[index]  # a pod as kubectl prints it
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert container["image"] == here.images[step]
        assert variables["APPRAISER_IMAGE_DIGEST"] == here.images[step].partition("@")[2] != ""
    (card,) = here.query(
        "postgres-clean", "ledger",
        "SELECT card->>'git_sha' AS git_sha, card->>'image_digest' AS image_digest, card->>'built_at' AS built_at "
        "FROM model_versions ORDER BY version LIMIT 1",
    )  # fmt: skip
    assert card["image_digest"] == here.images["train"].partition("@")[2]
    assert len(card["git_sha"].removesuffix("-dirty")) == 40
    assert card["built_at"].startswith("20")


def test_the_api_takes_up_the_new_model_without_a_restart(here: World, serving: str, first: Batch) -> None:
    assert first.states["promote"] == "success"
    version = eventually(lambda: httpx.get(f"{serving}/health", timeout=30).json()["model_version"])
    assert version >= 1
    (pod,) = json.loads(here.kubectl("get", "pods", "--selector=app.kubernetes.io/component=serving", "-o", "json"))[
        "items"
    ]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_price_comes_through_the_service_and_is_stored_in_raw(here: World, serving: str, first: Batch) -> None:
    assert first.states["promote"] == "success"
    eventually(lambda: httpx.get(f"{serving}/health", timeout=30).json()["model_version"])
    answer = httpx.post(f"{serving}/predict", json=HOUSE, timeout=60)
    assert answer.status_code == 200, answer.text
    price = answer.json()
    assert price["price"] > 0
    row = f"SELECT price, version FROM predictions WHERE inference_id = '{price['inference_id']}'"  # noqa: S608
    (stored,) = eventually(lambda: here.query("postgres-raw", "raw", row))
    assert stored == {"price": price["price"], "version": price["model_version"]}


def test_the_page_is_there_through_its_service(frontend: str) -> None:
    assert httpx.get(f"{frontend}/_stcore/health", timeout=30).text == "ok"
    assert "<title>" in httpx.get(frontend, timeout=30).text
