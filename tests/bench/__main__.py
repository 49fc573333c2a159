"""Speeds of the pipeline beside their peers, each pair in one run: `python -m tests.bench [NAME …]`.

A benchmark is a module of this folder with a function `run()` that yields the lines of its report; it starts what it
needs and leaves nothing behind. To add one, name its module here.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from typing import Final

BENCHMARKS: Final = ("fetch", "serving")


def main() -> int:
    """Run the named benchmarks, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    names = parser.parse_args().names or BENCHMARKS
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    for name in names:
        began = time.monotonic()
        sys.stdout.write(f"\n== {name} · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        for line in importlib.import_module(f"tests.bench.{name}").run():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write(f"-- {name}: {time.monotonic() - began:,.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
