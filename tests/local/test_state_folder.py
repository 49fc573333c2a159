"""Who may use a state folder, and which sentence a taken port gets."""

import os
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from local.settings import Ports
from local.state_folder import PortTaken, StateInUse, check_ports, locked
from tests.servers import ROOT, free_ports

# A stack that holds its folder; and one whose child holds the lock a little longer than the stack lives.
HOLDER = """\
import pathlib, subprocess, sys, time
from local.state_folder import locked
with locked(pathlib.Path(sys.argv[1]), print) as lock:
    if sys.argv[2] == "leaving":
        subprocess.Popen(["sleep", "2"], pass_fds=[lock])
    print("held", flush=True)
    time.sleep(1000)
"""


def hold(folder: Path, how: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), how],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert holder.stdout is not None
    holder.stdout.close()


def test_a_second_run_on_the_same_state_is_refused_with_a_sentence(tmp_path: Path) -> None:
    holder = hold(tmp_path, "staying")
    try:
        with (
            pytest.raises(StateInUse, match=rf"another run \(process {holder.pid}\) uses {tmp_path}; stop it first"),
            locked(tmp_path, print),
        ):
            pytest.fail("two runs hold one folder")
    finally:
        end(holder)


def test_what_a_killed_run_left_is_waited_for(tmp_path: Path) -> None:
    holder = hold(tmp_path, "leaving")
    end(holder)
    said: list[str] = []
    with locked(tmp_path, said.append):
        assert said == ["waiting for what the last run left to end"]


def test_a_process_number_used_again_is_not_the_old_run(tmp_path: Path) -> None:
    with locked(tmp_path, print):
        pass
    (tmp_path / "lock").write_text(f'{{"pid": {os.getpid()}, "created": 1.0}}')
    holder = subprocess.Popen(["flock", str(tmp_path / "lock"), "sleep", "1"])
    while subprocess.run(["flock", "--nonblock", str(tmp_path / "lock"), "true"], check=False).returncode == 0:
        assert holder.poll() is None
    said: list[str] = []
    with locked(tmp_path, said.append):
        assert said == ["waiting for what the last run left to end"]
    holder.wait()


def test_the_folder_lets_postgresqls_user_through_and_shows_nothing(tmp_path: Path) -> None:
    with locked(tmp_path / "state", print):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o711


def test_free_ports_are_no_matter() -> None:
    check_ports(free_ports())


@pytest.mark.parametrize("part", [field.name for field in fields(Ports)])
def test_a_taken_port_is_named_with_who_has_it_and_what_to_set(part: str) -> None:
    ports = free_ports()
    with socket.create_server(("127.0.0.1", getattr(ports, part))):
        with pytest.raises(PortTaken) as refused:
            check_ports(ports)
        sentence = str(refused.value)
        assert sentence.startswith(f"port {getattr(ports, part)} for ")
        assert f"is taken by process {os.getpid()} (" in sentence
        assert sentence.endswith(f"choose another with PORT_{part.upper()}=")
        check_ports(ports, without=frozenset({part}))


def test_a_port_taken_on_all_interfaces_is_taken() -> None:
    ports = free_ports()
    with socket.create_server(("0.0.0.0", ports.mlflow)), pytest.raises(PortTaken, match=f"port {ports.mlflow} for"):  # noqa: S104  for the length of one bind
        check_ports(ports)


def test_all_taken_ports_are_named_at_once_and_a_port_wanted_twice_too() -> None:
    ports = free_ports()
    twice = Ports(ports.airflow, ports.airflow, ports.source, ports.postgres, ports.pods)
    with socket.create_server(("127.0.0.1", ports.source)), pytest.raises(PortTaken) as refused:
        check_ports(twice)
    assert [line.split(" for ")[1].split(" is ")[0] for line in str(refused.value).splitlines()] == [
        "Airflow", "MLflow", "the source",
    ]  # fmt: skip
