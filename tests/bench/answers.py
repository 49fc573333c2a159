"""A source that costs nothing: one answer, made beforehand, sent from its file to whoever asks.

`python -m tests.bench.answers FILE ROWS` makes the file.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from steps.common.listing import PricedListing, parse

# At this scale the six synthetic batches together are more than the longest answer.
_SCALE = 10


def write_answer(path: Path, rows: int) -> None:
    """Write an answer of so many synthetic listings as the source's own server writes it: JSON with blanks."""
    with path.open("w") as file:
        file.write('{"group_number": 1, "day": "Monday", "batch_number": 0, "data": [')
        for number, row in enumerate(islice(raw_listings(), rows)):
            file.write((", " if number else "") + json.dumps(row))
        file.write("]}")


def synthetic_listings() -> Iterator[dict[str, Any]]:
    """Yield synthetic listings as callers of the API send them, without a price."""
    for listing in priced_listings():
        yield listing.model_dump(mode="json", exclude={"price"})


def priced_listings() -> Iterator[PricedListing]:
    """Yield the synthetic listings that are in the model's scope."""
    for row in raw_listings():
        found = parse({name: None if value is None else str(value) for name, value in row.items()})
        if isinstance(found, PricedListing):
            yield found


def raw_listings() -> Iterator[dict[str, Any]]:
    """Yield the synthetic source's listings as it answers them."""
    from local.source_batches import SYNTHETIC, open_batches

    batches = open_batches(SYNTHETIC, scale=_SCALE)
    for chunk in chain.from_iterable(batches.chunks(number) for number in range(len(batches))):
        for values in zip(*chunk.values(), strict=True):
            yield dict(zip(chunk, values, strict=True))


@contextmanager
def answering(path: Path) -> Iterator[str]:
    """Send the file to every caller, in a process of its own; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    if not (child := os.fork()):
        try:
            _answer_for_ever(listener, path)
        finally:
            # Never back into the program this is a copy of.
            os._exit(1)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        listener.close()


def _answer_for_ever(listener: socket.socket, path: Path) -> None:
    size = path.stat().st_size
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    while True:
        connection, _ = listener.accept()
        with connection, path.open("rb") as file:
            connection.recv(1 << 16)
            connection.sendall(head.encode())
            connection.sendfile(file)


if __name__ == "__main__":
    write_answer(Path(sys.argv[1]), int(sys.argv[2]))
