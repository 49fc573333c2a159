"""The files of versions: believed only when every byte is the one training wrote, and fetched in bounded time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from steps.common.artifacts import FileBroken
from steps.common.registry import fetch_version
from steps.common.settings import Settings
from steps.common.store import models
from steps.common.store.connection import Unreachable
from steps.common.store.models import ModelFile, ModelVersion, VersionDiffers
from steps.common.tracking import Tracking
from tests.steps.deployment import Deployment, change_a_byte


def test_a_versions_files_come_verified_and_stay(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = deployment.versions(1)
    found = fetch_version(deployment.tracking, deployment.ledger, one, tmp_path / "here")
    assert found == tmp_path / "here" / str(one)
    assert (found / "model.bin").read_bytes() == deployment.stored(one, "model.bin").read_bytes()
    deployment.stored(one, "model.bin").unlink()
    assert fetch_version(deployment.tracking, deployment.ledger, one, tmp_path / "here") == found


def test_a_file_changed_by_a_byte_is_not_used(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = deployment.versions(1)
    change_a_byte(deployment.stored(one, "model.bin"))
    with pytest.raises(FileBroken, match=r"model\.bin is not the file the ledger knows"):
        fetch_version(deployment.tracking, deployment.ledger, one, tmp_path / "here")
    assert not [path for path in (tmp_path / "here").rglob("*") if path.is_file()]


@pytest.mark.parametrize("change", [lambda content: content + b"more", lambda content: content[:-1], lambda _: b""])
def test_a_file_of_another_size_is_not_used(
    deployment: Deployment, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    (one,) = deployment.versions(1)
    stored = deployment.stored(one, "model.bin")
    stored.write_bytes(change(stored.read_bytes()))
    with pytest.raises(FileBroken):
        fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)


def test_a_missing_file_is_said_to_be_missing(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = deployment.versions(1)
    deployment.stored(one, "model.bin").unlink()
    with pytest.raises(FileBroken, match="is not in the artifact store, though the ledger knows it"):
        fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)


def test_a_file_here_that_was_changed_is_fetched_again(deployment: Deployment, tmp_path: Path) -> None:
    (one,) = deployment.versions(1)
    found = fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)
    change_a_byte(found / "model.bin")
    fetch_version(deployment.tracking, deployment.ledger, one, tmp_path)
    assert (found / "model.bin").read_bytes() == deployment.stored(one, "model.bin").read_bytes()


def test_a_version_the_ledger_does_not_know_is_not_used(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(FileBroken, match="the ledger has no files of version 77"):
        fetch_version(deployment.tracking, deployment.ledger, 77, tmp_path)


@pytest.mark.parametrize("path", ["../outside", "/outside", "a/../../outside"])
def test_a_path_that_leads_out_is_refused(deployment: Deployment, tmp_path: Path, path: str) -> None:
    claim = deployment.claim("r")
    with deployment.ledger.begin() as connection:
        version = ModelVersion(5, claim.claim_id, "run", "mlflow-artifacts:/1/run/artifacts/model", "f", {})
        models.append_version(connection, version, [ModelFile(path, "0" * 64, 1)])
    with pytest.raises(FileBroken, match="no path below"):
        fetch_version(deployment.tracking, deployment.ledger, 5, tmp_path)


def test_the_same_version_twice_is_once_and_another_is_refused(deployment: Deployment) -> None:
    claim = deployment.claim("r")
    version, file = (
        ModelVersion(5, claim.claim_id, "run", "mlflow-artifacts:/1/x", "f", {}),
        ModelFile("a", "0" * 64, 1),
    )
    for _ in range(2):
        with deployment.ledger.begin() as connection:
            models.append_version(connection, version, [file])
    other = ModelVersion(5, deployment.claim("s", 1).claim_id, "run", "mlflow-artifacts:/1/x", "f", {})
    with pytest.raises(VersionDiffers), deployment.ledger.begin() as connection:
        models.append_version(connection, other, [file])
    with pytest.raises(VersionDiffers, match="other files"), deployment.ledger.begin() as connection:
        models.append_version(connection, version, [ModelFile("a", "1" * 64, 1)])
    assert len(deployment.rows("model_versions")) == len(deployment.rows("model_files")) == 1


@contextmanager
def store(answer: type[BaseHTTPRequestHandler]) -> Iterator[Tracking]:
    """Stand an artifact store up that answers as told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Tracking(Settings(mlflow_url=f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Dripping(BaseHTTPRequestHandler):
    """Sends a byte at a time, for ever."""

    def do_GET(self) -> None:
        """Never come to an end."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        stop = threading.Event()
        try:
            while not stop.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            stop.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Down(Dripping):
    """Answers that its bucket is down."""

    def do_GET(self) -> None:
        """Fail."""
        self.send_error(500)


class Elsewhere(Dripping):
    """Sends whoever asks to another place."""

    def do_GET(self) -> None:
        """Redirect."""
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()


@pytest.mark.parametrize(
    ("answer", "why"), [(Dripping, "did not arrive in time"), (Down, "answer 500"), (Elsewhere, "answer 302")]
)
@pytest.mark.timeout(120)
def test_a_store_that_does_not_deliver_is_given_up(
    deployment: Deployment, tmp_path: Path, answer: type[BaseHTTPRequestHandler], why: str
) -> None:
    (one,) = deployment.versions(1)
    with store(answer) as tracking, pytest.raises(Unreachable, match=why) as refused:
        fetch_version(tracking, deployment.ledger, one, tmp_path, seconds=1)
    assert "APPRAISER_MLFLOW_URL" in str(refused.value)
