"""The API as the Python client sees it: the calls of KubernetesPodOperator, and those of kubectl."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.local.pod_runner_process import IMAGE, NAMESPACE, PodRunner, started, wait_until

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
PODS = "/api/v1/namespaces/appraiser/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
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


def request(
    runner: PodRunner, path: str, method: str = "GET", token: str | None = None, body: str | None = None, **headers: str
) -> tuple[int, Any]:
    """Send a request by hand; header names with _ for -."""
    known = json.loads(runner.kubeconfig.read_text())
    address = urlsplit(known["clusters"][0]["cluster"]["server"])
    context = ssl.create_default_context(cafile=str(runner.root / "tls.crt"))
    connection = http.client.HTTPSConnection(str(address.hostname), address.port, context=context, timeout=30)
    token = known["users"][0]["user"]["token"] if token is None else token
    sent = {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, json.loads(content) if "json" in answer.headers["content-type"] else content


def error_of(call: Any, *arguments: Any, **options: Any) -> tuple[int, str, str]:
    """Return code, reason and message of the `Status` a call fails with."""
    with pytest.raises(ApiException) as raised:
        call(*arguments, **options)
    status = json.loads(raised.value.body)
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", raised.value.status)
    return status["code"], status["reason"], status["message"]


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


def test_logs_in_part(runner: PodRunner) -> None:
    runner.create("talker", "lines", "3")
    runner.await_end("talker")
    assert runner.log("talker", container="base") == "line 0\nline 1\nline 2\n"
    assert runner.log("talker", tail_lines=2) == "line 1\nline 2\n"
    assert runner.log("talker", tail_lines=0) == ""
    assert runner.log("talker", limit_bytes=9) == "line 0\nli"
    stamp, line = runner.log("talker", timestamps=True).splitlines()[0].split(" ", 1)
    assert line == "line 0"
    assert len(stamp) == len("2026-01-01T00:00:00.000000000Z")
    assert runner.log("talker", since_seconds=3600) == "line 0\nline 1\nline 2\n"
    code, text = request(runner, f"{PODS}/talker/log?sinceTime={stamp}")
    assert (code, text) == (200, "line 0\nline 1\nline 2\n")
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert request(runner, f"{PODS}/talker/log?sinceTime={later}") == (200, "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"container": "other"}, "container other is not valid for pod talker"),
        ({"previous": True}, "previous terminated container"),
        ({"tail_lines": -1}, "tailLines"),
    ],
)
def test_logs_that_are_not_there(runner: PodRunner, options: dict[str, Any], words: str) -> None:
    runner.create("talker", "lines", "1")
    runner.await_end("talker")
    code, reason, message = error_of(runner.log, "talker", **options)
    assert (code, reason) == (400, "BadRequest")
    assert words in message


def test_the_log_of_a_pod_that_waits(runner: PodRunner) -> None:
    runner.create("waits", "lines", "1", container={"image": "localhost/unknown:dev"})
    assert error_of(runner.log, "waits")[2].startswith('container "base" in pod "waits" is waiting to start: ')


def test_a_followed_log_comes_line_by_line(runner: PodRunner) -> None:
    path = runner.folder / "go-on"
    runner.create("followed", "until_told", str(path))
    runner.await_log("followed", "waiting")
    following = runner.api.read_namespaced_pod_log("followed", NAMESPACE, follow=True, _preload_content=False).stream()
    assert next(following) == b"waiting\n"
    path.touch()
    assert b"".join(following) == b"told\n"  # The program ended in the middle of the line.


def test_a_watch_sees_a_pod_come_change_and_go(runner: PodRunner) -> None:
    revision = runner.api.list_namespaced_pod(NAMESPACE).metadata.resource_version
    runner.create("watched", "lines", "1", labels={"step": "fetch"})
    runner.create("unwatched", "lines", "1")
    seen: list[tuple[str, str]] = []
    stream = watch.Watch().stream(
        runner.api.list_namespaced_pod,
        NAMESPACE,
        label_selector="step=fetch",
        resource_version=revision,
        timeout_seconds=30,
    )
    for event in stream:
        seen.append((event["type"], event["object"].status.phase))
        assert event["object"].metadata.name == "watched"
        if seen[-1] == ("MODIFIED", "Succeeded"):
            threading.Thread(target=runner.delete, args=["watched"]).start()
        if event["type"] == "DELETED":
            break
    assert seen == [("ADDED", "Pending"), ("MODIFIED", "Running"), ("MODIFIED", "Succeeded"), ("DELETED", "Succeeded")]


def test_a_watch_by_phase_sees_pods_enter_and_leave(runner: PodRunner) -> None:
    revision = runner.api.list_namespaced_pod(NAMESPACE).metadata.resource_version
    runner.create("runs", "lines", "1")
    runner.await_end("runs")
    stream = watch.Watch().stream(
        runner.api.list_namespaced_pod, NAMESPACE, field_selector="status.phase=Running", resource_version=revision,
        timeout_seconds=1,
    )  # fmt: skip
    assert [(event["type"], event["object"].status.phase) for event in stream] == [
        ("ADDED", "Running"),
        ("DELETED", "Succeeded"),
    ]


def test_a_watch_without_revision_begins_with_what_is_there(runner: PodRunner) -> None:
    runner.create("there", "lines", "1")
    runner.await_end("there")
    path = f"{PODS}?watch=1&timeoutSeconds=1"
    code, lines = request(runner, path, Accept=TABLE)
    assert code == 200
    assert lines["type"] == "ADDED"
    assert lines["object"]["rows"][0]["cells"][:3] == ["there", "0/1", "Completed"]


def test_a_watch_of_a_past_that_is_forgotten(runner: PodRunner) -> None:
    code, event = request(runner, f"{PODS}?watch=true&resourceVersion=1")
    assert (code, event["type"], event["object"]["code"], event["object"]["reason"]) == (200, "ERROR", 410, "Expired")


def test_events_of_one_pod(runner: PodRunner) -> None:
    runner.create("eventful", "lines", "1")
    uid = runner.await_end("eventful").metadata.uid
    selector = f"involvedObject.name=eventful,involvedObject.uid={uid}"
    events = runner.api.list_namespaced_event(NAMESPACE, field_selector=selector).items
    assert [event.reason for event in events] == ["Scheduled", "Pulled", "Created", "Started"]
    assert {event.type for event in events} == {"Normal"}
    assert events[-1].involved_object.field_path == "spec.containers{base}"


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
