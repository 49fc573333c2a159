"""What `make run` prints: one line for each thing that happened, a line that moves while one works, one table.

A terminal shows the moving line in place; into a file or a pipe it goes as a line of its own, every half minute.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table

from local.history import BatchHistory, History

_STATUS_SECONDS: Final = 30.0
_FILE_COLUMNS: Final = 160
_REASON_LENGTH: Final = 60


class Progress:
    """Lines on a stream, each with the time since the start."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._told = self._started
        self._moving = False

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._clear()
        self._write(f"{self._elapsed()}  {text}\n")
        self._told = time.monotonic()

    def ready(self, part: str, seconds: float) -> None:
        """Write that a part of the system serves, or is done."""
        self.say(f"{part} ready after {seconds:.1f} s")

    def status(self, text: str) -> None:
        """Show what is being done just now."""
        if self._stream.isatty():
            room = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{f'{self._elapsed()}  {text}'[:room]}")
            self._moving = True
        elif time.monotonic() - self._told >= _STATUS_SECONDS:
            self.say(text)

    def fail(self, text: str) -> None:
        """Write why it ends, for somebody who reads nothing else."""
        self.say(f"error: {text}")

    def show_addresses(self, addresses: Mapping[str, str]) -> None:
        """Write where everything is to be reached."""
        self._clear()
        width = max(map(len, addresses))
        self._write("\n" + "".join(f"  {name:{width}}  {place}\n" for name, place in addresses.items()) + "\n")

    def show_table(self, history: History) -> None:
        """Write the table of all batches."""
        self._clear()
        console = Console(
            file=self._stream, highlight=False, markup=False, emoji=False,
            width=None if self._stream.isatty() else _FILE_COLUMNS,
        )  # fmt: skip
        table = Table(title=f"Production is {_version(history.production)}", title_justify="left")
        for column in ("batch", "rows", "validate", "why"):
            table.add_column(column, justify="right" if column in {"batch", "rows"} else "left")
        for column in ("RMSE candidate", "RMSE champion", "95 % of the gain", "promote", "seconds"):
            table.add_column(column, justify="left" if column == "promote" else "right")
        for batch in history.batches:
            table.add_row(*_cells(batch))
        console.print(table)
        self._stream.flush()

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes:3d}:{seconds:02d}"

    def _clear(self) -> None:
        if self._moving:
            self._write("\r\x1b[K")
            self._moving = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def main_reason(reasons: Any, most: int | None = _REASON_LENGTH) -> str:
    """Return the first reason of a verdict, cut to so many characters, or whole."""
    if not reasons:
        return ""
    first = reasons[0]
    text = f"{first['code']}: {first['sentence']}" if first.get("sentence") else str(first["code"])
    return text if most is None or len(text) <= most else f"{text[: most - 1]}…"


def _cells(batch: BatchHistory) -> list[str]:
    evidence = batch.evidence
    champion = evidence.champion if evidence else None
    return [
        str(batch.claim.batch_number),
        f"{batch.rows:,}" if batch.rows is not None else "",
        batch.validate.verdict if batch.validate else batch.outcome or "no verdict",
        main_reason(batch.validate.reasons, most=None) if batch.validate else "",
        _dollars(evidence.candidate.metrics.rmse) if evidence else "",
        _dollars(champion.metrics.rmse) if champion else "",
        " to ".join(map(_dollars, batch.gain)) if batch.gain else "",
        batch.promote.verdict if batch.promote else "",
        f"{batch.seconds:.0f}",
    ]


def _dollars(amount: float | None) -> str:
    return "" if amount is None else f"{amount:,.0f}"


def _version(production: int | None) -> str:
    return "no version yet" if production is None else f"version {production}"
