"""What a pod may not do: take more memory than its limit, write to its image, ask Kubernetes for anything."""

import json
from typing import Any

import pytest

from tests.cluster.access import eventually
from tests.cluster.conftest import Batch
from tests.cluster.world import NAMESPACE, STEPS_NAMESPACE, World

pytestmark = pytest.mark.cluster
STEP = f"system:serviceaccount:{STEPS_NAMESPACE}:appraiser-step"
AIRFLOW = f"system:serviceaccount:{NAMESPACE}:airflow-scheduler"
TRIGGERER = f"system:serviceaccount:{NAMESPACE}:airflow-triggerer"
# What everybody who is known to a cluster may ask: who am I, what may I, which versions are there.
EVERYBODY = {"selfsubjectreviews.authentication.k8s.io", "selfsubjectaccessreviews.authorization.k8s.io"}
EVERYBODY |= {"selfsubjectrulesreviews.authorization.k8s.io"}
PODS = {("pods", verb) for verb in ("create", "get", "list", "patch", "delete")}
PODS |= {("pods/log", "get"), ("events", "get"), ("events", "list"), ("events", "watch")}


def rights(here: World, account: str, namespace: str) -> set[tuple[str, str]]:
    """Return the (resource, verb) pairs an account has in a namespace, without those everybody has."""
    who = (f"--as={account}", f"--namespace={namespace}")
    listed = here.cluster.kubectl("auth", "can-i", "--list", "--no-headers", *who)
    found: set[tuple[str, str]] = set()
    for line in listed.splitlines():
        resource = line.split("[", 1)[0].strip()
        verbs = line.rpartition("[")[2].rstrip("]").split()
        if resource and resource not in EVERYBODY:
            found |= {(resource, verb) for verb in verbs}
    return found


@pytest.mark.parametrize("namespace", [STEPS_NAMESPACE, NAMESPACE, "default", "kube-system"])
def test_a_step_may_do_nothing(here: World, namespace: str) -> None:
    assert rights(here, STEP, namespace) == set()


@pytest.mark.parametrize("account", [AIRFLOW, TRIGGERER])
def test_airflow_may_look_after_pods_among_the_steps_and_nothing_else(here: World, account: str) -> None:
    assert rights(here, account, STEPS_NAMESPACE) == PODS
    for namespace in (NAMESPACE, "default", "kube-system"):
        assert rights(here, account, namespace) == set()


@pytest.mark.parametrize(
    "asked",
    [
        ("create", "pods", NAMESPACE), ("get", "secrets", STEPS_NAMESPACE), ("list", "secrets", NAMESPACE),
        ("create", "pods --subresource=exec", STEPS_NAMESPACE), ("update", "configmaps", STEPS_NAMESPACE),
        ("create", "rolebindings", STEPS_NAMESPACE), ("delete", "namespaces", STEPS_NAMESPACE),
        ("list", "nodes", "default"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("account", [AIRFLOW, STEP])
def test_what_is_refused(here: World, account: str, asked: tuple[str, str, str]) -> None:
    verb, resource, namespace = asked
    answer = here.cluster.kubectl(
        "auth", "can-i", verb, *resource.split(), f"--as={account}", f"--namespace={namespace}", check=False
    )
    assert answer.strip() == "no"


def test_a_step_that_takes_more_memory_than_its_limit_is_killed_and_says_so(here: World) -> None:
    here.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(greedy(here.images["train"])))

    def end() -> Any:
        status = here.cluster.get("pod", "greedy", f"--namespace={STEPS_NAMESPACE}")["status"]
        return (status.get("containerStatuses") or [{"state": {}}])[0]["state"].get("terminated")

    ended = eventually(end)
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    here.cluster.kubectl("delete", "pod", "greedy", f"--namespace={STEPS_NAMESPACE}", "--wait=false")


def greedy(image: str) -> dict[str, Any]:
    """Return a pod of a step's image that takes 400 MB of the 200 it may have."""
    # It waits first: on a busy node the runtime begins to watch for kills only after the program has started.
    program = "import mmap, time; time.sleep(5); taken = mmap.mmap(-1, 400 << 20); taken.write(b'x' * (400 << 20))"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greedy", "namespace": STEPS_NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "appraiser-step",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "greedy",
                    "image": image,
                    "command": ["python", "-c", program],
                    "resources": {"limits": {"memory": "200Mi", "cpu": "1"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }  # fmt: skip


def test_a_pod_that_would_be_root_is_refused(here: World) -> None:
    pod = greedy(here.images["train"])
    pod["metadata"]["name"] = "root"
    del pod["spec"]["securityContext"]["runAsNonRoot"]
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        here.cluster.kubectl("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))


def test_nobody_can_write_to_an_image(here: World, serving: str, frontend: str, first: Batch) -> None:
    assert serving != frontend
    for part in ("statefulset/serving", "deployment/frontend", "deployment/mlflow"):
        program = "import pathlib, sys; pathlib.Path(sys.argv[1], 'there').touch()"
        for place in ("/", "/opt/venv"):
            said = here.kubectl(
                "exec", part, "--", "sh", "-c", f'python -c "{program}" {place} 2>&1; true', seconds=120
            )
            assert "Read-only file system" in said, (part, place, said)
    assert set(first.states) == {pod["metadata"]["labels"]["step"] for pod in here.pods()}
    for pod in here.pods():
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not pod["spec"]["automountServiceAccountToken"]
