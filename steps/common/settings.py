"""Where things are and how a deployment differs: every setting of every step, read once from the environment.

A setting `raw_url` is the variable `APPRAISER_RAW_URL`. A variable with that prefix that is not named here is refused:
a misspelt setting would otherwise be a default nobody chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

PREFIX: Final = "APPRAISER_"


class SettingRefused(Exception):
    """A setting is missing, unknown or malformed; the step has done nothing."""


class Settings(BaseModel):
    """Every setting a step may read; secrets have no default and are None where a step was not given them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    raw_url: str | None = Field(default=None, description="RAW: batches and rows as received")
    clean_url: str | None = Field(default=None, description="CLEAN: parsed listings and refusals")
    ledger_url: str | None = Field(default=None, description="ledger: what happened and why")
    optuna_url: str | None = Field(default=None, description="Optuna's studies")
    mlflow_url: str | None = Field(default=None, description="MLflow's tracking server")
    source_url: str | None = Field(default=None, description="the data API")
    source_group: int = Field(default=1, ge=0, description="group number the data API is asked with")
    source_day: str | None = Field(default=None, description="day the data API is asked with")
    source_id: str | None = Field(default=None, description="identity of the source; a ledger belongs to one")
    upgrade_seconds: float = Field(default=300, ge=0, description="longest wait for tables this image was built for")
    answer_seconds: float = Field(default=600, gt=0, description="deadline for one whole answer of the source")
    answer_megabytes: int = Field(default=200, gt=0, description="largest answer of the source, unpacked, kept in /tmp")
    answer_growth: float = Field(default=10, gt=1, description="largest answer, in times the rows of the largest batch")
    allow_restart: bool = Field(default=True, description="whether fetch may restart the source's counter to replay")
    trials: int = Field(default=20, ge=2, le=500, description="trials of a sweep in all, over restarts")
    threads: int = Field(default=1, ge=1, le=64, description="threads a fit may use; recorded with the model")
    validate_policy: Json[dict[str, Any]] = Field(default={}, description="thresholds of validate that differ")
    promote_policy: Json[dict[str, Any]] = Field(default={}, description="the gate's thresholds that differ")
    git_sha: str = Field(default="unknown", description="revision this image was built from")
    image_digest: str = Field(default="unknown", description="digest of this step's image")
    built_at: str = Field(default="unknown", description="time this image was built")

    def needed(self, name: str) -> str:
        """Return a setting's value, or raise SettingRefused naming its variable where it was not given."""
        value = getattr(self, name)
        if value is None:
            about = type(self).model_fields[name].description
            raise SettingRefused(f"{PREFIX}{name.upper()} is not set; this step needs it ({about})")
        return str(value)


def read[S: Settings](environment: Mapping[str, str], kind: type[S] = Settings) -> S:  # type: ignore[assignment]  # S
    """Return the settings an environment holds; raise SettingRefused naming each variable that is wrong."""
    given = {
        key.removeprefix(PREFIX).lower(): value
        for key, value in environment.items()
        if key.startswith(PREFIX) and value
    }
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        faults = "; ".join(f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise SettingRefused(faults) from None
