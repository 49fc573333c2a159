"""Puts a trained model into MLflow: a logged model with its files, then exactly one registered version of a run.

The version carries the manifest of its files as a tag, so that a process killed between registering it and writing it
down can be followed by one that adopts it without believing the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from steps.common import bundle
from steps.common.logs import committed, log
from steps.common.registry import MODEL
from steps.common.store.models import ModelFile
from steps.common.tracking import Tracking, experiment

RUN_TAG: Final = "appraiser.run_key"
_MANIFEST_TAG: Final = "appraiser.manifest"
_UPLOAD_FAILED: Final = "FAILED"


@dataclass(frozen=True)
class Registered:
    """A version in the registry: its number, where its directory is, and the files that make it."""

    version: int
    mlflow_run_id: str
    artifact_uri: str
    files: tuple[ModelFile, ...]


def find(tracking: Tracking, key: str) -> Registered | None:
    """Return the version that was registered for a run, by its key; the first should there be more."""
    found = tracking.search_model_versions(f"name = '{MODEL}' and tags.`{RUN_TAG}` = '{key}'")
    if not found:
        return None
    first = min(found, key=lambda one: int(one.version))
    files = tuple(ModelFile(*one) for one in json.loads(first.tags[_MANIFEST_TAG]))
    return Registered(int(first.version), str(first.run_id), _address(tracking, first), files)


def exists(tracking: Tracking, version: int) -> bool:
    """Tell whether the registry has a version."""
    from mlflow.exceptions import MlflowException

    try:
        tracking.get_model_version(MODEL, str(version))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def register(
    tracking: Tracking, run: str, key: str, write: Callable[[Path, Any], None], folder: Path, tags: Mapping[str, str]
) -> Registered:
    """Log the model that `write(directory, model)` makes, and register it for a run unless that has happened."""
    from mlflow.exceptions import MlflowException

    logged = _log(tracking, run, write, folder)
    files = [ModelFile(name, sha, size) for name, (sha, size) in bundle.manifest(folder / "model").items()]
    try:
        tracking.create_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    manifest = json.dumps([[file.path, file.sha256, file.bytes] for file in files])
    made = tracking.create_model_version(
        MODEL, f"models:/{logged}", run, {**tags, RUN_TAG: key, _MANIFEST_TAG: manifest}, model_id=logged
    )
    committed("registered")
    first = find(tracking, key)
    if first is None or first.version == int(made.version):
        return Registered(int(made.version), run, _address(tracking, made), tuple(files))
    # A lock was lost and two trained at once: the first one stays, as whoever comes later finds it.
    log().warning("second_version_removed", version=made.version, kept=first.version)
    tracking.delete_model_version(MODEL, made.version)
    return first


def _log(tracking: Tracking, run: str, write: Callable[[Path, Any], None], folder: Path) -> str:
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    _end_unfinished(tracking, run)
    logged = tracking.create_logged_model(experiment(tracking), MODEL, run)
    model = Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
    )
    write(folder / "model", model)
    tracking.log_model_artifacts(logged.model_id, str(folder / "model"))
    tracking.log_outputs(run, [LoggedModelOutput(logged.model_id, 0)])
    tracking.finalize_logged_model(logged.model_id, "READY")
    committed("logged")
    return str(logged.model_id)


def _end_unfinished(tracking: Tracking, run: str) -> None:
    """Mark what a killed process began to log as failed, so that nobody takes it for a model."""
    for model in tracking.search_logged_models([experiment(tracking)], f"source_run_id = '{run}'"):
        if model.status.name == "PENDING":
            tracking.finalize_logged_model(model.model_id, _UPLOAD_FAILED)


def _address(tracking: Tracking, version: Any) -> str:
    return str(tracking.get_model_version_download_uri(MODEL, str(version.version)))
