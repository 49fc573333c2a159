"""Look at an image from inside, with its Python alone: what it lacks, how large it is, whether it can be written to.

Its arguments are the root of what is measured and the modules to import. Of those that are ours every import inside a
function is done too: what a step first needs in its middle it would miss there. Not so in the modules they share with
other images, where a function may be for those alone.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path


def import_all(names: list[str], code: Path) -> int:
    """Import modules, and what those of them below a folder import anywhere; return how many modules were loaded."""
    for name in names:
        path = Path(importlib.import_module(name).__file__ or "")
        if path.is_relative_to(code):
            for late in imported(path.read_text()):
                importlib.import_module(late)
    return len(sys.modules)


def imported(source: str) -> Iterator[str]:
    """Yield the modules a source imports, at its top or anywhere else."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def size(folder: Path, *, bytecode: bool) -> int:
    """Return the bytes of the files below a folder, on its own device; each file once, whatever its names."""
    found = {}
    for file in files(folder):
        if bytecode or file.suffix != ".pyc":
            status = file.lstat()
            found[status.st_ino] = status.st_size
    return sum(found.values())


def files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without those on other devices: /proc, /dev and what is mounted."""
    device = folder.stat().st_dev
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if (Path(root) / name).lstat().st_dev == device]
        yield from (path for name in names if (path := Path(root) / name).lstat().st_dev == device)


def writable(*folders: str) -> bool:
    """Tell whether a file can be made in any of these folders, or where Python looks for code."""
    for folder in (*folders, ".", *filter(os.path.isdir, sys.path)):
        try:
            with tempfile.TemporaryFile(dir=folder):
                return True
        except OSError:
            continue
    return False


if __name__ == "__main__":
    _, top, *modules = sys.argv
    report = {
        "modules": import_all(modules, Path.cwd()),
        "site_packages": size(Path(sysconfig.get_path("purelib")), bytecode=False),
        "whole": size(Path(top), bytecode=True),
        "writable": writable(top),
        "user": f"{os.getuid()}:{os.getgid()}",
    }
    sys.stdout.write(f"\n{json.dumps(report)}\n")
