"""The API on one machine: the service as its image runs it, in an environment of its own, with a token made for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.processes import Command, Processes, serves


@dataclass(frozen=True)
class Serving:
    """The API: its state folder, where it listens, its programs, its code, its settings without their prefix."""

    folder: Path
    port: int
    programs: Path
    code: Path
    settings: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, processes: Processes) -> None:
        """Start it; it serves when `answers` says so, with or without a model."""
        processes.start(Command(
            "api", [str(self.programs / "python"), "-m", "serving"], self._environment(), self.code, stop_order=1,
        ))  # fmt: skip

    def answers(self) -> bool:
        """Tell whether it is ready."""
        return serves(f"{self.url}/ready")

    def _environment(self) -> Mapping[str, str]:
        settings = {
            **self.settings, "local": "true", "host": "127.0.0.1", "port": str(self.port),
            "state_folder": str(self.folder),
        }  # fmt: skip
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.code),
            **{f"APPRAISER_{name.upper()}": value for name, value in settings.items()},
        }
