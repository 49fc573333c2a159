"""A batch on its way: a file's rows, priced in pieces, and what became of each; what was priced is not asked again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final

from frontend import csv_rows, reasons
from frontend.client import Fault, Json, Trouble
from frontend.csv_rows import Batch, Row
from frontend.form import Field
from frontend.texts import known, text

PIECE: Final = 500

Listings = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of a row: a price and the version that made it, or the rule it breaks; without a version, unasked."""

    price: float | None = None
    version: int | None = None
    fault: Fault | None = None
    unseen: tuple[str, ...] = ()


@dataclass
class Run:
    """A file that is being priced: the digest of its content, its rows, and their outcomes by line."""

    digest: str
    batch: Batch
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def waiting(self) -> list[Row]:
        """Return the rows that have no outcome yet."""
        return [row for row in self.batch.rows if row.line not in self.outcomes]

    @property
    def ended(self) -> list[tuple[Row, Outcome]]:
        """Return the rows that have one, in their order."""
        return [(row, self.outcomes[row.line]) for row in self.batch.rows if row.line in self.outcomes]

    @property
    def has_results(self) -> bool:
        """Tell whether there is something to show: the API has answered for a row, or will be asked for none."""
        return not self.waiting or any(one.version is not None for one in self.outcomes.values())


def digest(content: bytes) -> str:
    """Return by what a file is known to be the same."""
    return hashlib.sha256(content).hexdigest()


def begin(content: bytes, fields: Sequence[Field]) -> Run:
    """Return a file's run with its ragged rows refused; raise FileRefused where it is no batch."""
    run = Run(digest(content), csv_rows.parse(content, fields))
    for row in run.batch.rows:
        if not row.whole:
            run.outcomes[row.line] = Outcome()
    return run


def price(run: Run, fields: Sequence[Field], predict: Callable[[Listings], Json | Trouble]) -> Iterator[int | Trouble]:
    """Send the waiting rows piece by piece; yield after each how many are done, last why it ended early, if it did."""
    waiting = run.waiting
    for piece in batched(waiting, PIECE, strict=False):
        answer = predict([row.listing(fields) for row in piece])
        if isinstance(answer, Trouble):
            yield answer
            return
        for row, result in zip(piece, answer["results"], strict=True):
            run.outcomes[row.line] = _outcome(result, answer["model_version"])
        yield len(waiting) - len(run.waiting)


def _outcome(result: Json, version: int) -> Outcome:
    fault = Fault.of(result["error"]) if result["error"] else None
    return Outcome(result["price"], version, fault, tuple(result["unseen_fields"]))


def problem(row: Row, found: Outcome, fields: Sequence[Field]) -> str:
    """Return why a row has no price, in the language chosen; nothing where it has one."""
    if not row.whole:
        return text("batch.ragged")
    if found.fault is None:
        return ""
    field = next((one for one in fields if one.name == found.fault.field), None)
    return f"{known('field', found.fault.field)}: {reasons.rule(found.fault, field)}"


def columns(fields: Sequence[Field]) -> list[str]:
    """Return the names of the results' columns."""
    return ["line", *(one.name for one in fields), "price", "model_version", "problem", "unseen_fields"]


def rows(run: Run, fields: Sequence[Field]) -> list[list[Any]]:
    """Return the results, a row for each that has an outcome: what the file had, and what became of it."""
    return [
        [row.line, *(row.cells.get(one.name, "") for one in fields), found.price, found.version,
         problem(row, found, fields), " ".join(found.unseen)]
        for row, found in run.ended
    ]  # fmt: skip
