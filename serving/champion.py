"""The model that is served: whatever the alias `Production` names, once every file of it has been checked.

A look goes alias → version → the ledger's manifest → download → sha256 of every file → golden prices, and only then
swaps one reference, so that a request sees the old model or the new one. Whatever goes wrong, the old one stays. A copy
on disk, with the manifest it was checked against, serves where MLflow or the ledger are away at the start.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from steps.common import bundle, registry
from steps.common.artifacts import FileBroken
from steps.common.bundle import Bundle, BundleBroken
from steps.common.logs import log
from steps.common.store import models
from steps.common.store.connection import Unreachable
from steps.common.tracking import Tracking

_MEMORY: Final = "champion.json"
# A version that was refused is looked at again, for its file may have been repaired, but ever less often.
_LONGEST_PAUSE: Final = 300.0


class Outcome(StrEnum):
    """How a look at the alias ended."""

    UNCHANGED = "unchanged"
    SWAPPED = "swapped"
    REFUSED = "refused"  # the version's files are not what the ledger says, or make no model this code can use
    UNREACHABLE = "unreachable"  # MLflow, its store or the ledger gave no answer
    UNSTORED = "unstored"  # the state folder took no copy of the version
    NO_ALIAS = "no_alias"


@dataclass(frozen=True)
class Look:
    """What a look found: how it ended, the version the alias named, a sentence, when."""

    outcome: Outcome
    version: int | None
    reason: str
    at: dt.datetime

    @property
    def trouble(self) -> str | None:
        """Return the sentence where the alias could not be followed."""
        return None if self.outcome in (Outcome.UNCHANGED, Outcome.SWAPPED) else self.reason


@dataclass(frozen=True)
class Champion:
    """A version that is served, and where its files were found."""

    version: int
    bundle: Bundle
    loaded_at: dt.datetime
    loaded_from: Literal["registry", "disk"]
    # Sorted when it is loaded: in a request it would hold up every other one.
    known_values: Mapping[str, tuple[str, ...]]


class Champions:
    """The one reference to the champion, and everything that may change it."""

    def __init__(self, tracking: Tracking, ledger: Engine, folder: Path, poll_seconds: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.current: Champion | None = None
        self.newest: Look | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self._tracking = tracking
        self._ledger = ledger
        self._folder = folder
        self._poll_seconds = poll_seconds
        self._turn = threading.Lock()
        self._refused: Look | None = None
        self._pause = poll_seconds
        self._retry_at = 0.0
        self._unnoted: tuple[int, Mapping[str, str]] | None = None

    def start_from_disk(self) -> None:
        """Serve the copy that was served last, if it is there and whole; never raises."""
        path = self._folder / _MEMORY
        if not path.exists():
            return
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            self.current = self._load(int(known["version"]), known["files"], "disk")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BundleBroken) as error:
            log().warning("copy_on_disk_unusable", kind=type(error).__name__, reason=str(error))
        else:
            log().info("champion_from_disk", version=self.current.version)

    async def watch(self) -> None:
        """Look at the alias for ever, the first time at once."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(self._poll_seconds)

    def look(self, *, patient: bool = True) -> Look:
        """Look at the alias once, follow it where it has moved, and say how that went; never raises.

        `patient` leaves a version alone that was refused a moment ago.
        """
        with self._turn:
            try:
                found = self._look(patient=patient)
            except (Unreachable, SQLAlchemyError) as error:
                found = _look(Outcome.UNREACHABLE, None, str(error).split("\n", 1)[0])
            except OSError as error:
                found = _look(Outcome.UNSTORED, None, f"APPRAISER_STATE_FOLDER at {self._folder.parent}: {error}")
            except Exception as error:  # noqa: BLE001  # the next look must come, whatever this one met
                log().exception("look_failed", kind=type(error).__name__)
                found = _look(Outcome.REFUSED, None, f"{type(error).__name__}: {error}")
            self.outcomes[found.outcome] += 1
            self._tell(found)
            self.newest = found
        return found

    def _look(self, *, patient: bool) -> Look:
        version = registry.champion(self._tracking)
        now = self.current
        if version is None:
            return _look(Outcome.NO_ALIAS, None, _no_alias(now))
        if now and now.version == version and now.loaded_from == "registry":
            self._note()
            return _look(Outcome.UNCHANGED, version, f"version {version} is served")
        refused = self._refused
        if patient and refused and refused.version == version and time.monotonic() < self._retry_at:
            return replace(refused, at=_now())
        try:
            self.current = self._fetch(version)
        except (FileBroken, BundleBroken) as error:
            return self._refuse(version, error)
        self._refused = None
        self._note()
        before = f"after version {now.version}" if now else "the first since the start"
        return _look(Outcome.SWAPPED, version, f"version {version} is served, {before}")

    def _refuse(self, version: int, error: Exception) -> Look:
        same = self._refused and self._refused.version == version
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if same else self._poll_seconds
        self._retry_at = time.monotonic() + self._pause
        goes_on = f"version {self.current.version} goes on serving" if self.current else "there is no other to serve"
        self._refused = _look(Outcome.REFUSED, version, f"version {version} is refused, {goes_on}: {error}")
        return self._refused

    def _fetch(self, version: int) -> Champion:
        registry.fetch_version(self._tracking, self._ledger, version, self._folder)
        with self._ledger.connect() as connection:
            files = {file.path: file.sha256 for file in models.model_files(connection, version)}
        champion = self._load(version, files, "registry")
        self._unnoted = (version, files)
        return champion

    def _note(self) -> None:
        """Write down which copy a start without MLflow may serve, and only then let go of the one noted before.

        What is served is served, noted or not; where the disk is full, every look tries again.
        """
        if self._unnoted is None:
            return
        version, files = self._unnoted
        draft = self._folder / f".{_MEMORY}"
        try:
            draft.write_text(json.dumps({"version": version, "files": files}), encoding="utf-8")
            draft.replace(self._folder / _MEMORY)
        except OSError as error:
            log().warning("champion_not_noted", version=version, path=str(draft), reason=error.strerror)
            return
        self._unnoted = None
        self._forget_others(version)

    def _load(self, version: int, files: Mapping[str, str], loaded_from: Literal["registry", "disk"]) -> Champion:
        folder = self._folder / str(version)
        bundle.verify(folder, files)
        loaded = bundle.load(folder / bundle.FOLDER)
        loaded.check_golden()
        known = {field: tuple(sorted(look_up.values)) for field, look_up in loaded.encodings.known().items()}
        return Champion(version, loaded, _now(), loaded_from, known)

    def _forget_others(self, version: int) -> None:
        for path in self._folder.iterdir():
            if path.is_dir() and path.name != str(version):
                shutil.rmtree(path, ignore_errors=True)

    def _tell(self, found: Look) -> None:
        """Say what is new, once; the same again is only counted."""
        before = self.newest
        was = (before.outcome, before.reason) if before else None
        followed = before is not None and before.trouble is None
        if was == (found.outcome, found.reason) or (followed and found.outcome is Outcome.UNCHANGED):
            return
        level = log().error if found.outcome is Outcome.REFUSED else log().warning if found.trouble else log().info
        level(f"champion_{found.outcome}", version=found.version, reason=found.reason)


def _no_alias(now: Champion | None) -> str:
    if now is None:
        return f"no version of {registry.MODEL} is in production yet"
    return f"the alias {registry.PRODUCTION} is gone; version {now.version} goes on serving until it names another"


def _look(outcome: Outcome, version: int | None, reason: str) -> Look:
    return Look(outcome, version, reason, _now())


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
