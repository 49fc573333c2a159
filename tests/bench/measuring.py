"""Runs what is measured as a process of its own, and says beside a figure whether it reaches its goal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers import ROOT

_LAUNCH: Final = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Ended:
    """A process that has ended: what it printed, its seconds with its start, its peak memory, its processor time."""

    exit_code: int
    printed: str
    seconds: float
    peak_mb: float
    processor_seconds: float


def program(image: str) -> str:
    """Return the Python of an image's environment."""
    return str(ROOT / ".envs" / image / "bin" / "python")


def measured(command: Sequence[str], settings: Mapping[str, str], right: Container[int] = (0,)) -> Ended:
    """Run a process with these variables alone; raises RuntimeError with its output for an exit code not right."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(_LAUNCH), *command],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **settings},
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    printed, _, last = ended.stdout.rstrip("\n").rpartition("\n")
    process = Ended(printed=printed.removesuffix("\n"), **json.loads(last))
    if process.exit_code not in right:
        raise RuntimeError(f"{' '.join(command)} ended with {process.exit_code}:\n{printed}")
    return process


def goal(words: str, *, met: bool) -> str:
    """Return what a figure is to reach, and whether it does."""
    return f"goal {words}: {'met' if met else 'not met'}"
