"""Requests as serving stores them, of any time."""

import datetime as dt
import json
import uuid

from msgspec import Raw

from serving.predictions import Entry, encode


def served(at: dt.datetime, *listings: object) -> str:
    """Return a request of a time whose listings were priced."""
    given = Raw(json.dumps(listings))
    return encode(Entry(_stem(), at.timestamp(), "r", "/predict", 1, given, [100_000.0] * len(listings))).decode()


def refusal(at: dt.datetime, sent: object) -> str:
    """Return a request of a time that was no listing."""
    refused = [(0, sent, "bed: too many")]
    return encode(Entry(_stem(), at.timestamp(), "r", "/predict", None, Raw(b"[]"), [], refused)).decode()


def _stem() -> str:
    return str(uuid.uuid4())[:-4]
