"""What the page is told from outside: where the API is and where to listen; read once, refused where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, ValidationError
from pydantic.functional_validators import AfterValidator

PREFIX: Final = "APPRAISER_"
_ADDRESS: Final = TypeAdapter(HttpUrl)


class SettingRefused(Exception):
    """A variable is unknown, missing or wrong; the sentence names it."""


def _address(text: str) -> str:
    return str(_ADDRESS.validate_python(text)).rstrip("/")


class Settings(BaseModel):
    """Every setting of the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: Annotated[str, AfterValidator(_address)] = Field(description="the API the page asks, its only source")
    api_key: SecretStr | None = Field(default=None, description="what the API's price routes want, if they want one")
    api_seconds: float = Field(default=10, gt=0, le=60, description="longest wait for an answer; three times for rows")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8501, ge=1, le=65535, description="port to listen on")
    git_sha: str = Field(default="unknown", description="revision this image was built from")
    image_digest: str = Field(default="unknown", description="digest of this image")
    built_at: str = Field(default="unknown", description="time this image was built")


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings an environment holds; raise SettingRefused naming each variable that is wrong."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        faults = (f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
        raise SettingRefused("; ".join(faults)) from None
