"""The API as the Python client sees it: the calls of KubernetesPodOperator, and those of kubectl."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client

from tests.local.pod_runner_process import (
    IMAGE,
    NAMESPACE,
    PODS,
    TABLE,
    PodRunner,
    error_of,
    request,
    started,
    wait_until,
)

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodRunner]:
    with started(tmp_path_factory.mktemp("api")) as runner:
        yield runner


@pytest.fixture(autouse=True)
def no_pods(runner: PodRunner) -> Iterator[None]:
    yield
    for pod in runner.api.list_namespaced_pod(NAMESPACE).items:
        runner.delete(pod.metadata.name, grace_period_seconds=0)
    wait_until(lambda: not runner.api.list_namespaced_pod(NAMESPACE).items)


def names(runner: PodRunner, **selectors: str) -> list[str]:
    return sorted(pod.metadata.name for pod in runner.api.list_namespaced_pod(NAMESPACE, **selectors).items)


@pytest.mark.parametrize("path", ["/version", PODS, "/readyz", "/nothing"])
@pytest.mark.parametrize("token", ["", "wrong", "wröng"])
def test_every_request_needs_the_token(runner: PodRunner, path: str, token: str) -> None:
    code, status = request(runner, path, token=token)
    assert (code, status["kind"], status["reason"]) == (401, "Status", "Unauthorized")


def test_files_with_secrets_are_closed_to_others(runner: PodRunner) -> None:
    for name in ("kubeconfig", "tls.key"):
        assert (runner.root / name).stat().st_mode & 0o077 == 0


def test_a_pod_goes_through_its_life(runner: PodRunner) -> None:
    created = runner.create("life", "lines", "2", labels={"step": "fetch"})
    assert created.status.phase == "Pending"
    assert created.metadata.uid
    assert created.metadata.resource_version
    assert created.metadata.creation_timestamp <= datetime.now(UTC)
    ended = runner.await_end("life")
    assert (ended.status.phase, ended.metadata.uid) == ("Succeeded", created.metadata.uid)
    assert (ended.status.host_ip, ended.status.pod_ip) == ("127.0.0.1", "127.0.0.1")
    assert int(ended.metadata.resource_version) > int(created.metadata.resource_version)
    assert runner.log("life") == "line 0\nline 1\n"
    runner.delete("life")
    assert error_of(runner.read, "life") == (404, "NotFound", 'pods "life" not found')


def test_a_name_is_taken_once(runner: PodRunner) -> None:
    runner.create("twin", "lines", "1")
    assert error_of(runner.create, "twin", "lines", "1") == (409, "AlreadyExists", 'pods "twin" already exists')


def test_a_generated_name(runner: PodRunner) -> None:
    container = {"name": "base", "image": IMAGE, "args": ["lines", "1"]}
    pod = {"metadata": {"generateName": "made-"}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    made = [runner.api.create_namespaced_pod(NAMESPACE, pod).metadata.name for _ in range(3)]
    assert len(set(made)) == 3
    assert all(name.startswith("made-") for name in made)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("Upper", {}, "metadata.name"),
        ("../up", {}, "metadata.name"),
        (
            "two",
            {"containers": [{"name": "a", "image": IMAGE}, {"name": "b", "image": IMAGE}]},
            "exactly one container",
        ),
        ("again", {"restartPolicy": "Always"}, "restartPolicy"),
        ("disk", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "emptyDir"),
        ("mount", {"container": {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}}, "volumeMounts"),
        ("memory", {"container": {"resources": {"limits": {"memory": "much"}}}}, "limits.memory"),
        ("deadline", {"activeDeadlineSeconds": 0}, "activeDeadlineSeconds"),
        ("label", {"labels": {"run": "manual__2026-01-01T00:00:00+00:00"}}, "metadata.labels"),
        ("source", {"container": {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {}}}]}}, "env"),
    ],
)
def test_what_cannot_be_given_is_refused(runner: PodRunner, name: str, changes: dict[str, Any], words: str) -> None:
    code, reason, message = error_of(runner.create, name, "lines", "1", **changes)
    assert (code, reason) == (422, "Invalid")
    assert words in message
    assert not names(runner)


def test_the_volume_and_context_of_a_restricted_pod_are_accepted(runner: PodRunner) -> None:
    container = {
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  in the pod
        "securityContext": {"readOnlyRootFilesystem": True},
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "1", "memory": "512Mi"}},
    }
    runner.create("restricted", "lines", "1", volumes=[{"name": "tmp", "emptyDir": {}}], container=container)
    pod = runner.await_end("restricted")
    assert (pod.status.phase, pod.status.qos_class) == ("Succeeded", "Guaranteed")


def test_lists_by_selector(runner: PodRunner) -> None:
    runner.create("one", "lines", "1", labels={"step": "fetch", "run": "a"})
    runner.create("two", "leave", "3", labels={"step": "train", "run": "a"})
    for name in ("one", "two"):
        runner.await_end(name)
    assert names(runner, label_selector="run=a,step!=train,already_checked!=True,!airflow-worker") == ["one"]
    assert names(runner, label_selector="step in (train, fetch),run") == ["one", "two"]
    assert names(runner, field_selector="status.phase=Failed") == ["two"]
    assert names(runner, field_selector="metadata.name=one") == ["one"]
    assert [pod.metadata.name for pod in runner.api.list_pod_for_all_namespaces().items] == ["one", "two"]
    assert runner.api.list_namespaced_pod("elsewhere").items == []
    call = runner.api.list_namespaced_pod
    assert error_of(call, NAMESPACE, field_selector="spec.image=x")[:2] == (400, "BadRequest")
    assert error_of(call, NAMESPACE, label_selector="=x")[:2] == (400, "BadRequest")


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC_MERGE])
def test_merge_patches_of_labels(runner: PodRunner, content_type: str) -> None:
    runner.create("patched", "lines", "1", labels={"old": "1", "keep": "1"})
    body = json.dumps(
        {"metadata": {"labels": {"already_checked": "True", "old": None}, "annotations": {"why": "a test"}}}
    )
    path = f"{PODS}/patched"
    code, pod = request(runner, path, "PATCH", body=body, Content_Type=content_type)
    assert code == 200
    assert pod["metadata"]["labels"] == {"keep": "1", "already_checked": "True"}
    assert pod["metadata"]["annotations"] == {"why": "a test"}
    assert names(runner, label_selector="already_checked=True") == ["patched"]


def test_the_patch_of_the_operator(runner: PodRunner) -> None:
    runner.create("checked", "lines", "1")
    runner.api.patch_namespaced_pod("checked", NAMESPACE, {"metadata": {"labels": {"already_checked": "True"}}})
    assert runner.read("checked").metadata.labels == {"already_checked": "True"}


def test_json_patch_of_labels(runner: PodRunner) -> None:
    runner.create("patched", "lines", "1", labels={"a/b": "1"})
    operations = [
        {"op": "test", "path": "/metadata/labels/a~1b", "value": "1"},
        {"op": "replace", "path": "/metadata/labels/a~1b", "value": "2"},
        {"op": "add", "path": "/metadata/annotations/why", "value": "a test"},
    ]
    pod = runner.api.patch_namespaced_pod("patched", NAMESPACE, operations)
    assert (pod.metadata.labels, pod.metadata.annotations) == ({"a/b": "2"}, {"why": "a test"})
    runner.api.patch_namespaced_pod("patched", NAMESPACE, [{"op": "remove", "path": "/metadata/labels/a~1b"}])
    assert not runner.read("patched").metadata.labels
    refused = [{"op": "test", "path": "/metadata/labels/a~1b", "value": "3"}]
    assert error_of(runner.api.patch_namespaced_pod, "patched", NAMESPACE, refused)[:2] == (400, "BadRequest")


def test_only_labels_and_annotations_can_change(runner: PodRunner) -> None:
    runner.create("fixed", "lines", "1")
    for patch in (
        {"spec": {"activeDeadlineSeconds": 5}},
        {"metadata": {"name": "other"}},
        {"status": {"phase": "Failed"}},
    ):
        assert error_of(runner.api.patch_namespaced_pod, "fixed", NAMESPACE, patch)[:2] == (422, "Invalid")
    bad_label = {"metadata": {"labels": {"a": "not a label"}}}
    assert error_of(runner.api.patch_namespaced_pod, "fixed", NAMESPACE, bad_label)[:2] == (422, "Invalid")


def test_a_deletion_can_name_the_pod_it_means(runner: PodRunner) -> None:
    runner.create("meant", "lines", "1")
    other = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    assert error_of(runner.delete, "meant", body=other)[:2] == (409, "Conflict")
    assert names(runner) == ["meant"]


def test_tables(runner: PodRunner) -> None:
    runner.create("shown", "leave", "99", labels={"step": "fetch"})
    runner.await_end("shown")
    _, table = request(runner, PODS, Accept=TABLE)
    shown = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert (table["kind"], shown) == ("Table", ["Name", "Ready", "Status", "Restarts", "Age"])
    (row,) = table["rows"]
    assert row["cells"][:4] == ["shown", "0/1", "Error", "0"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["labels"] == {"step": "fetch"}
    _, table = request(runner, f"{PODS}/shown?includeObject=Object", Accept=TABLE)
    assert table["rows"][0]["object"]["spec"]["nodeName"] == "localhost"
    _, table = request(runner, "/api/v1/namespaces/appraiser/events?includeObject=None", Accept=TABLE)
    assert table["rows"][-1]["object"] is None


def test_discovery(runner: PodRunner) -> None:
    assert client.VersionApi(runner.api.api_client).get_code().major == "1"
    assert client.CoreApi(runner.api.api_client).get_api_versions().versions == ["v1"]
    assert client.ApisApi(runner.api.api_client).get_api_versions().groups == []
    resources = {found.name: found for found in runner.api.get_api_resources().resources}
    assert set(resources) == {"pods", "pods/log", "events", "namespaces"}
    assert resources["pods"].short_names == ["po"]
    _, core = request(runner, "/api", Accept=AGGREGATED)
    pods = core["items"][0]["versions"][0]["resources"][0]
    assert (pods["resource"], pods["subresources"][0]["subresource"]) == ("pods", "log")
    assert request(runner, "/apis", Accept=AGGREGATED)[1]["items"] == []
    assert [found.metadata.name for found in runner.api.list_namespace().items] == [NAMESPACE]
    assert runner.api.read_namespace(NAMESPACE).status.phase == "Active"


@pytest.mark.parametrize(
    ("method", "path", "headers", "code", "reason"),
    [
        ("GET", "/openapi/v2", {}, 404, "NotFound"),
        ("GET", "/api/v1/nodes", {}, 404, "NotFound"),
        ("POST", f"{PODS}/a/exec", {}, 404, "NotFound"),
        ("PUT", f"{PODS}/a", {}, 405, "MethodNotAllowed"),
        ("GET", PODS, {"Accept": "application/vnd.kubernetes.protobuf"}, 406, "NotAcceptable"),
        ("POST", PODS, {"Content_Type": "application/yaml"}, 415, "UnsupportedMediaType"),
        ("POST", PODS, {"Content_Type": "application/json"}, 400, "BadRequest"),
        ("POST", f"{PODS}?dryRun=All", {"Content_Type": "application/json"}, 400, "BadRequest"),
        ("GET", f"{PODS}?watch=1&sendInitialEvents=true", {}, 422, "Invalid"),
    ],
)  # fmt: skip
def test_what_is_not_spoken_here_is_said_as_a_status(
    runner: PodRunner, method: str, path: str, headers: dict[str, str], code: int, reason: str
) -> None:
    answer, status = request(runner, path, method, body=None if method == "GET" else "{", **headers)
    assert (answer, status["kind"], status["code"], status["reason"]) == (code, "Status", code, reason)
