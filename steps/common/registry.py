"""Which model version is served, and how that is changed: the alias `Production` of `house-price` in MLflow.

The alias is the authority for what is served, the ledger for why. A version's files are believed only when each of
them has the sha256 that training wrote into the ledger.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from steps.common.artifacts import Artifact, FileBroken, download
from steps.common.step import Refused
from steps.common.store import models
from steps.common.tracking import Tracking

MODEL: Final = "house-price"
PRODUCTION: Final = "Production"
PREVIOUS: Final = "previous"
DOWNLOAD_SECONDS: Final = 120.0


class ChampionLost(Refused):
    """The ledger knows that a version was in production, but no alias leads to one any more."""


def aliased(tracking: Tracking, alias: str) -> int | None:
    """Return the version an alias of the model names; None when the alias, or the model, is not there."""
    from mlflow.exceptions import MlflowException

    try:
        return int(tracking.get_model_version_by_alias(MODEL, alias).version)
    except MlflowException as error:
        # The first code is for a model nobody registered yet, the second for an alias nobody set.
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def champion(tracking: Tracking) -> int | None:
    """Return the version in production, as the alias has it; None when the alias names none."""
    return aliased(tracking, PRODUCTION)


def previous(tracking: Tracking) -> int | None:
    """Return the version that was in production before, as its alias has it; None when there is none."""
    return aliased(tracking, PREVIOUS)


def incumbent(tracking: Tracking, ledger: Engine) -> int | None:
    """Return the version a candidate has to beat: the champion, or `previous` where the alias was lost.

    None only when the ledger has never seen the alias set. Deleting a version drops its aliases without a word;
    raises ChampionLost when that leaves nothing to compare with.
    """
    found = champion(tracking)
    if found is not None:
        return found
    with ledger.connect() as connection:
        known = models.newest_setting(connection)
    if known is None:
        return None
    found = previous(tracking)
    if found is None:
        raise ChampionLost(
            f"the alias {PRODUCTION} is gone (it named version {known.candidate}) and so is {PREVIOUS}: set the alias "
            f"by hand to a version of {MODEL} that is to serve"
        )
    return found


def fetch_version(
    tracking: Tracking, ledger: Engine, version: int, folder: Path, seconds: float = DOWNLOAD_SECONDS
) -> Path:
    """Return the folder `<folder>/<version>` with every file of a version's model directory, each checked.

    Files that are there and right stay. Raises FileBroken when the ledger knows no files of the version, or one is
    missing or differs by a byte; Unreachable when they do not arrive within `seconds`.
    """
    deadline = time.monotonic() + seconds
    with ledger.connect() as connection:
        known = models.model_version(connection, version)
        files = models.model_files(connection, version)
    if known is None or not files:
        raise FileBroken(f"the ledger has no files of version {version} of {MODEL}, so nothing of it can be checked")
    target = folder / str(version)
    for file in files:
        if Path(file.path).is_absolute() or ".." in Path(file.path).parts:
            raise FileBroken(f"version {version}: {file.path} is no path below a model's directory")
        artifact = Artifact(f"{known.artifact_uri.rstrip('/')}/{file.path}", file.sha256, file.bytes)
        download(tracking.address, artifact, target / file.path, deadline)
    return target
