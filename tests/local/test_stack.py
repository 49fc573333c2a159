"""The stack's own command where it does not come to a whole system: tests/end_to_end has one of those."""

import subprocess
import sys
import time
from pathlib import Path

from tests.end_to_end.running import (
    PATIENCE_SECONDS,
    System,
    assert_ended,
    below,
    refused,
    write_nonsense,
)
from tests.servers import ROOT, free_loopback_port, free_ports, port_options


def test_an_http_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_loopback_port()}"
    said = refused(f"--source={address}", f"--state-folder={tmp_path}", *port_options(free_ports()))
    assert f"error: the source at {address} (SOURCE=) does not answer: " in said


def test_who_started_it_may_be_killed_instead(tmp_path: Path) -> None:
    system = System.of(tmp_path, write_nonsense(tmp_path / "source", 300))
    ports = port_options(system.ports)
    options = ["--end-with-parent", f"--source={system.source}", f"--state-folder={system.home}", *ports]
    # As make does: the stack is a child of what is killed, and its output goes where it went before.
    maker = subprocess.Popen(
        ["/bin/sh", "-c", f"{sys.executable} -m local.stack {' '.join(options)} >{system.log}; true"], cwd=ROOT
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not system.log.exists() or "postgres ready" not in system.log.read_text():
        assert time.monotonic() < deadline
        assert maker.poll() is None
        time.sleep(0.2)
    started = below(maker)
    assert len(started) > 6
    maker.kill()
    maker.wait()
    assert_ended(started)
