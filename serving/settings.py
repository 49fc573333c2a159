"""What the service is told from outside: addresses, limits, secrets; read once, refused where it is wrong.

Beside the settings of `steps/common/settings.py` every setting may come from a file: `APPRAISER_TOKEN_FILE` names one
that holds the value of `APPRAISER_TOKEN`, as secrets are mounted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field, Json, SecretStr

from steps.common import settings
from steps.common.settings import PREFIX, SettingRefused

_FILE: Final = "_FILE"
_TOKEN_CHARACTERS: Final = 16
# What people leave where a token should be.
_PLACEHOLDERS: Final = ("change", "default", "example", "password", "placeholder", "secret", "token")


class Settings(settings.Settings):
    """Every setting of the service."""

    local: bool = Field(default=False, description="one machine for its owner: a weak or empty token is no error")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65535, description="port to listen on")
    state_folder: Path | None = Field(default=None, description="spool of predictions and copies of models, a volume")
    token: SecretStr | None = Field(default=None, description="what /reload-model wants; without one it refuses")
    api_key: SecretStr | None = Field(default=None, description="what the price routes want; off by default")
    cors_origins: Json[list[str]] = Field(default=[], description="origins whose pages may call, a JSON list")
    poll_seconds: float = Field(default=10, gt=0, le=3600, description="time between two looks at the alias")
    ship_seconds: float = Field(default=1, gt=0, le=3600, description="time between two shipments of predictions")
    spool_megabytes: int = Field(default=1024, ge=1, description="largest spool, for when PostgreSQL is away long")
    batch_rows: int = Field(default=10_000, ge=1, le=10_000, description="most listings of one batch")
    body_megabytes: int = Field(default=8, ge=1, le=64, description="largest body of a batch; a listing has 64 KiB")
    request_seconds: float = Field(default=30, gt=0, le=600, description="longest time for one request")


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings an environment and its files hold; raise SettingRefused in a sentence."""
    found = settings.read({**environment, **_from_files(environment)}, Settings)
    _refuse_weak_tokens(found, environment)
    return found


def _from_files(environment: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, path in environment.items():
        if not (name.startswith(PREFIX) and name.endswith(_FILE) and path):
            continue
        try:
            values[name.removesuffix(_FILE)] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise SettingRefused(f"{name}: {path} cannot be read: {type(error).__name__}") from None
        # Not a setting of its own: it has done its work.
        values[name] = ""
    return values


def _refuse_weak_tokens(found: Settings, environment: Mapping[str, str]) -> None:
    if found.local:
        return
    for name in ("token", "api_key"):
        variable = f"{PREFIX}{name.upper()}"
        secret: SecretStr | None = getattr(found, name)
        if secret is None:
            if variable in environment or f"{variable}{_FILE}" in environment:
                raise SettingRefused(f"{variable} is empty; give it a value, or leave it out to have none")
            continue
        value = secret.get_secret_value()
        if len(value) < _TOKEN_CHARACTERS or any(word in value.lower() for word in _PLACEHOLDERS):
            raise SettingRefused(
                f"{variable} is too short or a placeholder; it takes {_TOKEN_CHARACTERS} characters that nobody guesses"
            )
