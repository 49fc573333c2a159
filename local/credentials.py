"""Passwords and keys of one stack: made once, kept in files that only their owner can read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path


class Credentials:
    """The secrets of one state folder, one file each; what is asked for and not there is made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def path(self, name: str) -> Path:
        """Return the file that holds a secret, making it with 256 random bits where it is missing."""
        path = self._folder / name
        if not path.exists():
            write_secret(path, secrets.token_urlsafe(32))
        return path

    def read(self, name: str) -> str:
        """Return a secret."""
        return self.path(name).read_text()


def write_keys(folder: Path, values: Mapping[str, str]) -> None:
    """Make a folder hold these values, a file each, and nothing else: what a ConfigMap or Secret is on one machine."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in values:
            old.unlink()
    for name, value in values.items():
        write_secret(folder / name, value)


def write_secret(path: Path, value: str) -> None:
    """Write a file only its owner can read, whole or not at all (a start may be killed half-way)."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value)
        file.flush()
        os.fsync(descriptor)
    draft.rename(path)
