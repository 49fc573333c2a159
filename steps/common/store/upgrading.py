"""Waits, before a step begins, until its databases have the tables that its image was built for.

A step's new image comes by git-sync within half a minute, the upgrade by Argo CD some minutes later. On the tables of
before a step failed, its retries were over within a minute, and after three such runs the batch was ABANDONED.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine

from steps.common.logs import log
from steps.common.tables.revisions import is_newer, known, stored

_PAUSE_SECONDS: Final = 1.0


class UpgradeMissing(Exception):
    """A database's tables are older than this image and stayed so; nothing was done, trying again later is right."""


def wait_for_upgrades(databases: Mapping[str, Engine], seconds: float) -> None:
    """Return once each database, by name, has the newest revision known here, or a newer one.

    Raises UpgradeMissing after so many seconds for all of them together; Unreachable as every engine does.
    """
    deadline = time.monotonic() + seconds
    for database, engine in databases.items():
        _wait(engine, database, seconds, deadline)


def _wait(engine: Engine, database: str, seconds: float, deadline: float) -> None:
    wanted, told = known(database)[-1], False
    while (there := stored(engine)) != wanted and not is_newer(there, database):
        if time.monotonic() > deadline:
            raise UpgradeMissing(
                f"{database} has the tables of revision {there or 'none'}, this step needs {wanted}; "
                f"it waited {seconds:.0f} s for the upgrade"
            )
        if not told:
            log().warning("waiting_for_upgrade", database=database, wanted=wanted, there=there, seconds=seconds)
            told = True
        time.sleep(_PAUSE_SECONDS)
