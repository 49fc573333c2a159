"""Why an answer of the source is not taken: the codes that stand in fetch_attempts and in alerts, a sentence each."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """What is wrong with an answer."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        """Make a member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    # No whole answer came.
    DEADLINE = "DEADLINE", "the whole answer did not arrive in time"
    SILENCE = "SILENCE", "nothing arrived for too long"
    CONNECTION_LOST = "CONNECTION_LOST", "the connection ended before the answer did"
    # A whole answer, or as much of it as was read, but not a batch.
    HTTP_STATUS = "HTTP_STATUS", "an HTTP status that means neither a batch nor the end"
    TOO_LARGE = "TOO_LARGE", "the answer, unpacked, is larger than allowed"
    BAD_COMPRESSION = "BAD_COMPRESSION", "the answer cannot be unpacked"
    NOT_JSON = "NOT_JSON", "the answer is not JSON"
    TRUNCATED = "TRUNCATED", "the JSON text stops in the middle"
    OTHER_SHAPE = "OTHER_SHAPE", "JSON, but not of the shape of a batch"
    OTHER_GROUP = "OTHER_GROUP", "a batch of another group than was asked for"
    EMPTY = "EMPTY", "a batch without rows"
    MISSING_KEY = "MISSING_KEY", "a key is missing"
    EXTRA_KEY = "EXTRA_KEY", "there is a key too many"
    NESTED_VALUE = "NESTED_VALUE", "a value of a row is itself an object or a list"
    NOT_FINITE = "NOT_FINITE", "a number is NaN, infinite or too large for a float"
    NOT_TEXT = "NOT_TEXT", "a text holds what is no Unicode text, or a zero character, which PostgreSQL cannot store"
    ROW_TOO_LONG = "ROW_TOO_LONG", "one row is longer than any listing can be"
    TOO_MANY_ROWS = "TOO_MANY_ROWS", "far more rows than any batch before"
    # A batch, but not one that can be taken.
    CHANGED_CONTENT = "CHANGED_CONTENT", "the number of a stored batch with other content"
    GAP = "GAP", "batches before this one are missing"


class NotABatch(Exception):
    """The answer is not a batch: the reason's code, and where in it that shows. Never holds values of rows."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.reason = reason
        self.detail = f"{reason.sentence}: {detail}" if detail else reason.sentence
        super().__init__(f"{reason}: {self.detail}")
