"""How the pod runner starts, or says why it does not."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.local.pod_runner_process import PATIENCE_SECONDS, started


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command: Sequence[str | Path] = [sys.executable, "-m", "local.pod_runner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.json"
    path.write_text("{}")
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--port"),
        (["--port", "x", "--root", "r", "--images", "i"], "--port"),
        (["--port", "0", "--root", "r", "--images", "missing.json"], "--images"),
    ],
)
def test_wrong_options(options: list[str], words: str) -> None:
    done = run(*options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", ["[]", "{"])
def test_an_image_file_that_is_none(images: Path, tmp_path: Path, content: str) -> None:
    images.write_text(content)
    done = run("--port", "0", "--root", tmp_path / "root", "--images", images)
    assert done.returncode == 2
    assert str(images) in done.stderr


def test_a_taken_port(images: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("--port", str(port), "--root", tmp_path / "root", "--images", images)
    assert (done.returncode, done.stderr) == (
        1,
        f"cannot listen on 127.0.0.1:{port} (--port): Address already in use\n",
    )


def test_one_runner_for_a_folder(tmp_path: Path) -> None:
    with started(tmp_path) as runner:
        done = run("--port", "0", "--root", runner.root, "--images", runner.images)
        assert (done.returncode, done.stderr) == (1, f"another pod runner uses {runner.root}\n")
        assert not runner.ended()
