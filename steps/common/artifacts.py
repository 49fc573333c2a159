"""Fetches files from MLflow's artifact store by a deadline, and believes none of them before its sha256 is right.

Done with plain requests, not with MLflow's downloads: those know no deadline for a whole file, no size it may have,
and unpack what they find.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

import requests
import urllib3

from steps.common.step import Refused
from steps.common.store.connection import Unreachable
from steps.common.tracking import REQUEST_SECONDS, SETTING

_SCHEME: Final = "mlflow-artifacts:/"
_API: Final = "api/2.0/mlflow-artifacts/artifacts"
_CHUNK: Final = 1 << 16


class FileBroken(Refused):
    """A stored file is missing or is not what the ledger says it was; it is not used."""


@dataclass(frozen=True)
class Artifact:
    """A file in the artifact store: where (`mlflow-artifacts:/…`), and what it must be."""

    uri: str
    sha256: str
    bytes: int


def intact(path: Path, artifact: Artifact) -> bool:
    """Tell whether a file here is the one meant."""
    if not path.is_file() or path.stat().st_size != artifact.bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == artifact.sha256


def download(address: str, artifact: Artifact, target: Path, deadline: float) -> None:
    """Fetch an artifact to `target` unless it is there already; `deadline` is a time of `time.monotonic()`.

    Raises FileBroken when the store has no such file or another one, Unreachable when it does not answer in time.
    """
    if intact(target, artifact):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    digest, size = hashlib.sha256(), 0
    with partial.open("wb") as stream:
        for block in _blocks(address, artifact, deadline):
            digest.update(block)
            size += len(block)
            stream.write(block)
            if size > artifact.bytes:
                break
    if (digest.hexdigest(), size) != (artifact.sha256, artifact.bytes):
        partial.unlink()
        raise FileBroken(f"{artifact.uri} is not the file the ledger knows (sha256 or size differs); it is not used")
    partial.replace(target)


def _blocks(address: str, artifact: Artifact, deadline: float) -> Iterator[bytes]:
    place = _place(artifact.uri)
    url = f"{address}/{_API}/{quote(place)}"
    try:
        # Whole blocks would be waited for: a store that sends a byte a second must meet the deadline too.
        with _get(url, deadline, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status_code != HTTPStatus.OK:
                _raise_for(address, artifact, place, answer, deadline)
            while block := answer.raw.read1(_CHUNK):
                yield block
                if time.monotonic() > deadline:
                    raise Unreachable(SETTING, address, f"{artifact.uri} did not arrive in time")
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(SETTING, address, f"{artifact.uri}: {type(error).__name__}") from None


def _place(uri: str) -> str:
    place = uri.removeprefix(_SCHEME).lstrip("/")
    if not uri.startswith(_SCHEME) or ".." in place.split("/"):
        raise FileBroken(f"{uri} is not an address in MLflow's artifact store ({_SCHEME}…)")
    return place


def _get(
    url: str, deadline: float, params: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> requests.Response:
    left = max(0.1, min(REQUEST_SECONDS, deadline - time.monotonic()))
    return requests.get(url, params=params, headers=headers, stream=True, timeout=left, allow_redirects=False)


def _raise_for(address: str, artifact: Artifact, place: str, answer: requests.Response, deadline: float) -> None:
    missing = FileBroken(f"{artifact.uri} is not in the artifact store, though the ledger knows it")
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise missing
    # On a bucket a missing file is a 500, as is a bucket that is down; the listing tells them apart.
    folder, _, name = place.rpartition("/")
    with _get(f"{address}/{_API}", deadline, params={"path": folder}) as listing:
        if listing.status_code == HTTPStatus.OK:
            there = {found["path"] for found in listing.json().get("files", [])}
            if name not in there:
                raise missing
    raise Unreachable(SETTING, address, f"{artifact.uri}: answer {answer.status_code}")
