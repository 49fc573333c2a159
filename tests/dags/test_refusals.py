"""What StepPod refuses: while a DAG is parsed, so that Airflow shows the sentence; and a cluster that does not obey."""

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from dags.step_pod import StepPod
from dags.step_spec import StepRefused
from tests.dags.conftest import ROOT, context_of, load
from tests.local.pod_runner_process import PodRunner, started

DIGEST = f"registry.example/appraiser-fetch@sha256:{'0a' * 32}"


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of images that StepPod reads, not written yet."""
    path = tmp_path / "images.yaml"
    monkeypatch.setenv("APPRAISER_IMAGES", str(path))
    monkeypatch.delenv("APPRAISER_IMAGES_ALLOW_TAGS", raising=False)
    return path


def test_an_image_is_named_by_its_digest(images: Path) -> None:
    images.write_text(f"fetch: {DIGEST}\n")
    assert StepPod(step="fetch").image == DIGEST


def test_the_pod_is_told_the_digest_that_its_image_cannot_know(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.write_text(f"fetch: {DIGEST}\ntrain: localhost/appraiser-train:dev\n")
    assert told(StepPod(step="fetch")) == {"APPRAISER_IMAGE_DIGEST": f"sha256:{'0a' * 32}"}
    monkeypatch.setenv("APPRAISER_IMAGES_ALLOW_TAGS", "true")
    assert told(StepPod(step="train")) == {}


def told(task: StepPod) -> dict[str, str]:
    """Return the variables a pod is given by value."""
    return dict(task.env_vars)


@pytest.mark.parametrize(
    "name",
    [
        "registry.example/appraiser-fetch",
        "registry.example/appraiser-fetch:1.2.3",
        "registry.example/appraiser-fetch@sha256:0a0a",
        f"{DIGEST}0a",
        f"@sha256:{'0a' * 32}",
    ],
)
def test_another_name_is_refused(name: str, images: Path) -> None:
    images.write_text(json.dumps({"fetch": name}))
    with pytest.raises(StepRefused, match=r"without a digest .*APPRAISER_IMAGES_ALLOW_TAGS=true"):
        StepPod(step="fetch")


@pytest.mark.parametrize(("allowed", "loads"), [("true", True), ("True", True), ("false", False), ("yes", False)])
def test_tags_are_for_one_machine(allowed: str, loads: bool, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.write_text("fetch: localhost/appraiser-fetch:dev\n")
    monkeypatch.setenv("APPRAISER_IMAGES_ALLOW_TAGS", allowed)
    if loads:
        assert StepPod(step="fetch").image == "localhost/appraiser-fetch:dev"
    else:
        with pytest.raises(StepRefused):
            StepPod(step="fetch")


@pytest.mark.parametrize("content", [None, "", "clean: x\n", "- fetch\n", "fetch: 7\n", "fetch:\n"])
def test_a_file_without_the_step_is_refused(content: str | None, images: Path) -> None:
    if content is not None:
        images.write_text(content)
    with pytest.raises(StepRefused, match=r"images\.yaml \(APPRAISER_IMAGES\) names no image for step fetch"):
        StepPod(step="fetch")


def test_an_unknown_step_is_refused_with_those_there_are(images: Path) -> None:
    images.write_text(f"fetsch: {DIGEST}\n")
    with pytest.raises(StepRefused, match="there is no step 'fetsch'; the steps are fetch, validate, clean"):
        StepPod(step="fetsch")


def test_airflow_shows_the_sentence(images: Path) -> None:
    images.write_text("fetch: localhost/appraiser-fetch:dev\n")
    bag = load(ROOT / "dags" / "training.py")
    assert bag.dags == {}
    assert "without a digest" in "".join(bag.import_errors.values())


def test_the_file_in_the_repository_names_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPRAISER_IMAGES", raising=False)
    monkeypatch.setenv("APPRAISER_IMAGES_ALLOW_TAGS", "true")
    assert load(ROOT / "dags" / "training.py").import_errors == {}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a pod runner without pods."""
    with started(tmp_path_factory.mktemp("pods")) as runner:
        yield runner


def step_pod(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("APPRAISER_KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("APPRAISER_IMAGES_ALLOW_TAGS", "true")
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", "kubernetes://")
    return load(ROOT / "dags" / "training.py").dags["training"].get_task("tune").prepare_for_execution()


@pytest.mark.parametrize("status", ["success", "failed"])
def test_a_pod_that_is_gone_is_not_taken_for_done(
    status: str, runner: PodRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = step_pod(runner.kubeconfig, monkeypatch)
    event = {"status": status, "name": "appraiser-tune-gone", "namespace": "appraiser", "message": ""}
    with pytest.raises(AirflowException, match="pod appraiser-tune-gone is gone"):
        task.trigger_reentry(context_of(task, {}), event)


def test_a_cluster_that_refuses_the_mark_is_not_passed_over(
    runner: PodRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.create("kept", "leave", "0")
    stranger = tmp_path / "kubeconfig"
    config = json.loads(runner.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "of somebody else"
    stranger.write_text(json.dumps(config))
    pod = k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="kept", namespace="appraiser"))
    with pytest.raises(ApiException):
        step_pod(stranger, monkeypatch).patch_already_checked(pod, reraise=False)


def test_the_mark_of_a_pod_that_is_gone_is_not_missed(runner: PodRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="never-there", namespace="appraiser"))
    step_pod(runner.kubeconfig, monkeypatch).patch_already_checked(pod)
    assert runner.gone("never-there")


def test_a_pod_that_was_never_made_needs_no_cleaning(runner: PodRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    # The provider comes here with nothing when the cluster has refused the pod; the refusal must stay what is seen.
    task = step_pod(runner.kubeconfig, monkeypatch)
    assert task.cleanup(None, None, context=context_of(task, {})) is None
