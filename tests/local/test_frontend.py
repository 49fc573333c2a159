"""The page as the stack starts it: there without an API, and gone when it is stopped."""

from pathlib import Path

import httpx

from local.frontend import Frontend
from local.processes import Processes
from tests.servers import ROOT, free_loopback_port


def test_the_page_starts_without_an_api_and_stops(tmp_path: Path) -> None:
    programs = ROOT / ".envs" / "frontend" / "bin"
    page = Frontend(tmp_path / "page", free_loopback_port(), programs, ROOT, "http://127.0.0.1:9")
    assert not page.answers()
    processes = Processes(tmp_path / "logs")
    try:
        page.start(processes)
        processes.serve({"page": page.answers}, 120)
        assert "<title>" in httpx.get(page.url, timeout=10).text
    finally:
        processes.stop_all()
    assert not page.answers()
