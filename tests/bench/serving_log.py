"""The service with another log of predictions, for measuring what its own one costs: `none`, or `insert` for each.

`python -m tests.bench.serving_log none|insert`, in the service's environment and settings.
"""

from __future__ import annotations

import asyncio
import os
import sys

import psycopg

from serving import __main__ as program
from serving.predictions import rows
from serving.spool import Spool

_INSERT = (
    "INSERT INTO predictions (inference_id, served_at, request_id, route, input, price, version, status, error) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


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
            async with connection.pipeline():
                for row in rows(payload):
                    await connection.execute(_INSERT, row)
        finally:
            self._free.put_nowait(connection)


if __name__ == "__main__":
    inserting = _Inserting()
    replaced = {"none": _nowhere, "insert": lambda _spool, payload: inserting.append(payload)}[sys.argv[1]]
    Spool.append = replaced  # type: ignore[method-assign]  # the point of this program
    sys.exit(program.main())
