"""Runs a command and prints, as one last line of JSON, how it ended and what it used: `launch.py COMMAND …`.

Linux counts what a process's parent held when it was started as the process's own peak. A benchmark holds much; this
holds next to nothing, and so stands between the two. It needs no environment and imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(command: list[str]) -> None:
    """Run the command to its end; its output is this one's."""
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    figures = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - began,
        "peak_mb": used.ru_maxrss / 1000,
        "processor_seconds": used.ru_utime + used.ru_stime,
    }
    sys.stdout.write(f"\n{json.dumps(figures)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
