"""Speeds of the pipeline beside their peers, each pair in one run: `python -m tests.bench [NAME …]`.

A benchmark is a module of this folder with a function `run(size)` that yields the lines of its report; it starts what
it needs and leaves nothing behind. To add one, name its module here.

BENCH_SOURCE=<folder of batch_<n>.parquet>, or --source, makes validate, clean and sweep use those batches instead of
synthetic ones; they too come through the real source server. --rows makes a run small, to try a benchmark out: rows
of an answer for fetch, of the judged batch for validate, of all batches for clean, of batches 0 to 4 for sweep;
orchestration, serving and page have one size.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Final

from tests.bench.batches import Size

BENCHMARKS: Final = ("fetch", "validate", "clean", "sweep", "orchestration", "serving", "page")


def main() -> int:
    """Run the named benchmarks, all of them by default."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--source", metavar="FOLDER", default=os.environ.get("BENCH_SOURCE") or None)
    parser.add_argument("--rows", type=_count, metavar="N", help="synthetic rows; the full size by default")
    options = parser.parse_args()
    names = options.names or BENCHMARKS
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    if options.source and not Path(options.source).is_dir():
        parser.error(f"BENCH_SOURCE: {options.source} is not a folder")
    if options.source and options.rows:
        parser.error("--rows is the number of synthetic rows; the batches of a folder have their own")
    size = Size(options.source and str(Path(options.source).resolve()), options.rows)
    for name in names:
        began = time.monotonic()
        sys.stdout.write(f"\n== {name} · {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        if size.rows:
            sys.stdout.write(f"-- a trial with {size.rows:,} rows: the goals are for the full size\n")
        for line in importlib.import_module(f"tests.bench.{name}").run(size):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write(f"-- {name}: {time.monotonic() - began:,.0f} s\n")
    return 0


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
