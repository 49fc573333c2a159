"""Pods as processes: what they are started with, how they are limited, and that nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.local.pod_runner_process import IMAGE, PodRunner, alive, started, terminated, wait_until, waiting

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc: elsewhere memory limits are not enforced")
MIB = 1 << 20


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodRunner]:
    with started(tmp_path_factory.mktemp("pods")) as runner:
        yield runner


@pytest.fixture
def own_runner(tmp_path: Path) -> Iterator[PodRunner]:
    with started(tmp_path) as runner:
        yield runner


def write_key(runner: PodRunner, kind: str, name: str, key: str, value: str) -> None:
    folder = runner.root / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / key).write_text(value)


def test_the_environment_holds_what_the_pod_says_and_nothing_else(runner: PodRunner) -> None:
    write_key(runner, "configmaps", "settings", "APPRAISER_THREADS", "2\n")
    write_key(runner, "configmaps", "settings", ".APPRAISER_THREADS.swp", "left by an editor")
    write_key(runner, "secrets", "databases", "raw-url", "postgresql://user:pass@host/raw")
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
    write_key(runner, "secrets", "half", "other", "")
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
    write_key(runner, "secrets", "coming", "url", "here")
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


def test_the_deadline_ends_a_pod(runner: PodRunner) -> None:
    runner.create("late", "polite", activeDeadlineSeconds=1)
    pod = runner.await_end("late")
    assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")
    assert terminated(pod).exit_code in (7, 143)  # Told to stop after it was ready for that, or before.
    assert "DeadlineExceeded" in {reason for reason, _ in runner.events("late")}


def test_the_deadline_also_ends_a_pod_that_waits(runner: PodRunner) -> None:
    runner.create("late-image", "lines", "1", activeDeadlineSeconds=1, container={"image": "localhost/unknown:dev"})
    pod = runner.await_end("late-image")
    assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")


def test_deletion_asks_first(runner: PodRunner) -> None:
    runner.create("asked", "polite")
    runner.await_log("asked", "ready")
    following = runner.api.read_namespaced_pod_log("asked", "appraiser", follow=True, _preload_content=False)
    answer = runner.delete("asked")
    assert answer.metadata.deletion_grace_period_seconds == 30
    assert following.read().decode() == "ready\ntold to stop\n"
    wait_until(lambda: runner.gone("asked"))


def test_deletion_kills_what_does_not_listen(runner: PodRunner) -> None:
    runner.create("deaf", "stubborn", terminationGracePeriodSeconds=1)
    runner.await_log("deaf", "ready")
    pid = int(runner.read("deaf").status.container_statuses[0].container_id.removeprefix("process://"))
    runner.delete("deaf")
    runner.await_log("deaf", "not yet")
    assert alive(pid)
    wait_until(lambda: runner.gone("deaf"))
    assert not alive(pid)


def test_deletion_at_once(runner: PodRunner) -> None:
    runner.create("deaf-too", "stubborn", terminationGracePeriodSeconds=3600)
    runner.await_log("deaf-too", "ready")
    runner.delete("deaf-too")
    assert runner.read("deaf-too").metadata.deletion_grace_period_seconds == 3600
    runner.delete("deaf-too", grace_period_seconds=0)
    wait_until(lambda: runner.gone("deaf-too"))


@pytest.mark.parametrize("what", ["family_stays", "family"])
def test_nothing_of_a_pod_outlives_it(runner: PodRunner, what: str) -> None:
    """Neither its process group, nor a grandchild in another session; deleted while it runs, or ended by itself."""
    name = what.replace("_", "-")
    runner.create(name, what)
    family = json.loads(runner.await_log(name, "]"))
    if what == "family_stays":
        assert all(alive(pid) for pid in family)
        runner.delete(name)
        wait_until(lambda: runner.gone(name))
    else:
        assert terminated(runner.await_end(name)).exit_code == 0
    assert not any(alive(pid) for pid in family)


def test_a_kill_from_outside_is_an_error(runner: PodRunner) -> None:
    runner.create("murdered", "stubborn")
    runner.await_log("murdered", "ready")
    os.kill(
        int(runner.read("murdered").status.container_statuses[0].container_id.removeprefix("process://")),
        signal.SIGKILL,
    )
    pod = runner.await_end("murdered")
    assert (terminated(pod).exit_code, terminated(pod).reason) == (137, "Error")


@linux_only
def test_a_pod_dies_with_the_process_that_watches_it(runner: PodRunner) -> None:
    runner.create("orphan", "stubborn")
    runner.await_log("orphan", "ready")
    pid = int(runner.read("orphan").status.container_statuses[0].container_id.removeprefix("process://"))
    parent = psutil.Process(pid).parent()
    assert parent is not None
    parent.kill()
    pod = runner.await_end("orphan")
    assert (terminated(pod).exit_code, terminated(pod).reason) == (137, "ContainerStatusUnknown")
    assert not alive(pid)


def test_pods_still_start_after_the_death_of_what_forks_them(own_runner: PodRunner) -> None:
    own_runner.create("before", "leave", "0")
    own_runner.await_end("before")
    assert own_runner.process is not None
    (shim,) = psutil.Process(own_runner.process.pid).children()
    shim.kill()
    wait_until(lambda: not alive(shim.pid))
    own_runner.create("after", "leave", "0")
    assert own_runner.await_end("after").status.phase == "Succeeded"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_the_runner(own_runner: PodRunner, number: signal.Signals) -> None:
    own_runner.create("family", "family_stays")
    family = json.loads(own_runner.await_log("family", "]"))
    assert own_runner.process is not None
    below = [process.pid for process in psutil.Process(own_runner.process.pid).children(recursive=True)]
    pids = {*family, *below, psutil.Process(family[0]).ppid()}
    assert all(alive(pid) for pid in pids)
    own_runner.kill(number)
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_after_a_restart_pods_can_still_be_looked_at(own_runner: PodRunner) -> None:
    own_runner.create("finished", "leave", "99", labels={"step": "fetch"})
    own_runner.await_end("finished")
    own_runner.create("cut-off", "polite")
    own_runner.await_log("cut-off", "ready")
    own_runner.create("waiting", "environment", container={"env": [
        {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "late", "key": "url"}}},
    ]})  # fmt: skip
    kubeconfig = json.loads(own_runner.kubeconfig.read_text())
    events = own_runner.events("finished")
    own_runner.kill()
    own_runner.start()
    assert json.loads(own_runner.kubeconfig.read_text())["users"] == kubeconfig["users"]
    assert terminated(own_runner.read("finished")).exit_code == 99
    assert own_runner.log("finished") == "leaving with 99\nthe reason\n"
    assert own_runner.events("finished") == events
    lost = own_runner.read("cut-off")
    assert (lost.status.phase, terminated(lost).reason) == ("Failed", "ContainerStatusUnknown")
    assert own_runner.log("cut-off") == "ready\n"
    write_key(own_runner, "secrets", "late", "url", "here")
    assert own_runner.await_end("waiting").status.phase == "Succeeded"
    assert not list((own_runner.root / "pods").glob("*/tmp"))


def test_an_orderly_stop_says_why_the_pods_ended(own_runner: PodRunner) -> None:
    own_runner.create("stopped", "polite")
    own_runner.await_log("stopped", "ready")
    own_runner.kill(signal.SIGTERM)
    own_runner.start()
    pod = own_runner.read("stopped")
    assert (pod.status.phase, pod.status.reason, terminated(pod).exit_code) == ("Failed", "Terminated", 7)
    assert own_runner.log("stopped") == "ready\ntold to stop\n"
