"""The real stack, killed while a pod works, and started again: nothing is left, nothing is lost, nothing is open.

Its one batch is nonsense, so that the run ends with validate's QUARANTINE: a red task, and a verdict as good as any.
The tests build on each other, in their order.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import psutil
import pytest

from local.settings import Ports
from tests.end_to_end.running import PATIENCE_SECONDS, System, left_running
from tests.servers import ROOT, free_loopback_port, free_ports, port_options

COLUMNS = "brokered_by,status,price,bed,bath,acre_lot,street,city,state,zip_code,house_size,prev_sold_date"
ROWS = 300
REFUSED_SECONDS = 120
END_SECONDS = 60


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a system that has just begun to fetch a batch without a single price."""
    folder = tmp_path_factory.mktemp("stack")
    system = System.of(folder, write_nonsense(folder / "source"))
    system.start("--batches=1")
    system.wait_for("everything is up")
    wait_for_a_pod(system)
    try:
        yield system
    finally:
        if system.process is not None and system.process.poll() is None:
            system.end(signal.SIGKILL)


def write_nonsense(folder: Path) -> Path:
    folder.mkdir()
    rows = [f"1.0,for_sale,unknown,3,2,0.1,{row},Agawam,Massachusetts,1001,1200,2020-01-01" for row in range(ROWS)]
    (folder / "batch_0.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return folder


def wait_for_a_pod(system: System) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list((system.state / "pods" / "pods").glob("appraiser-fetch-*/container.log")):
        assert time.monotonic() < deadline, system.log.read_text()
        time.sleep(0.2)


def below(system: System) -> list[psutil.Process]:
    assert system.process is not None
    return psutil.Process(system.process.pid).children(recursive=True)


def alive(process: psutil.Process) -> bool:
    """Tell whether a process still does anything; what its new parent has yet to collect does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_ended(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while left := [process for process in processes if alive(process)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def refused(system: System, *options: str) -> str:
    """Start a second system with options, and return what it said when it had given up."""
    ended = subprocess.run(
        [sys.executable, "-m", "local.stack", f"--state-folder={system.home}", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=REFUSED_SECONDS,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout
    assert ended.stderr == ""
    return ended.stdout


def test_sigkill_while_a_pod_works_leaves_no_process(system: System) -> None:
    assert system.process is not None
    started = below(system)
    # Of each part its launcher and the part itself at least.
    assert len(started) > 16
    system.process.send_signal(signal.SIGKILL)
    system.process.wait()
    assert_ended(started)
    assert not left_running(system.home)


def test_the_next_run_goes_on_and_quarantine_is_a_verdict(system: System) -> None:
    system.log.write_text("")
    system.start("--batches=1")
    system.wait_for("everything stays up")
    assert "going on with " in system.log.read_text()
    (batch,) = system.summary()["batches"]
    assert (batch["batch"], batch["rows"], batch["validate"]["verdict"]) == (0, ROWS, "QUARANTINE")
    assert system.summary()["production"] is None
    assert "QUARANTINE" in system.log.read_text()


def test_a_second_run_on_the_same_source_is_refused(system: System) -> None:
    assert system.process is not None
    said = refused(system, f"--source={system.source}")
    assert f"error: another run (process {system.process.pid}) uses {system.state}; stop it first" in said


def test_a_run_on_another_source_finds_the_ports_taken_before_anything_starts(system: System, tmp_path: Path) -> None:
    ports = port_options(system.ports)
    said = refused(system, "--source=synthetic", "--scale=0.01", f"--state-folder={tmp_path}", *ports)
    for port in fields(Ports):
        assert f"port {getattr(system.ports, port.name)} for " in said
        assert f"choose another with PORT_{port.name.upper()}=" in said
    (state,) = tmp_path.iterdir()
    assert [path.name for path in state.iterdir()] == ["lock"]


def test_an_http_source_that_is_not_there_is_named(system: System, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_loopback_port()}"
    said = refused(system, f"--source={address}", f"--state-folder={tmp_path}", *port_options(free_ports()))
    assert f"error: the source at {address} (SOURCE=) does not answer: " in said


def test_every_part_listens_on_loopback_only(system: System) -> None:
    found = set()
    for process in below(system):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                found.add((connection.laddr[0], connection.laddr[1]))
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert {getattr(system.ports, port.name) for port in fields(Ports)} <= {port for _, port in found}


def test_no_secret_is_on_a_command_line_or_open_to_others(system: System) -> None:
    secrets = [path for name in ("credentials", "pods/secrets") for path in (system.state / name).rglob("*")]
    files = [path for path in secrets if path.is_file()]
    assert len(files) >= 9
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    lines = [" ".join(process.cmdline()) for process in below(system)]
    for path in (system.state / "credentials").iterdir():
        assert not [line for line in lines if path.read_text() in line]


def test_ctrl_c_leaves_no_process_and_is_no_failure(system: System) -> None:
    started = below(system)
    assert system.end(signal.SIGINT) == 0
    assert_ended(started)


def test_what_is_finished_is_not_done_again_and_exit_ends_it(system: System) -> None:
    before = system.summary()
    system.log.write_text("")
    system.start("--batches=1", "--exit=1")
    assert system.process is not None
    assert system.process.wait(PATIENCE_SECONDS) == 0, system.log.read_text()[-4000:]
    assert "fetch" not in system.log.read_text()
    assert system.summary() == before


def test_who_started_it_may_be_killed_instead(tmp_path: Path) -> None:
    system = System.of(tmp_path, write_nonsense(tmp_path / "source"))
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
    started = psutil.Process(maker.pid).children(recursive=True)
    assert len(started) > 6
    maker.kill()
    maker.wait()
    assert_ended(started)
