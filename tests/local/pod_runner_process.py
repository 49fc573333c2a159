"""A pod runner in a process of its own, with one throw-away image, and clients for it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

NAMESPACE = "appraiser"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
IMAGE = "localhost/throwaway:dev"
# Only what keeps a broken test from waiting for ever.
PATIENCE_SECONDS = 120

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed; the same calls are tested with the Python client"
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc: elsewhere memory limits are not enforced")

# The module of the image: `python -m program <what> <arguments>`.
PROGRAM = '''
import json, os, pathlib, signal, subprocess, sys, tempfile, time


def say(*words):
    print(*words, flush=True)


def environment():
    say(json.dumps({"environment": dict(os.environ), "cwd": os.getcwd(), "temporary": tempfile.gettempdir(),
                    "python": sys.prefix, "pid": os.getpid(), "oom_score_adj": oom_score()}))


def oom_score():
    path = pathlib.Path("/proc/self/oom_score_adj")
    return int(path.read_text()) if path.exists() else None


def lines(count, pause="0"):
    for number in range(int(count)):
        say("line", number)
        time.sleep(float(pause))


def leave(code):
    say("leaving with", code)
    print("the reason", file=sys.stderr)
    sys.exit(int(code))


def until_told(path):
    say("waiting")
    while not pathlib.Path(path).exists():
        time.sleep(0.01)
    print("told", end="")


def allocate(mebibytes):
    held = []
    for _ in range(int(mebibytes)):
        held.append(bytearray(os.urandom(1024)) * 1024)
    say("allocated")
    time.sleep(3600)


def reserve(mebibytes):
    import mmap
    reserved = mmap.mmap(-1, int(mebibytes) << 20)
    reserved[:1 << 20] = b"x" * (1 << 20)
    time.sleep(0.5)
    say("reserved", len(reserved) >> 20)


def family():
    """A child in this process group, a grandchild in a session of its own whose parent has ended."""
    sleep = "import time; time.sleep(3600)"
    orphan = (f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {sleep!r}],"
              " start_new_session=True, stdout=subprocess.DEVNULL).pid)")
    child = subprocess.Popen([sys.executable, "-c", sleep])
    grandchild = int(subprocess.run([sys.executable, "-c", orphan], stdout=subprocess.PIPE).stdout)
    say(json.dumps([os.getpid(), child.pid, grandchild]))


def family_stays():
    family()
    time.sleep(3600)


def polite():
    signal.signal(signal.SIGTERM, lambda *_: (say("told to stop"), sys.exit(7)))
    say("ready")
    time.sleep(3600)


def stubborn():
    signal.signal(signal.SIGTERM, lambda *_: say("not yet"))
    say("ready")
    while True:
        time.sleep(3600)


globals()[sys.argv[1]](*sys.argv[2:])
'''


class PodRunner:
    """One pod runner and its folder; `start` again after `kill` for a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.kubeconfig = self.root / "kubeconfig"
        self.images = folder / "images.json"
        self.code = folder / "image"
        self.code.mkdir(parents=True)
        (self.code / "program.py").write_text(PROGRAM)
        image = {"python": sys.executable, "root": str(self.code), "entrypoint": ["python", "-m", "program"]}
        self.images.write_text(json.dumps({IMAGE: image}))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the runner and wait until it answers."""
        log = self.folder / "runner.log"
        files = ["--root", str(self.root), "--images", str(self.images)]
        environment = os.environ | {"LEAKED": "from the parent", "PYTHONDONTWRITEBYTECODE": "1"}
        already = log.read_text().count("pod_runner_ready") if log.exists() else 0
        with log.open("ab") as output:
            command = [sys.executable, "-m", "local.pod_runner", "--port", "0", *files]
            self.process = subprocess.Popen(command, stderr=output, env=environment)
        wait_until(lambda: log.read_text().count("pod_runner_ready") > already or self.ended())
        if self.ended():
            raise AssertionError(log.read_text())

    def ended(self) -> bool:
        """Tell whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the runner a signal and wait for its end."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait(PATIENCE_SECONDS)

    def write_key(self, kind: str, name: str, key: str, value: str) -> None:
        """Set a key of one of the `configmaps` or `secrets`."""
        folder = self.root / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / key).write_text(value)

    @property
    def api(self) -> client.CoreV1Api:
        """A client as Airflow makes it."""
        configuration = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=configuration)
        return client.CoreV1Api(client.ApiClient(configuration))

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Run kubectl and return its output; stderr too where a failure is expected."""
        environment = {"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder), "PATH": os.environ["PATH"]}
        command = ["kubectl", *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout + ("" if check else done.stderr)

    def create(self, name: str, *words: str, labels: dict[str, str] | None = None, **changes: Any) -> Any:
        """Create a pod that runs the image with these words; `changes` go into its spec, `container` of them deeper."""
        container = {"name": "base", "image": IMAGE, "args": list(words), **changes.pop("container", {})}
        spec = {"restartPolicy": "Never", "containers": [container], **changes}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}
        return self.api.create_namespaced_pod(NAMESPACE, pod)

    def read(self, name: str) -> Any:
        """Return a pod."""
        return self.api.read_namespaced_pod(name, NAMESPACE)

    def log(self, name: str, **options: Any) -> str:
        """Return a pod's log."""
        # Left to itself the client parses a log that is JSON, and writes it as Python does.
        answer = self.api.read_namespaced_pod_log(name, NAMESPACE, _preload_content=False, **options)
        text: str = answer.data.decode()
        return text

    def delete(self, name: str, **options: Any) -> Any:
        """Ask for the deletion of a pod."""
        return self.api.delete_namespaced_pod(name, NAMESPACE, **options)

    def gone(self, name: str) -> bool:
        """Tell whether there is no pod of that name."""
        return name not in {pod.metadata.name for pod in self.api.list_namespaced_pod(NAMESPACE).items}

    def await_phase(self, name: str, *phases: str) -> Any:
        """Wait until a pod is in one of the phases, and return it."""
        wait_until(lambda: self.read(name).status.phase in phases)
        return self.read(name)

    def await_end(self, name: str) -> Any:
        """Wait until a pod has ended, and return it."""
        return self.await_phase(name, "Succeeded", "Failed")

    def await_log(self, name: str, text: str) -> str:
        """Wait until a pod runs and has written a text, and return its log."""
        self.await_phase(name, "Running", "Succeeded", "Failed")
        wait_until(lambda: text in self.log(name))
        return self.log(name)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return reason and message of a pod's events."""
        events = self.api.list_namespaced_event(NAMESPACE, field_selector=f"involvedObject.name={name}").items
        return [(event.reason, event.message) for event in events]


@contextmanager
def started(folder: Path) -> Iterator[PodRunner]:
    """Start a pod runner, end it in order, and see to it that it met no fault of its own."""
    runner = PodRunner(folder)
    runner.start()
    try:
        yield runner
    finally:
        if not runner.ended():
            runner.kill(signal.SIGTERM)
    log = (folder / "runner.log").read_text()
    assert "level=error" not in log, log
    assert "Traceback" not in log, log


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fail after a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE_SECONDS} s")
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Tell whether a process is there and not only waiting to be collected."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def terminated(pod: Any) -> Any:
    """Return the end of a pod's container."""
    return pod.status.container_statuses[0].state.terminated


def waiting(pod: Any) -> Any:
    """Return why a pod's container waits, None where it does not."""
    statuses = pod.status.container_statuses
    return statuses[0].state.waiting if statuses else None


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
