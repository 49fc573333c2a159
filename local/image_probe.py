"""Look at an image from inside, with its Python alone: what it lacks, how large it is, whether it can be written to.

Its arguments are the root of what is measured and the modules to import. They are imported, and then every import
inside a function of any of our modules that this loaded: what a step first needs in its middle it would miss there.
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
    """Import modules, and all that those of them below a folder import anywhere; return how many of ours there were."""
    waiting, ours = list(names), set[Path]()
    while waiting:
        importlib.import_module(waiting.pop())
        for module in list(sys.modules.values()):
            # Not getattr: MLflow has modules that import a framework as soon as anybody asks them for an attribute.
            path = Path(vars(module).get("__file__") or "")
            if path.is_relative_to(code) and path not in ours:
                ours.add(path)
                waiting += imported(path.read_text())
    return len(ours)


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
        "ours": import_all(modules, Path.cwd()),
        "site_packages": size(Path(sysconfig.get_path("purelib")), bytecode=False),
        "whole": size(Path(top), bytecode=True),
        "writable": writable(top),
        "user": f"{os.getuid()}:{os.getgid()}",
    }
    sys.stdout.write(f"\n{json.dumps(report)}\n")
