"""kubectl against the pod runner, for the verbs the manual promises: get, describe, logs, delete."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.local.pod_runner_process import PodRunner, needs_kubectl, started, wait_until

pytestmark = needs_kubectl


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodRunner]:
    with started(tmp_path_factory.mktemp("kubectl")) as runner:
        runner.create("fetched", "lines", "3", labels={"app": "appraiser", "step": "fetch"})
        runner.create("trained", "leave", "100", labels={"app": "appraiser", "step": "train"})
        for name in ("fetched", "trained"):
            runner.await_end(name)
        yield runner


def following(runner: PodRunner, *arguments: str) -> subprocess.Popen[str]:
    environment = {"KUBECONFIG": str(runner.kubeconfig), "HOME": str(runner.folder), "PATH": os.environ["PATH"]}
    return subprocess.Popen(["kubectl", *arguments], env=environment, stdout=subprocess.PIPE, text=True)


def test_get_shows_a_table(runner: PodRunner) -> None:
    head, *rows = [line.split() for line in runner.kubectl("get", "pods").splitlines()]
    assert head == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row[:4] for row in rows] == [["fetched", "0/1", "Completed", "0"], ["trained", "0/1", "Error", "0"]]


def test_get_by_label_and_name(runner: PodRunner) -> None:
    assert runner.kubectl("get", "pods", "-l", "step=train", "-o", "name") == "pod/trained\n"
    assert runner.kubectl("get", "pod", "fetched", "--no-headers", "-L", "step").split()[-1] == "fetch"
    assert "127.0.0.1" in runner.kubectl("get", "pods", "-o", "wide")
    path = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
    assert runner.kubectl("get", "pod", "trained", "-o", path) == "100"
    assert 'Error from server (NotFound): pods "none" not found' in runner.kubectl("get", "pod", "none", check=False)


def test_get_watches(runner: PodRunner) -> None:
    with following(runner, "get", "pods", "-w", "-l", "step=clean", "--no-headers") as watching:
        assert watching.stdout is not None
        runner.create("cleaned", "polite", labels={"step": "clean"})
        statuses = []
        while "Running" not in statuses:
            statuses.append(watching.stdout.readline().split()[2])
        runner.delete("cleaned")
        while statuses[-1] != "Terminating":
            statuses.append(watching.stdout.readline().split()[2])
        watching.terminate()


def test_describe_tells_state_and_events(runner: PodRunner) -> None:
    text = " ".join(runner.kubectl("describe", "pod", "trained").split())
    for part in (
        "Status: Failed",
        "Reason: Error",
        "Exit Code: 100",
        "Normal Scheduled",
        "kubelet Started container base",
    ):
        assert part in text


def test_logs(runner: PodRunner) -> None:
    assert runner.kubectl("logs", "fetched") == "line 0\nline 1\nline 2\n"
    assert runner.kubectl("logs", "-l", "step=fetch", "--tail", "1") == "line 2\n"
    assert runner.kubectl("logs", "fetched", "--timestamps").splitlines()[0].endswith("Z line 0")
    assert "previous terminated container" in runner.kubectl("logs", "fetched", "--previous", check=False)


def test_logs_follow_to_the_end(runner: PodRunner) -> None:
    go_on = runner.folder / "go-on"
    runner.create("talking", "until_told", str(go_on))
    runner.await_log("talking", "waiting")
    with following(runner, "logs", "-f", "talking") as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == "waiting\n"
        go_on.touch()
        assert logs.stdout.read() == "told\n"
    assert logs.returncode == 0


def test_delete_waits_until_the_pod_is_gone(runner: PodRunner) -> None:
    runner.create("going", "polite")
    runner.await_log("going", "ready")
    assert runner.kubectl("delete", "pod", "going") == 'pod "going" deleted\n'
    assert runner.gone("going")


def test_delete_by_force(runner: PodRunner) -> None:
    runner.create("forced", "stubborn")
    runner.await_log("forced", "ready")
    runner.kubectl("delete", "pod", "forced", "--force", "--grace-period", "0")
    wait_until(lambda: runner.gone("forced"))


def test_label_and_wait(runner: PodRunner) -> None:
    runner.kubectl("label", "pod", "fetched", "seen=yes")
    assert runner.kubectl("get", "pods", "-l", "seen=yes", "-o", "name") == "pod/fetched\n"
    runner.kubectl("wait", "--for", "jsonpath={.status.phase}=Succeeded", "pod/fetched")


def test_everything_else_is_refused_in_words(runner: PodRunner) -> None:
    assert "error" in runner.kubectl("exec", "fetched", "--", "ls", check=False).lower()
    assert "doesn't have a resource type" in runner.kubectl("get", "deployments", check=False)
