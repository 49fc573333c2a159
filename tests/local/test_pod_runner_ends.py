"""How pods end: by a deadline, a deletion, a signal, with the pod runner; and that nothing of them stays."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.local.pod_runner_process import PodRunner, alive, linux_only, started, terminated, wait_until


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodRunner]:
    with started(tmp_path_factory.mktemp("pods")) as runner:
        yield runner


@pytest.fixture
def own_runner(tmp_path: Path) -> Iterator[PodRunner]:
    with started(tmp_path) as runner:
        yield runner


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


def test_a_name_can_be_deleted_and_taken_again_at_any_moment(own_runner: PodRunner) -> None:
    for number in range(30):
        own_runner.create("again", "stubborn", terminationGracePeriodSeconds=1)
        if number % 3:
            time.sleep(number / 500)  # From before its process is there to after.
        own_runner.delete("again", grace_period_seconds=0)
        wait_until(lambda: own_runner.gone("again"))
    own_runner.create("again", "leave", "0")
    assert own_runner.await_end("again").status.phase == "Succeeded"
    assert own_runner.process is not None
    (shim,) = psutil.Process(own_runner.process.pid).children(recursive=True)
    wait_until(lambda: not shim.children())


def test_many_pods_at_once(runner: PodRunner) -> None:
    for code in range(20):
        runner.create(f"many-{code}", "leave", str(code))
    ends = [terminated(runner.await_end(f"many-{code}")).exit_code for code in range(20)]
    assert ends == list(range(20))
    assert all(runner.log(f"many-{code}") == f"leaving with {code}\nthe reason\n" for code in range(20))


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
    own_runner.write_key("secrets", "late", "url", "here")
    assert own_runner.await_end("waiting").status.phase == "Succeeded"
    assert not list((own_runner.root / "tmp").iterdir())


def test_an_orderly_stop_says_why_the_pods_ended(own_runner: PodRunner) -> None:
    own_runner.create("stopped", "polite")
    own_runner.await_log("stopped", "ready")
    own_runner.kill(signal.SIGTERM)
    own_runner.start()
    pod = own_runner.read("stopped")
    assert (pod.status.phase, pod.status.reason, terminated(pod).exit_code) == ("Failed", "Terminated", 7)
    assert own_runner.log("stopped") == "ready\ntold to stop\n"
