"""Requests as serving stores them, of any time."""

import datetime as dt
import json

from msgspec.structs import replace

from serving.predictions import Entry, encode, entry


def served(at: dt.datetime, *listings: object) -> str:
    """Return a request of a time whose listings were priced."""
    return _stored(at, entry("r", "/predict", 1, json.dumps(listings).encode(), [100_000.0] * len(listings)))


def refusal(at: dt.datetime, sent: object) -> str:
    """Return a request of a time that was no listing."""
    return _stored(at, entry("r", "/predict", None, b"[]", [], [(0, sent, "bed: too many")]))


def _stored(at: dt.datetime, made: Entry) -> str:
    return encode(replace(made, served_at=at.timestamp())).decode()
