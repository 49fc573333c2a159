"""The cluster the tests run on: where it comes from, kubectl, and how an image is made known to its nodes.

CLUSTER names a script with the verbs up, down, status, tools and load-image, or a kubeconfig; KUBECONFIG alone will do.
An image is loaded by the script, by `kind load` where the context is kind's, or by the command in LOAD_IMAGE: it is
given the image's name, and prints the name with a digest by which pods can ask for it (say, after a push).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SECONDS: Final = 60
# Debian's list of certificates, with that of a proxy one may have to build behind.
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_UP_SECONDS: Final = 1800
_LOAD_SECONDS: Final = 300
_PATIENCE_SECONDS: Final = 180
HOW: Final = (
    "no cluster was given: make cluster-test CLUSTER=<script with up, down, status, load-image>, or "
    "`kind create cluster` and make cluster-test KUBECONFIG=~/.kube/config"
)


class ClusterMissing(Exception):
    """There is no cluster to test on; the sentence says what a person can do."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers: its kubeconfig, the script it came from, if any, and the command that loads images."""

    kubeconfig: Path
    script: Path | None
    load_image: str = ""

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS, check: bool = True) -> str:
        """Return what kubectl prints; raise AssertionError with its complaint where it fails."""
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin, capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what kubectl gets, as data."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def building(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which images for this cluster are built.

        Where a script made it on the spot there is no registry to pull from, and no engine but buildah, run as root.
        """
        given = {name: text for name, text in environment.items() if text}
        if self.script is None:
            return given
        certificates = f" --volume {_CERTIFICATES}:{_CERTIFICATES}:ro" if _CERTIFICATES.exists() else ""
        return {"BUILDAH_ISOLATION": "chroot", "BUILD_FLAGS": f"--pull-never{certificates}", **given}

    def load(self, reference: str, identity: str) -> str:
        """Make an image known to every node and return its name with digest; `identity` is the builder's id of it."""
        if self.load_image:
            return _run([*shlex.split(self.load_image), reference]).split()[-1]
        if self.script:
            return self._load_by_script(self.script, reference, identity)
        context = self.kubectl("config", "current-context").strip()
        assert context.startswith("kind-"), f"context {context} needs LOAD_IMAGE=<command>, see {__file__}"
        _run(["kind", "load", "docker-image", reference, "--name", context.removeprefix("kind-")])
        nodes = [node["metadata"]["name"] for node in self.get("nodes")["items"]]
        inside = ("ctr", "--namespace", "k8s.io")
        names = {_named_by_digest(["docker", "exec", node, *inside], reference) for node in nodes}
        assert len(names) == 1, names
        return names.pop()

    def _load_by_script(self, script: Path, reference: str, identity: str) -> str:
        # What the script tells of its state is where the kubeconfig is. What is beside it goes with the cluster, so an
        # image is loaded once in a cluster's life, which takes a minute of a busy machine; or again, where the kubelet
        # has thrown it away because the disk was full.
        ctr = ["ctr", "--address", str(self.kubeconfig.parent / "run" / "containerd.sock"), "--namespace", "k8s.io"]
        note = self.kubeconfig.with_name("appraiser-images.json")
        known: dict[str, str] = json.loads(note.read_text()) if note.exists() else {}
        if identity not in known or not _run([*ctr, "images", "list", "--quiet", f"name=={known[identity]}"]).strip():
            _run([str(script), "load-image", reference])
            known[identity] = _named_by_digest(ctr, reference)
            note.write_text(json.dumps(known))
        return known[identity]


def _named_by_digest(ctr: list[str], reference: str) -> str:
    """Give an image the name with its digest that a pull would have given it, and return that."""
    listed = _run([*ctr, "images", "list", f"name=={reference}"])
    digest = re.search(r"sha256:[0-9a-f]{64}", listed)
    assert digest, f"{reference} was loaded and is not there:\n{listed}"
    name = f"{reference.rpartition(':')[0]}@{digest[0]}"
    _run([*ctr, "images", "tag", "--force", reference, name])
    return name


def _run(argv: list[str], seconds: float = _LOAD_SECONDS) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr[-2000:]}"
    return done.stdout


@contextmanager
def reached(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """Bring up, or find, the cluster that is asked for, and take down what was brought up; raise ClusterMissing."""
    named = environment.get("CLUSTER") or environment.get("KUBECONFIG") or ""
    path = Path(named).expanduser().resolve()
    if not named or not path.is_file():
        raise ClusterMissing(HOW if not named else f"{named} is no file; {HOW}")
    load_image = environment.get("LOAD_IMAGE", "")
    if not os.access(path, os.X_OK):
        cluster = Cluster(path, None, load_image)
        cluster.kubectl("get", "nodes")
        yield cluster
        return
    was_up = subprocess.run([path, "status"], capture_output=True, check=False, timeout=SECONDS).returncode == 0
    if not was_up:
        # What is left of one whose processes were ended with whoever started it; nothing, and nothing is done.
        _run([str(path), "down"])
    try:
        yield Cluster(_brought_up(path), path, load_image)
    finally:
        if not was_up:
            _run([str(path), "down"])


def _brought_up(script: Path) -> Path:
    done = subprocess.run(
        [script, "up"], capture_output=True, text=True, check=False, timeout=_UP_SECONDS, stdin=subprocess.DEVNULL
    )
    said = done.stdout + done.stderr
    kubeconfig = re.search(r"export KUBECONFIG=(\S+)", said)
    if done.returncode or kubeconfig is None:
        raise ClusterMissing(f"{script} up failed:\n{said[-3000:]}")
    return Path(kubeconfig[1])


@contextmanager
def forwarded(cluster: Cluster, namespace: str, service: str, port: int) -> Iterator[str]:
    """Lead a port of loopback to a Service for as long as its present pod lives, and give the address."""
    process = subprocess.Popen(
        ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "--namespace", namespace, "port-forward",
         "--address=127.0.0.1", f"service/{service}", f":{port}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, f"port-forward to {service} did not start: {line}"
        yield f"http://127.0.0.1:{found[1]}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def eventually[T](ask: Callable[[], T], seconds: float = _PATIENCE_SECONDS) -> T:
    """Ask until the answer is not empty, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.5)
    return found
