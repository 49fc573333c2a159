"""A real Prometheus that scrapes one service of this machine, promtool, and what argocd/monitoring gives to both."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import yaml

from local.processes import UNENCRYPTED, serves
from tests.running import Running
from tests.servers import ROOT, free_loopback_port

MANIFESTS = ROOT / "argocd" / "monitoring"
# Where `make prometheus` unpacks it, beside what is installed.
UNPACKED = ROOT / ".tools" / "prometheus" / "usr" / "bin"
START_SECONDS = 60


def program(name: str) -> str:
    """Return the path of a program of Prometheus; a machine without one fails, for nothing would be proved there."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), str(UNPACKED))))
    if found is None:
        pytest.fail(f"no {name} was found; `make prometheus` unpacks it, or put one on PATH")
    return found


def promtool(*arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    return subprocess.run(
        [program("promtool"), *map(str, arguments)], input=given, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip


@cache
def alert_rules() -> Mapping[str, Any]:
    """Return the manifest of the alert rules."""
    found: Mapping[str, Any] = yaml.safe_load((MANIFESTS / "alerts.yaml").read_text())
    return found


def write_rules(folder: Path) -> Path:
    """Write the rules as Prometheus itself reads them."""
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(alert_rules()["spec"]))
    return path


@cache
def dashboards() -> Mapping[str, Mapping[str, Any]]:
    """Return every dashboard by the name of its file in its manifest."""
    manifests = [yaml.safe_load(path.read_text()) for path in sorted(MANIFESTS.glob("dashboard-*.yaml"))]
    return {name: json.loads(text) for manifest in manifests for name, text in manifest["data"].items()}


@dataclass
class Prometheus(Running):
    """A running Prometheus with our rules: whom it scrapes, where it listens, its process."""

    target: str
    folder: Path
    port: int = field(default_factory=free_loopback_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:  # type: ignore[override]  # a file of the folder that is known anyway
        """Return where it writes what it does."""
        return self.folder / "prometheus.log"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(write_rules(self.folder))],
            "scrape_configs": [{"job_name": "serving", "static_configs": [{"targets": [self.target]}]}],
        }
        path = self.folder / "prometheus.yaml"
        path.write_text(yaml.safe_dump(config))
        options = {
            "config.file": path, "storage.tsdb.path": self.folder / "series", "web.listen-address": self.url[7:],
        }  # fmt: skip
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [program("prometheus"), *(f"--{name}={value}" for name, value in options.items())],
                stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
            )  # fmt: skip
        self.wait_until(lambda: serves(f"{self.url}/-/ready"), START_SECONDS)
        return self

    def asked(self, path: str, **named: str) -> Any:
        """Return what its API answers."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=named, timeout=30, verify=UNENCRYPTED).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, expression: str) -> list[dict[str, Any]]:
        """Return every series an expression gives now."""
        found: list[dict[str, Any]] = self.asked("query", query=expression)["result"]
        return found


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus on one target, and end it whatever happens."""
    prometheus = Prometheus(target, folder)
    try:
        yield prometheus.start()
    finally:
        if prometheus.process is not None:
            prometheus.stop()
