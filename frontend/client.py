"""The API as the page sees it: every call has time-outs, every failure is a value that has a sentence.

What is read (never what is typed) is kept for a few seconds, failures too: a page with five parts asks an API that
hangs once, not five times. Nothing kept belongs to one person.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import streamlit as st

from frontend import settings
from frontend.settings import Settings

Json = dict[str, Any]

KEPT_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 2.0
_PROBLEM: Final = "urn:appraiser:problem:"
_MOST_KEPT: Final = 200
# Enough for every zip code and city there is.
_KNOWN_VALUES: Final = 100_000
PAGE: Final = 100


@dataclass(frozen=True)
class Fault:
    """A field and the rule its value breaks, in the API's words; `reason` is its name for rules of that kind."""

    field: str
    rule: str
    reason: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Return a fault as the API has it."""
        return cls(str(found["field"]), str(found["rule"]), str(found.get("reason", "")))


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer: `kind` has a sentence in the texts, `detail` is the API's own, if it gave one."""

    kind: str
    detail: str = ""
    faults: tuple[Fault, ...] = ()
    request_id: str = ""


class Api:
    """Every question the page asks. Answers are the API's JSON, or a Trouble; nothing raises."""

    def __init__(self, given: Settings) -> None:
        self.url = given.api_url
        self._seconds = given.api_seconds
        key = {"X-API-Key": given.api_key.get_secret_value()} if given.api_key else {}
        self._http = httpx.Client(base_url=given.api_url, headers=key, timeout=self._patience(1))

    @property
    def host(self) -> str:
        """Return where the API is, for people."""
        return urlsplit(self.url).netloc

    def ready(self) -> Json | Trouble:
        """Return whether the API serves, and which version."""
        return self._kept("/ready")

    def manual(self) -> Json | Trouble:
        """Return the API's OpenAPI document."""
        return self._kept("/openapi.json")

    def model_info(self) -> Json | Trouble:
        """Return the model that is served, with every value it knows."""
        return self._kept("/model-info", values=_KNOWN_VALUES)

    def models(self, offset: int = 0) -> Json | Trouble:
        """Return a page of versions, newest first, and the champion wherever it stands."""
        return self._kept("/models", limit=PAGE, offset=offset)

    def model(self, version: int) -> Json | Trouble:
        """Return all there is on a version."""
        return self._kept(f"/models/{version}")

    def batches(self, offset: int = 0) -> Json | Trouble:
        """Return a page of batches, newest first."""
        return self._kept("/batches", limit=PAGE, offset=offset)

    def batch(self, number: int) -> Json | Trouble:
        """Return all there is on a batch."""
        return self._kept(f"/batches/{number}")

    def alerts(self) -> Json | Trouble:
        """Return the newest alerts."""
        return self._kept("/alerts", limit=PAGE)

    def predict(self, listing: Mapping[str, Any]) -> Json | Trouble:
        """Return the price of a listing."""
        return self.ask("POST", "/predict", json=dict(listing))

    def explain(self, listing: Mapping[str, Any]) -> Json | Trouble:
        """Return the price of a listing and what each feature contributes."""
        return self.ask("POST", "/explain", json=dict(listing))

    def predict_batch(self, listings: Sequence[Mapping[str, Any]]) -> Json | Trouble:
        """Return the prices of many listings, in their order."""
        return self.ask("POST", "/predict-batch", 3, json={"listings": list(listings)})

    def ask(self, method: str, path: str, times: float = 1, **request: Any) -> Json | Trouble:
        """Return the answer to a request; `times` is how many times the usual patience it has."""
        try:
            answer = self._http.request(method, path, timeout=self._patience(times), **request)
        except httpx.TimeoutException:
            return Trouble("slow")
        except httpx.TransportError:
            return Trouble("down")
        return read(answer)

    def _patience(self, times: float) -> httpx.Timeout:
        return httpx.Timeout(self._seconds * times, connect=min(_CONNECT_SECONDS, self._seconds))

    def _kept(self, path: str, **parameters: int) -> Json | Trouble:
        return _read(self, self.url, path, parameters)


@st.cache_data(ttl=KEPT_SECONDS, max_entries=_MOST_KEPT, show_spinner=False)
def _read(_api: Api, url: str, path: str, parameters: dict[str, int]) -> Json | Trouble:
    """Ask once in a few seconds; `url` only tells APIs apart."""
    del url
    return _api.ask("GET", path, params=parameters)


def forget() -> None:
    """Ask everything anew."""
    _read.clear()


def read(answer: httpx.Response) -> Json | Trouble:
    """Return what an answer says, a Trouble where it is a problem or not the API's."""
    try:
        found = answer.json()
    except ValueError:
        return Trouble("stranger")
    if not isinstance(found, dict):
        return Trouble("stranger")
    if answer.is_success:
        return found
    name = str(found.get("type", ""))
    if not name.startswith(_PROBLEM):
        return Trouble("stranger")
    faults = tuple(map(Fault.of, found.get("errors", ())))
    kind = name.removeprefix(_PROBLEM)
    return Trouble(kind, str(found.get("detail", "")), faults, str(found.get("request_id", "")))


@st.cache_resource(show_spinner=False)
def api() -> Api:
    """Return the one client of this process."""
    return Api(settings.read(os.environ))
