"""What `make run` was asked for: its variables, checked before anything starts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from local.source_batches import SYNTHETIC, SourceUnusable, source_id
from steps.common.settings import PREFIX, SettingRefused, read

REPOSITORY: Final = Path(__file__).parent.parent
_PORT_LIMIT: Final = 65536
# What a pod may use at most; more threads than that would only take turns.
_POD_CORES: Final = 2
_YES: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
# Settings of the steps that whoever starts the stack may set; everything else of theirs is the stack's to say.
STEP_SETTINGS: Final = (
    "ALLOW_RESTART", "ANSWER_MEGABYTES", "ANSWER_SECONDS", "PROMOTE_POLICY", "THREADS", "VALIDATE_POLICY",
)  # fmt: skip


@dataclass(frozen=True)
class Ports:
    """Where each part listens, on 127.0.0.1 only; `PORT_AIRFLOW=…` and so on choose another.

    Not AIRFLOW_PORT: Kubernetes sets such variables, to addresses, for every service beside the pod one works in.
    """

    airflow: int = 18080
    mlflow: int = 15000
    source: int = 18000
    postgres: int = 15432
    pods: int = 16443
    api: int = 18081
    page: int = 18501


@dataclass(frozen=True)
class Settings:
    """A checked request: which source, how far, where."""

    source: str
    scale: float
    group: int
    day: str | None
    batches: int | None
    trials: int
    exit_at_end: bool
    end_with_parent: bool
    ports: Ports
    home: Path
    source_id: str
    step_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def remote(self) -> bool:
        """Tell whether the source is somebody else's server."""
        return _is_address(self.source)

    @property
    def state(self) -> Path:
        """The folder with everything that is to survive; another source has another one."""
        return self.home / self.source_id


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read options, and the variables of the same names where one is missing; exit with 2 where one is wrong."""
    parser = _parser(environment)
    options = parser.parse_args(arguments)
    if options.scale is not None and options.source != SYNTHETIC:
        parser.error("SCALE is the number of synthetic rows; this source has its own")
    scale = 1.0 if options.scale is None else options.scale
    if _is_address(options.source) and not urlsplit(options.source).hostname:
        parser.error(f"SOURCE: {options.source} names no host")
    if not _is_address(options.source) and options.source != SYNTHETIC:
        options.source = str(Path(options.source).expanduser().resolve())
    try:
        identity = source_id(options.source, scale=scale, group=options.group)
    except SourceUnusable as error:
        parser.error(f"SOURCE: {error}")
    return Settings(
        options.source.rstrip("/"), scale, options.group, options.day,
        options.batches, options.trials, options.exit, options.end_with_parent,
        Ports(**{port.name: getattr(options, f"port_{port.name}") for port in fields(Ports)}),
        options.state_folder.resolve(), identity, _step_settings(environment),
    )  # fmt: skip


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.stack",
        description="Start everything and take every batch of the source through. Each option is also a variable of "
        "`make run`: --batches 2 is BATCHES=2.",
    )

    def add(name: str, default: object, **how: object) -> None:
        # An empty variable is one that is not set: `make run SOURCE=` is the default.
        given = environment.get(name.replace("-", "_").upper()) or default
        parser.add_argument(f"--{name}", default=given, **how)  # type: ignore[arg-type]  # argparse's own keywords

    add("source", SYNTHETIC, help="synthetic, a folder of batch_<n>.parquet or .csv, the public CSV, or http://…")
    add("scale", None, type=_positive, help="how many synthetic rows; 1 is the usual number")
    add("group", "1", type=_count, help="group number an http source is asked with")
    add("day", None, help="day an http source is asked with")
    add("batches", None, type=_count, help="stop after so many batches")
    add("trials", "20", type=_trials, help="trials of each sweep")
    add("exit", "0", type=_flag, help="1: stop everything after the last batch")
    add("state-folder", str(REPOSITORY / ".local"), type=Path, help="folder for all state")
    parser.add_argument("--end-with-parent", action="store_true", help="stop when whoever started this is killed")
    for port in fields(Ports):
        add(f"port-{port.name}", str(port.default), type=_port, help=f"port of {port.name} on 127.0.0.1")
    return parser


def _step_settings(environment: Mapping[str, str]) -> dict[str, str]:
    # Half the cores: threads of a fit wait for each other at every node of a tree, and where one of them shares its
    # core with Airflow, both wait. On two busy cores a trial took minutes with two threads, a second with one.
    cores = str(max(1, min(_POD_CORES, (os.cpu_count() or 1) // 2)))
    names = {f"APPRAISER_{name}" for name in STEP_SETTINGS}
    return {"APPRAISER_THREADS": cores} | {name: environment[name] for name in names if environment.get(name)}


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _trials(text: str) -> int:
    # By the steps' own bounds, which the DAG has too: Airflow refuses a run only once everything has been started.
    try:
        return read({f"{PREFIX}TRIALS": text}).trials
    except SettingRefused as error:
        raise argparse.ArgumentTypeError(str(error).replace(f"{PREFIX}TRIALS", text)) from error


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < _PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return value


def _flag(text: str) -> bool:
    if text.lower() not in _YES:
        raise argparse.ArgumentTypeError(f"{text} is neither 1 nor 0")
    return _YES[text.lower()]
