"""What the pod runner streams: logs and watches; and the events of a pod."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import watch

from tests.local.pod_runner_process import NAMESPACE, PODS, TABLE, PodRunner, error_of, request, started, wait_until


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
