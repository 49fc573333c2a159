"""The service with another log of predictions, for measuring what its own one costs: `none`, or `insert` for each.

`python -m tests.bench.serving_log none|insert`, in the service's environment and settings.
"""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec
import psycopg

from serving import __main__ as program
from serving.predictions import Entry
from serving.spool import Spool

_INSERT = (
    "INSERT INTO predictions (inference_id, served_at, request_id, route, input, price, version, status) "
    "VALUES (%s, to_timestamp(%s), %s, %s, %s, %s, %s, 'PRICED')"
)
_request = msgspec.json.Decoder(Entry).decode
_inputs = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def _nowhere(_spool: Spool, _payload: bytes) -> None:
    """Store nothing."""


class _Inserting:
    """Commits each prediction to PostgreSQL before it is answered, on a few connections, as many services do."""

    def __init__(self) -> None:
        self._address = os.environ["APPRAISER_RAW_URL"].replace("+psycopg", "")
        self._free: asyncio.Queue[psycopg.AsyncConnection] | None = None

    async def append(self, payload: bytes) -> None:
        if self._free is None:
            self._free = asyncio.Queue()
            for _ in range(4):
                self._free.put_nowait(await psycopg.AsyncConnection.connect(self._address, autocommit=True))
        connection = await self._free.get()
        try:
            made = _request(payload)
            priced = zip(_inputs(made.listings), made.prices, strict=True)
            async with connection.pipeline():
                for row, (listing, price) in enumerate(priced):
                    values = made.served_at, made.request_id, made.route, str(listing, "utf-8"), price, made.version
                    await connection.execute(_INSERT, (made.inference_id(row), *values))
        finally:
            self._free.put_nowait(connection)


if __name__ == "__main__":
    inserting = _Inserting()
    replaced = {"none": _nowhere, "insert": lambda _spool, payload: inserting.append(payload)}[sys.argv[1]]
    Spool.append = replaced  # type: ignore[method-assign]  # the point of this program
    sys.exit(program.main())
