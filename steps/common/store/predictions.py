"""Every SQL statement on RAW's predictions: prices that were served, added once each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import Column, Connection, MetaData, Table, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateTable

from steps.common.store import copying
from steps.common.tables import raw

PRICED: Final = "PRICED"
REFUSED: Final = "REFUSED"

# All rows of a request have the same, and writing it takes a third of a row's time.
_moment: Final = lru_cache(copying.written)
# The same columns without the key: a file that is shipped a second time would fail there.
_ARRIVING: Final = Table(
    "arriving_predictions", MetaData(), *(Column(column.name, column.type) for column in raw.predictions.columns),
    prefixes=["TEMPORARY"], postgresql_on_commit="DROP",
)  # fmt: skip


class Prediction(NamedTuple):
    """A price that was served, or the refusal of what was no listing, column by column; `input` is JSON as text."""

    inference_id: str
    served_at: dt.datetime
    request_id: str
    route: str
    input: str
    price: float | None
    version: int | None
    status: str
    error: str | None


def add(connection: Connection, rows: Sequence[Prediction]) -> int:
    """Add predictions that are not there yet, in any order, and return how many those were.

    By COPY into a temporary table: a role that can do no more than add does not see what is there.
    """
    connection.execute(CreateTable(_ARRIVING))
    lines = ("\t".join((row.inference_id, _moment(row.served_at), *map(copying.written, row[2:]))) for row in rows)
    copying.copy_in(connection, _ARRIVING.name, Prediction._fields, (f"{line}\n" for line in lines))
    arrived = select(*_ARRIVING.columns)
    statement = insert(raw.predictions).from_select(Prediction._fields, arrived).on_conflict_do_nothing()
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


@dataclass(frozen=True)
class Asked:
    """Priced houses people asked about: how many, how often with which text in each field, and when the newest was."""

    rows: int
    counts: Mapping[str, Mapping[str, int]]
    until: dt.datetime | None


def asked_since(connection: Connection, since: dt.datetime | None) -> Asked:
    """Return what people asked after a time, or ever.

    `until` is by the same clocks as `since`, those of who served, but not later than now: of a clock that ran ahead
    nothing would be read until it is reached. What was served before it and comes later, from another replica's spool,
    is in no verdict. In two statements, so read from one snapshot.
    """
    served = raw.predictions.c
    wanted = [served.status == PRICED] + ([] if since is None else [served.served_at > since])
    figures = select(func.count(), func.max(served.served_at), func.now()).where(*wanted)
    count, newest, now = connection.execute(figures).one()
    given = func.jsonb_each_text(served.input).table_valued("key", "value").render_derived()
    rows = connection.execute(
        select(given.c.key, given.c.value, func.count())
        .select_from(raw.predictions.join(given, true()))
        .where(*wanted, given.c.value.is_not(None))
        .group_by(given.c.key, given.c.value)
    )
    found: dict[str, dict[str, int]] = {}
    for field, text, times in rows:
        found.setdefault(field, {})[text] = times
    return Asked(count, found, newest and min(newest, now))
