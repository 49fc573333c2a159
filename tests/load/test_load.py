"""The load that `make load` makes: for one's own machine, bounded, in the mix it says, with a summary at its end."""

import os
import re
import subprocess
import sys

import pytest

from tests.servers import ROOT, free_loopback_port
from tests.serving.conftest import Served, served

__all__ = ["served"]

ROUTES = {"/predict", "/predict-batch", "/explain", "/health", "/model-info"}


def load(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.load"], env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **variables}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"URL": "http://192.0.2.1:18081"}, "is another machine's"),
        ({"URL": "http://127.0.0.1.example.org"}, "is another machine's"),
        ({"USERS": "100000"}, "USERS: 100000 is not a number from 1 to 200"),
        ({"SECONDS": "0"}, "SECONDS: 0 is not a number from 1 to 600"),
    ],
)
def test_what_it_refuses(variables: dict[str, str], sentence: str) -> None:
    done = load(**variables)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_nobody_there_is_a_sentence() -> None:
    done = load(URL=f"http://127.0.0.1:{free_loopback_port()}")
    assert done.returncode == 1
    assert "nobody answers at" in done.stderr


def test_the_mix_and_the_summary(served: Served) -> None:
    done = load(URL=served.service.url, USERS="3", SECONDS="6")
    assert done.returncode == 0, done.stdout + done.stderr
    asked = set(re.findall(r"^(/\S+) +[\d,]+ ", done.stdout, re.MULTILINE))
    # How many a machine manages in six seconds is its own affair; what they are drawn from is not.
    assert "/predict" in asked <= ROUTES
    assert re.search(r"requests, [\d,]+ a second, 0 failed$", done.stdout, re.MULTILINE)


def test_the_mix_is_eighty_ten_five_three_two() -> None:
    weights = [int(weight) for weight in re.findall(r"@task\((\d+)\)", (ROOT / "tests/load/mix.py").read_text())]
    assert weights == [80, 10, 5, 3, 2]
