"""What the data source does wrong when it is told to: one named fault each for all that real sources have done.

A script is a list of misbehaviours; each strikes the calls that it names and is then used up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from local.source_answers import Chunk


class Fault(StrEnum):
    """A way to misbehave; each has a sentence."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Self:
        """Make a member whose value is its name in a script."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    SERVER_ERROR = "server_error", "The server fails with `status` and a text that is no JSON."
    HTML_PAGE = "html_page", "A proxy answers 200 with a page for people."
    TRUNCATED = "truncated", "The text stops in the middle of a row, and HTTP says that this was all."
    CONNECTION_CUT = "connection_cut", "The connection is closed in the middle of a row."
    ANSWER_LOST = "answer_lost", "The connection is closed before anything is sent; the counter has moved."
    LATE_FIRST_BYTE = "late_first_byte", "Nothing is sent for `seconds`."
    SLOW_DRIP = "slow_drip", "Some bytes are sent every `seconds`, so that no read times out and nothing arrives."
    GZIP_BOMB = "gzip_bomb", "A small compressed answer unpacks to `mebibytes`, asked for or not."
    NOT_A_NUMBER = "not_a_number", "Prices are NaN, Infinity and -Infinity, which JSON does not have."
    MISSING_KEY = "missing_key", "The rows have no house_size."
    EXTRA_KEY = "extra_key", "The rows have a key more, price_per_sqft."
    NO_ROWS = "no_rows", "The list of rows is empty."
    TENFOLD = "tenfold", "The rows of the batch come ten times over."
    ROWS_AS_LISTS = "rows_as_lists", "The rows are lists of 12 values: allowed, but another encoding of the same rows."
    OTHER_CONTENT = "other_content", "The batch has its number, but the first row is in another city."
    COUNTER_RESET = "counter_reset", "Somebody else restarts the group's counter just before the call."
    BATCH_TAKEN = "batch_taken", "Somebody else takes the group's batch just before the call."


class Misbehaviour(BaseModel):
    """One fault, the calls that it strikes, and its measures."""

    model_config = ConfigDict(extra="forbid")

    fault: Annotated[Fault, Field(description="\n".join(f"- `{fault}`: {fault.sentence}" for fault in Fault))]
    batch: Annotated[int | None, Field(ge=0, description="strikes when this batch is next; null: whichever is")] = None
    times: Annotated[int | None, Field(ge=1, description="how many calls it strikes; null: all")] = 1
    status: Annotated[int, Field(ge=500, le=599)] = 503
    seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0
    mebibytes: Annotated[int, Field(ge=1, le=16 * 1024)] = 1024
    chunks: Annotated[int, Field(ge=1, description="chunks of rows that arrive, the last of them half")] = 1


# Those that need no batch, so that they can strike the answer that says there is none left.
WITHOUT_ROWS: Final = frozenset({Fault.SERVER_ERROR, Fault.HTML_PAGE, Fault.ANSWER_LOST})


class ScriptUnreadable(ValueError):
    """What was given is not a list of misbehaviours; the sentence says where it is not."""


def read_script(text_or_file: str) -> list[Misbehaviour]:
    """Read a JSON list of misbehaviours, or the file that holds one; raises ScriptUnreadable, OSError."""
    text = text_or_file if text_or_file.lstrip().startswith("[") else Path(text_or_file).read_text()
    try:
        return TypeAdapter(list[Misbehaviour]).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ScriptUnreadable(f"misbehaviours, at {list(first['loc'])}: {first['msg']}") from error


class Script:
    """The misbehaviours that are still to come."""

    def __init__(self, misbehaviours: list[Misbehaviour]) -> None:
        self.left = [one.model_copy() for one in misbehaviours]

    def strike(self, batch: int) -> Misbehaviour | None:
        """Return the first misbehaviour for a call whose next batch is this one, and use it up."""
        for one in self.left:
            if one.batch is None or one.batch == batch:
                if one.times is not None:
                    one.times -= 1
                self.left = [other for other in self.left if other.times != 0]
                return one
        return None


def changed(fault: Fault | None, rows: Callable[[], Iterator[Chunk]]) -> Iterator[Chunk]:
    """Yield the rows of a batch as the fault has them; `rows` begins them anew at each call."""
    if fault is Fault.NO_ROWS:
        return
    if fault is Fault.TENFOLD:
        for _ in range(10):
            yield from rows()
        return
    for index, chunk in enumerate(rows()):
        yield _changed_chunk(fault, chunk, first=index == 0)


def _changed_chunk(fault: Fault | None, chunk: Chunk, *, first: bool) -> Chunk:
    if fault is Fault.MISSING_KEY:
        return {name: values for name, values in chunk.items() if name != "house_size"}
    if fault is Fault.EXTRA_KEY:
        return {**chunk, "price_per_sqft": [1.0] * len(chunk["price"])}
    if fault is Fault.OTHER_CONTENT and first:
        return {**chunk, "city": [f"New {chunk['city'][0]}", *chunk["city"][1:]]}
    if fault is Fault.NOT_A_NUMBER and first:
        odd = [math.nan, math.inf, -math.inf]
        return {**chunk, "price": [*odd, *chunk["price"][3:]][: len(chunk["price"])]}
    return chunk
