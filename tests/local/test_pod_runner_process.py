"""Pods as processes: what they are started with, what they wait for, what they may use, and what is told of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.pod_runner_process import IMAGE, PodRunner, linux_only, started, terminated, wait_until, waiting


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodRunner]:
    with started(tmp_path_factory.mktemp("pods")) as runner:
        yield runner


def test_the_environment_holds_what_the_pod_says_and_nothing_else(runner: PodRunner) -> None:
    runner.write_key("configmaps", "settings", "APPRAISER_THREADS", "2\n")
    runner.write_key("configmaps", "settings", ".APPRAISER_THREADS.swp", "left by an editor")
    runner.write_key("secrets", "databases", "raw-url", "postgresql://user:pass@host/raw")
    env = [
        {"name": "APPRAISER_RAW_URL", "valueFrom": {"secretKeyRef": {"name": "databases", "key": "raw-url"}}},
        {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "databases", "key": "none", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "STEP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['step']"}}},
        {"name": "PLAIN", "value": "$(POD) costs $$5, $(UNKNOWN)"},
    ]
    container = {"env": env, "envFrom": [{"configMapRef": {"name": "settings"}}]}
    runner.create("surroundings", "environment", labels={"step": "fetch"}, container=container)
    assert runner.await_end("surroundings").status.phase == "Succeeded"
    seen = json.loads(runner.log("surroundings"))
    environment = seen["environment"]
    temporary = environment["TMPDIR"]
    assert environment == {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(runner.code),
        "HOME": temporary,
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "HOSTNAME": "surroundings",
        "APPRAISER_THREADS": "2",
        "APPRAISER_RAW_URL": "postgresql://user:pass@host/raw",
        "POD": "surroundings",
        "STEP": "fetch",
        "PLAIN": "surroundings costs $5, $(UNKNOWN)",
    }
    assert seen["cwd"] == str(runner.code)
    assert seen["temporary"] == temporary
    assert seen["python"] == sys.prefix
    assert seen["oom_score_adj"] == (1000 if sys.platform == "linux" else None)
    assert not Path(temporary).exists()


def test_the_pods_command_replaces_the_entrypoint_of_the_image(runner: PodRunner) -> None:
    command = ["python", "-c", "import sys; print(sys.argv[1:])"]
    runner.create("commanded", "$(HOSTNAME)", container={"command": command})
    runner.await_end("commanded")
    assert runner.log("commanded") == "['commanded']\n"


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ({"secretKeyRef": {"name": "late", "key": "url"}}, 'secret "late" not found'),
        ({"secretKeyRef": {"name": "half", "key": "url"}}, "couldn't find key url in Secret appraiser/half"),
        ({"configMapKeyRef": {"name": "late", "key": "url"}}, 'configmap "late" not found'),
        ({"secretKeyRef": {"name": "../pods", "key": "url"}}, 'secret "../pods" not found'),
        ({"secretKeyRef": {"name": "half", "key": "../up"}}, "couldn't find key ../up in Secret appraiser/half"),
    ],
)  # fmt: skip
def test_a_missing_secret_keeps_the_pod_waiting(runner: PodRunner, variable: object, message: str) -> None:
    runner.write_key("secrets", "half", "other", "")
    runner.create("waiting", "environment", container={"env": [{"name": "URL", "valueFrom": variable}]})
    wait_until(lambda: waiting(runner.read("waiting")).reason == "CreateContainerConfigError")
    pod = runner.read("waiting")
    assert pod.status.phase == "Pending"
    assert waiting(pod).message == message
    assert ("Failed", f"Error: {message}") in runner.events("waiting")
    runner.delete("waiting")
    assert runner.gone("waiting")


def test_a_waiting_pod_starts_when_its_secret_comes(runner: PodRunner) -> None:
    variable = {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "coming", "key": "url"}}}
    runner.create("patient", "environment", container={"env": [variable]})
    wait_until(lambda: waiting(runner.read("patient")).reason == "CreateContainerConfigError")
    runner.write_key("secrets", "coming", "url", "here")
    runner.await_end("patient")
    assert json.loads(runner.log("patient"))["environment"]["URL"] == "here"


def test_an_unknown_image_cannot_be_pulled(runner: PodRunner) -> None:
    runner.create("imageless", "environment", container={"image": "localhost/unknown:dev"})
    wait_until(lambda: waiting(runner.read("imageless")).reason == "ImagePullBackOff")
    pod = runner.read("imageless")
    assert pod.status.phase == "Pending"
    assert "localhost/unknown:dev" in waiting(pod).message
    assert ("Failed", 'Error: failed to pull image "localhost/unknown:dev": not found') in runner.events("imageless")


def test_a_program_that_is_not_in_the_image_fails_for_good(runner: PodRunner) -> None:
    runner.create("programless", container={"command": ["nothing-of-that-name"]})
    pod = runner.await_end("programless")
    assert pod.status.phase == "Failed"
    assert (terminated(pod).exit_code, terminated(pod).reason) == (128, "StartError")
    assert terminated(pod).message == 'exec: "nothing-of-that-name": executable file not found in $PATH'


def test_success_is_reported_as_a_kubelet_does(runner: PodRunner) -> None:
    runner.create("succeeds", "leave", "0")
    pod = runner.await_end("succeeds")
    status = pod.status.container_statuses[0]
    conditions = {condition.type: (condition.status, condition.reason) for condition in pod.status.conditions}
    assert pod.status.phase == "Succeeded"
    assert (terminated(pod).exit_code, terminated(pod).reason) == (0, "Completed")
    assert terminated(pod).started_at <= terminated(pod).finished_at
    assert (status.ready, status.restart_count, status.image) == (False, 0, IMAGE)
    assert conditions["Ready"] == ("False", "PodCompleted")
    assert conditions["PodScheduled"] == ("True", None)
    assert [reason for reason, _ in runner.events("succeeds")] == ["Scheduled", "Pulled", "Created", "Started"]


def test_a_failure_has_its_exit_code_and_the_end_of_the_log(runner: PodRunner) -> None:
    runner.create("fails", "leave", "99", container={"terminationMessagePolicy": "FallbackToLogsOnError"})
    pod = runner.await_end("fails")
    assert pod.status.phase == "Failed"
    assert (terminated(pod).exit_code, terminated(pod).reason) == (99, "Error")
    assert terminated(pod).message == "leaving with 99\nthe reason\n"


@linux_only
def test_twice_the_memory_limit_is_killed(runner: PodRunner) -> None:
    runner.create("greedy", "allocate", "256", container={"resources": {"limits": {"memory": "128Mi"}}})
    pod = runner.await_end("greedy")
    assert pod.status.phase == "Failed"
    assert (terminated(pod).exit_code, terminated(pod).reason) == (137, "OOMKilled")


@linux_only
def test_memory_of_all_processes_of_a_pod_counts(runner: PodRunner) -> None:
    # Each of the three holds less than the limit.
    code = "import os, time; os.fork(); os.fork(); held = bytearray(os.urandom(48 << 20)); time.sleep(3600)"
    limits = {"resources": {"limits": {"memory": "150Mi"}}}
    runner.create("greedy-together", container={"command": ["python", "-c", code], **limits})
    assert terminated(runner.await_end("greedy-together")).reason == "OOMKilled"


@linux_only
def test_pages_shared_after_a_fork_count_once(runner: PodRunner) -> None:
    code = "import os, time; held = bytearray(os.urandom(64 << 20)); os.fork(); os.fork(); time.sleep(0.5)"
    limits = {"resources": {"limits": {"memory": "150Mi"}}}
    runner.create("sharing", container={"command": ["python", "-c", code], **limits})
    assert terminated(runner.await_end("sharing")).reason == "Completed"


def test_memory_that_is_only_reserved_does_not_count(runner: PodRunner) -> None:
    runner.create("reserving", "reserve", "4096", container={"resources": {"limits": {"memory": "128Mi"}}})
    assert terminated(runner.await_end("reserving")).reason == "Completed"
    assert runner.log("reserving") == "reserved 4096\n"
