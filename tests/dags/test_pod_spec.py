"""The pod of each step as the cluster is asked for it, field by field."""

from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import ROOT, RUN_ID, Render, load, pods_of

OPTIONS = {"fetch": ["--force-train", "false"], "validate": ["--allow-rollback", "false"]}
SIZES = {
    "small": {"cpu": ("250m", "1"), "memory": ("512Mi", "512Mi"), "ephemeral-storage": ("256Mi", "256Mi")},
    "medium": {"cpu": ("500m", "1"), "memory": ("2Gi", "2Gi"), "ephemeral-storage": ("1Gi", "1Gi")},
    "large": {"cpu": ("1", "2"), "memory": ("4Gi", "4Gi"), "ephemeral-storage": ("2Gi", "2Gi")},
}
# step: its size, its deadline in minutes, the databases it may reach
STEPS = {
    "fetch": ("small", 30, ["raw", "ledger"]),
    "validate": ("medium", 30, ["raw", "clean", "ledger"]),
    "clean": ("medium", 30, ["raw", "clean", "ledger"]),
    "tune": ("large", 120, ["clean", "ledger", "optuna"]),
    "train": ("large", 60, ["clean", "ledger"]),
    "evaluate": ("large", 60, ["clean", "ledger"]),
    "promote": ("small", 10, ["ledger"]),
}


@pytest.mark.parametrize("step", STEPS)
def test_container_is_exactly_this(step: str, render: Render) -> None:
    size, _, databases = STEPS[step]
    [container] = render(step)["spec"]["containers"]
    assert stated(container) == {
        "name": "base",
        "image": f"localhost/appraiser-{step}:dev",
        "command": ["python", "-m", f"steps.{step}"],
        "args": ["--run-id", RUN_ID, *OPTIONS.get(step, [])],
        "env": [
            {
                "name": f"APPRAISER_{database.upper()}_URL",
                "valueFrom": {"secretKeyRef": {"name": "appraiser-databases", "key": f"{database}-url"}},
            }
            for database in databases
        ],
        "envFrom": [{"configMapRef": {"name": "appraiser"}}],
        "resources": {
            "requests": {name: request for name, (request, _) in SIZES[size].items()},
            "limits": {name: limit for name, (_, limit) in SIZES[size].items()},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  the pod's own
    }


def test_a_pod_is_told_the_digest_that_its_image_cannot_know(
    tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tmp_path / "images.yaml"
    images.write_text("".join(f"{step}: registry.example/{step}@{digest_of(step)}\n" for step in STEPS))
    monkeypatch.setenv("APPRAISER_IMAGES", str(images))
    monkeypatch.setenv("APPRAISER_KUBECONFIG", str(kubeconfig))
    render = pods_of(load(ROOT / "dags" / "training.py").dags["training"])
    for step in STEPS:
        [container] = render(step)["spec"]["containers"]
        assert {"name": "APPRAISER_IMAGE_DIGEST", "value": digest_of(step)} in container["env"]


def digest_of(step: str) -> str:
    """Return a digest as good as any, another for each step."""
    return f"sha256:{list(STEPS).index(step):064}"


@pytest.mark.parametrize("step", STEPS)
def test_pod_around_the_container_is_exactly_this(step: str, render: Render) -> None:
    size, minutes, _ = STEPS[step]
    spec = render(step)["spec"]
    del spec["containers"]
    assert stated(spec) == {
        "activeDeadlineSeconds": minutes * 60,
        "automountServiceAccountToken": False,
        "hostNetwork": False,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccountName": "appraiser-step",
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": SIZES[size]["ephemeral-storage"][1]}}],
    }


@pytest.mark.parametrize("step", STEPS)
def test_labels_lead_kubectl_to_the_step_and_to_the_run(step: str, render: Render) -> None:
    metadata = render(step)["metadata"]
    labels = metadata["labels"]
    assert (labels["app"], labels["step"]) == ("appraiser", step)
    assert (labels["dag_id"], labels["task_id"], labels["try_number"]) == ("training", step, "1")
    assert labels["run_id"].startswith("manual__2026-03-01T120000")
    assert metadata["namespace"] == "appraiser"
    assert metadata["name"].startswith(f"appraiser-{step}-")


def test_each_pod_of_a_step_has_a_name_of_its_own(render: Render) -> None:
    assert render("fetch")["metadata"]["name"] != render("fetch")["metadata"]["name"]


@pytest.mark.parametrize(("forced", "argument"), [(True, "true"), (False, "false")])
def test_force_train_is_an_argument_of_fetch(forced: bool, argument: str, render: Render) -> None:
    assert arguments(render("fetch", force_train=forced)) == ["--run-id", RUN_ID, "--force-train", argument]


@pytest.mark.parametrize(("allowed", "argument"), [(True, "true"), (False, "false")])
def test_allow_rollback_is_an_argument_of_validate(allowed: bool, argument: str, render: Render) -> None:
    assert arguments(render("validate", allow_rollback=allowed)) == ["--run-id", RUN_ID, "--allow-rollback", argument]


@pytest.mark.parametrize(("trials", "more"), [(7, ["--trials=7"]), (None, [])])
def test_trials_are_an_argument_of_tune_unless_left_to_its_setting(
    trials: int | None, more: list[str], render: Render
) -> None:
    assert arguments(render("tune", trials=trials)) == ["--run-id", RUN_ID, *more]


@pytest.mark.parametrize("step", STEPS)
def test_no_argument_is_empty_and_none_is_left_unrendered(step: str, render: Render) -> None:
    assert all(argument and "{" not in argument for argument in arguments(render(step)))


def stated(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the operator names and leaves empty."""
    return {key: value for key, value in fields.items() if value not in ({}, [], None)}


def arguments(pod: Any) -> list[str]:
    found: list[str] = pod["spec"]["containers"][0]["args"]
    return found
