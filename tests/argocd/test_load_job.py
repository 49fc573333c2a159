"""The cluster's load is bounded, for one's own system, and is taken by the real API."""

import os
import subprocess
import sys

import pytest

from argocd.chart.files.load import is_ours
from tests.servers import ROOT
from tests.serving.conftest import Served, served

__all__ = ["served"]


def load(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "argocd/chart/files/load.py"], env={"PATH": os.defpath, **variables}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("serving", True), ("serving.appraiser.svc", True), ("serving.appraiser.svc.cluster.local", True),
        ("127.0.0.1", True), ("192.0.2.1", False), ("houses.example", False), ("serving.svc.example", False),
    ],
)  # fmt: skip
def test_whose_a_host_is(host: str, ours: bool) -> None:
    assert is_ours(host) is ours


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"URL": "http://houses.example", "USERS": "1", "SECONDS": "1"}, "is no Service of this cluster"),
        ({"USERS": "1", "SECONDS": "1"}, "is no Service of this cluster"),
        ({"URL": "http://serving:8000", "USERS": "201", "SECONDS": "1"}, "USERS: '201' is not a number from 1 to 200"),
        ({"URL": "http://serving:8000", "USERS": "1", "SECONDS": "0"}, "SECONDS: '0' is not a number from 1 to 600"),
    ],
)
def test_what_it_refuses(variables: dict[str, str], sentence: str) -> None:
    done = load(**variables)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_the_api_answers_all_of_it(served: Served) -> None:
    done = load(URL=served.service.url, USERS="2", SECONDS="8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[1].startswith("/predict ")


def test_an_api_that_is_not_there_is_a_failure() -> None:
    done = load(URL="http://127.0.0.1:9", USERS="1", SECONDS="1")
    assert done.returncode == 1
