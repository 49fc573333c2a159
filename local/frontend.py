"""The page on one machine: Streamlit as its image runs it, in an environment of its own, asking the API alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from local.processes import Command, Processes, serves


@dataclass(frozen=True)
class Frontend:
    """The page: a folder it may call its home, where it listens, its programs, its code, the API it asks."""

    folder: Path
    port: int
    programs: Path
    code: Path
    api_url: str

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, processes: Processes) -> None:
        """Start it; it is there when `answers` says so, with or without an API."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            # Streamlit reads and writes below it: the owner's own settings have no say here.
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.code),
            "APPRAISER_API_URL": self.api_url,
            "APPRAISER_HOST": "127.0.0.1",
            "APPRAISER_PORT": str(self.port),
        }
        command = [str(self.programs / "python"), "-m", "frontend"]
        processes.start(Command("page", command, environment, self.code, stop_order=1))

    def answers(self) -> bool:
        """Tell whether it shows something."""
        return serves(f"{self.url}/_stcore/health")
