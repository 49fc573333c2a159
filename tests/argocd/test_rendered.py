"""Every release as the cluster gets it: images, resources, probes, what a pod may do, Secrets that are described."""

from typing import Any

import pytest

from tests.argocd.deployment import APPLICATIONS, ARGOCD, OURS, described, documents
from tests.argocd.rendering import containers, pod_of, references, rendered
from tests.repository.secret_looking import secret_looking

pytestmark = pytest.mark.charts

# Images that are on no DockerHub, with the reason.
ELSEWHERE = {
    "registry.k8s.io/git-sync/git-sync": "published by its makers there alone",
    "registry.k8s.io/kube-state-metrics/kube-state-metrics": "published by its makers there alone",
    "quay.io/prometheus-operator/prometheus-operator": "published by its makers there alone",
    "quay.io/prometheus-operator/prometheus-config-reloader": "published by its makers there alone",
}
# Probes for which the chart has no value; a container that only waits and copies has nothing to ask.
NOT_SETTABLE = {
    ("airflow", "scheduler"): {"readinessProbe"},
    ("airflow", "dag-processor"): {"startupProbe", "readinessProbe"},
    ("airflow", "triggerer"): {"startupProbe", "readinessProbe"},
    **{
        ("airflow", f"{component}-log-groomer"): {"startupProbe", "readinessProbe", "livenessProbe"}
        for component in ("scheduler", "dag-processor", "triggerer")
    },
    ("mlflow", "mlflow"): {"startupProbe"},
    ("bucket", "seaweedfs"): {"startupProbe"},
    ("monitoring", "node-exporter"): {"startupProbe"},
    ("monitoring", "grafana"): {"startupProbe"},
    ("monitoring", "kube-state-metrics"): {"startupProbe"},
    ("monitoring", "kube-prometheus-stack"): {"startupProbe"},
    # Both of the pod's take the same value, and each listens on a port of its own.
    ("monitoring", "grafana-sc-dashboard"): {"startupProbe", "readinessProbe", "livenessProbe"},
    ("monitoring", "grafana-sc-datasources"): {"startupProbe", "readinessProbe", "livenessProbe"},
}
# Secrets that a chart makes itself whatever it is told, and nobody of ours reads.
MADE_BY_CHARTS = {
    "bucket-sftp-secret": "for SFTP, which is off",
    "mlflow-flask-server-secret-key": "signs log-ins, which are off",
    "mlflow-env-secret": "empty",
    "alertmanager-monitoring-alertmanager": "Alertmanager's configuration, without a receiver",
}
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def images(one: dict[str, Any]) -> list[str]:
    own = [(one.get("spec") or {}).get("image")] if one["kind"] in ("Prometheus", "Alertmanager") else []
    return [*own, *(container["image"] for container in containers(one))]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_images_are_pinned_and_from_dockerhub_or_on_the_list(name: str) -> None:
    for image in (image for one in rendered(name) for image in images(one)):
        repository, _, version = image.partition("@")[0].rpartition(":")
        assert version not in ("", "late" + "st"), image
        assert repository.startswith("docker.io/") or repository in ELSEWHERE, image


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_container_is_promised_and_limited(name: str) -> None:
    bare = [
        f"{one['kind']}/{one['metadata']['name']} {container['name']}"
        for one in rendered(name)
        for container in containers(one)
        if not {"requests", "limits"} <= (container.get("resources") or {}).keys()
        or "memory" not in container["resources"]["limits"]
    ]
    assert bare == []


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_container_that_stays_has_probes(name: str) -> None:
    missing = {
        (name, container["name"]): {
            probe for probe in ("startupProbe", "readinessProbe", "livenessProbe") if not container.get(probe)
        }
        for one in rendered(name)
        if one["kind"] in WORKLOADS
        for container in containers(one, "containers")
    }
    assert {key: probes for key, probes in missing.items() if probes} == {
        key: probes for key, probes in NOT_SETTABLE.items() if key[0] == name
    }


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_secret_that_is_referred_to_is_described_with_its_key(name: str) -> None:
    known = described()
    for one in rendered(name):
        for secret, key in references(pod_of(one)):
            if secret in MADE_BY_CHARTS:
                continue
            keys = known.get((one["metadata"]["namespace"], secret))
            assert keys is not None, f"{one['kind']}/{one['metadata']['name']} refers to {secret}"
            assert key is None or key in keys, f"{one['kind']}/{one['metadata']['name']} refers to {key} of {secret}"


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_release_holds_no_secret(name: str) -> None:
    for one in rendered(name):
        if one["kind"] == "Secret":
            assert one["metadata"]["name"] in MADE_BY_CHARTS
        elif one["kind"] != "CustomResourceDefinition":
            assert secret_looking(str(one)) == [], one["metadata"]["name"]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_nobody_runs_as_root_or_gains_rights(name: str) -> None:
    for one in rendered(name):
        pod = pod_of(one)
        if pod is None:
            continue
        for container in containers(one):
            both = {**(pod.get("securityContext") or {}), **(container.get("securityContext") or {})}
            where = f"{one['metadata']['name']} {container['name']}"
            assert both.get("runAsNonRoot") is True, where
            assert both.get("runAsUser") != 0, where
            if name in OURS:
                assert both["seccompProfile"] == {"type": "RuntimeDefault"}, where
                assert (both["allowPrivilegeEscalation"], both["readOnlyRootFilesystem"]) == (False, True), where
                assert both["capabilities"] == {"drop": ["ALL"]}, where


def test_the_right_to_start_pods_ends_at_the_namespace_of_the_steps() -> None:
    objects = [one for name in APPLICATIONS for one in rendered(name) if name != "monitoring"]
    assert [one["metadata"]["name"] for one in objects if one["kind"] in ("ClusterRole", "ClusterRoleBinding")] == []
    roles = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): {
            (resource, verb) for rule in one["rules"] for resource in rule["resources"] for verb in rule["verbs"]
        }
        for one in objects
        if one["kind"] == "Role"
    }
    pods = {("pods", verb) for verb in ("create", "get", "list", "patch", "delete")}
    events = {("events", verb) for verb in ("get", "list", "watch")}
    assert roles == {
        ("appraiser-steps", "pod-launcher"): {*pods, ("pods/log", "get"), *events},
        ("appraiser-steps", "clean-up"): {("pods", "list"), ("pods", "delete")},
    }


def test_the_launchers_are_service_accounts_that_airflow_has() -> None:
    accounts = {one["metadata"]["name"] for one in rendered("airflow") if one["kind"] == "ServiceAccount"}
    (binding,) = (
        one
        for one in rendered("migrations")
        if one["kind"] == "RoleBinding" and one["metadata"]["name"] == "pod-launcher"
    )
    assert {subject["name"] for subject in binding["subjects"]} <= accounts
    assert {subject["namespace"] for subject in binding["subjects"]} == {"appraiser"}


def test_the_project_lets_in_every_object_without_a_namespace() -> None:
    (project,) = documents((ARGOCD / "project.yaml").read_text())
    allowed = {(one["group"], one["kind"]) for one in project["spec"]["clusterResourceWhitelist"]}
    kinds = {
        (one["apiVersion"].rpartition("/")[0], one["kind"])
        for name in APPLICATIONS
        for one in rendered(name)
        if one["kind"].startswith("Cluster") or one["kind"] in ("CustomResourceDefinition", "Namespace")
    }
    assert kinds == allowed
