"""The API as `make run` starts it: ready without a model, on loopback, with a token of its own."""

from pathlib import Path

import httpx

from local.credentials import Credentials
from local.processes import Processes
from local.serving import Serving
from tests.servers import ROOT, Databases, free_loopback_port


def test_it_serves_and_stops(databases: Databases, tmp_path: Path) -> None:
    token = Credentials(tmp_path / "secrets").path("api-token")
    settings = {
        "raw_url": databases.url("raw", "serving"), "ledger_url": databases.url("ledger", "serving"),
        "mlflow_url": f"http://127.0.0.1:{free_loopback_port()}", "token_file": str(token),
    }  # fmt: skip
    part = Serving(
        tmp_path / "state", free_loopback_port(), ROOT / ".envs" / "serving" / "bin", ROOT, settings,
    )  # fmt: skip
    processes = Processes(tmp_path / "logs")
    assert not part.answers()
    try:
        part.start(processes)
        processes.serve({"api": part.answers}, 60)
        given = {"Authorization": f"Bearer {token.read_text()}"}
        assert httpx.post(f"{part.url}/reload-model", headers=given, timeout=30).json()["outcome"] == "unreachable"
        assert httpx.get(f"{part.url}/batches", timeout=30).json()["total"] == 0
        processes.check()
    finally:
        processes.stop_all()
    assert not part.answers()
