"""How far each group of the data source has come, in memory or in a file that outlives the source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

GROUPS: Final = range(1, 11)


class CountersUnreadable(ValueError):
    """The file of counters is not one."""


class Counters:
    """The number of the next batch for each group, from 0 to `end` (the number of batches: nothing is left).

    With a file, every change is in it before the answer goes out, so that a source that is started again goes on.
    The file survives the death of the process, not that of the machine: a counter that has gone back is an everyday
    thing for a client, and not worth waiting for the disk.
    """

    def __init__(self, end: int, file: Path | None = None) -> None:
        """Read the file where there is one; raises CountersUnreadable."""
        self._end = end
        self._file = file
        self._next = dict.fromkeys(GROUPS, 0)
        if file is not None and file.exists():
            self._next.update(_read(file))
        self._write()

    def position(self, group: int) -> int:
        """Return the number of the group's next batch, `end` where there is none."""
        return min(self._next[group], self._end)

    def move(self, group: int) -> int:
        """Return the number of the group's next batch and move on; at the end the counter stays."""
        number = self.position(group)
        self._next[group] = min(number + 1, self._end)
        self._write()
        return number

    def restart(self, group: int) -> None:
        """Begin again at batch 0."""
        self._next[group] = 0
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        partial = self._file.with_name(f"{self._file.name}.partial")
        partial.write_text(json.dumps({str(group): number for group, number in self._next.items() if number}))
        partial.replace(self._file)


def _read(file: Path) -> dict[int, int]:
    try:
        content = {int(group): number for group, number in json.loads(file.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise CountersUnreadable(f"{file}: not a file of counters: {error}") from error
    for group, number in content.items():
        if group not in GROUPS or not isinstance(number, int) or number < 0:
            raise CountersUnreadable(f"{file}: group {group} cannot stand at {number!r}")
    return content
