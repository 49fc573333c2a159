"""The infra check: a version loaded in a process of its own, as serving loads it; right answers, time and memory.

    python -m steps.evaluate.infrastructure FOLDER

prints one line of JSON. A process of its own, since this one's memory is full of test rows, and so that a bundle that
hangs or eats all memory fails the check and not the step.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from steps.common import bundle
from steps.common.bundle import BundleBroken
from steps.common.evidence import Infrastructure
from steps.common.settings import PREFIX

_ROWS: Final = 1000
_TIMES: Final = 9
_DEADLINE_SECONDS: Final = 120


def check(folder: Path) -> Infrastructure:
    """Return how a version in a folder answers its golden rows, and what it costs, from a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    command = [sys.executable, "-m", "steps.evaluate.infrastructure", str(folder)]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=_DEADLINE_SECONDS
        )
        return Infrastructure.model_validate_json(ended.stdout.strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired:
        return _failed(f"It was not loaded and asked within {_DEADLINE_SECONDS} s.")
    except ValidationError:
        last = ended.stderr.strip().rpartition("\n")[2]
        return _failed(f"The process that loaded it ended with {ended.returncode}: {last[:200]}")


def _failed(note: str) -> Infrastructure:
    return Infrastructure(golden_rows=1, golden_equal=False, milliseconds_per_1000_rows=0, megabytes=0, note=note)


def measure(folder: Path) -> dict[str, Any]:
    """Load a version here and return what the check wants to know; memory in MB, time in ms for 1,000 rows."""
    found = bundle.load(folder)
    try:
        found.check_golden()
        note = None
    except BundleBroken as error:
        note = str(error)
    listings = [golden.listing for golden in found.golden]
    listings = (listings * (_ROWS // max(1, len(listings)) + 1))[:_ROWS]
    least = float("inf")
    # The least processor time of several: what else the machine does can only make it longer.
    for _ in range(_TIMES):
        began = time.thread_time_ns()
        found.prices(listings)
        least = min(least, time.thread_time_ns() - began)
    return {
        "golden_rows": max(1, len(found.golden)),
        "golden_equal": note is None,
        "milliseconds_per_1000_rows": least / 1e6,
        "megabytes": peak_megabytes(),
        "note": note,
    }


def peak_megabytes() -> float:
    """Return the most memory this process has held, in MB.

    Not `ru_maxrss` where the kernel says better: that one outlives exec, so a small process that a large one started
    was charged with the large one's memory, and a first model was refused for 785 MB it never took.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))) + "\n")
