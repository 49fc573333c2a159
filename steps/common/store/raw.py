"""Every SQL statement on RAW: batches, their rows as the source sent them, and what became of each request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from psycopg import sql
from sqlalchemy import Connection, and_, func, insert, or_, select, true

from steps.common.listing import SOURCE_FIELDS
from steps.common.store.connection import driver
from steps.common.store.content import ContentSha
from steps.common.store.copying import Lines, cells, copy_out, read, written
from steps.common.tables import raw

_READ: Final = ("row_number", *SOURCE_FIELDS)
_WRITTEN: Final = (*SOURCE_FIELDS, "source_id", "batch_number", "row_number")


class Event(StrEnum):
    """What can become of a request to the source."""

    REQUEST_SENT = "REQUEST_SENT"  # about to be sent; where no other row names it, nobody knows what became of it
    NOT_SENT = "NOT_SENT"  # no connection: the source's counter has not moved
    STORED = "STORED"  # a new batch, committed with this row
    KNOWN = "KNOWN"  # a batch that is stored already, with the same content
    CHANGED = "CHANGED"  # the number of a stored batch with other content; nothing is overwritten
    GAP = "GAP"  # a batch too far ahead, set aside: one before it is missing
    END = "END"  # the source has no more; with a reason where that cannot be trusted
    QUESTION_REFUSED = "QUESTION_REFUSED"  # the source does not like how it is asked, and says why
    ANSWER_REFUSED = "ANSWER_REFUSED"  # an answer that is no batch; with the number it names, if any
    LOST = "LOST"  # no whole answer came; with a number as above
    RESTARTED = "RESTARTED"  # the counter was set back to batch 0
    GIVEN_UP = "GIVEN_UP"  # a missing batch, or without a number the last one, that will not be asked for again
    LEFT_TO_NEXT_RUN = "LEFT_TO_NEXT_RUN"  # a batch is missing, and this run has set the counter back before


# After these the counter is known to stand where nothing before it was missed.
_CERTAIN: Final = (Event.STORED, Event.KNOWN, Event.RESTARTED)
# Until one of these every setting back of the counter was in vain: a new batch came, or one is not waited for any more.
_HEADWAY: Final = (Event.STORED, Event.GIVEN_UP)
# The counter may have moved past a batch that we do not have.
_MISSED: Final = (Event.ANSWER_REFUSED, Event.LOST, Event.GAP)
# Somebody should look at these; their rows hold a reason and a sentence.
_ALARMING: Final = (
    Event.CHANGED, Event.QUESTION_REFUSED, Event.ANSWER_REFUSED, Event.LOST, Event.GIVEN_UP, Event.LEFT_TO_NEXT_RUN,
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """A stored batch: the shas of its content and of the answer's bytes, its size, and how long the answer took."""

    source_id: str
    batch_number: int
    content_sha: str
    body_sha: str
    rows: int
    bytes: int
    seconds: float
    requested_at: dt.datetime
    received_at: dt.datetime


@dataclass(frozen=True)
class Alarm:
    """Something about a request that somebody should look at."""

    run_id: str
    batch_number: int | None
    reason: str
    detail: str


@dataclass(frozen=True)
class VainRestarts:
    """The runs that set the counter back for a batch that did not come.

    `runs`: how many. `refused`: in how many of them the source answered afterwards, with no batch. `age`: how long ago
    the first of them did so, by the database's clock.
    """

    runs: int
    refused: int
    age: dt.timedelta


@dataclass(frozen=True)
class RawRows:
    """Some consecutive rows of a batch, column by column: their numbers, and each source field's texts."""

    numbers: list[int]
    fields: dict[str, list[str | None]]


def read_rows(connection: Connection, source_id: str, batch_number: int) -> Iterator[RawRows]:
    """Yield a batch's rows in their order, some hundred at a time, as texts exactly as received; null is None."""
    for block in _lines(connection, _READ, source_id, batch_number):
        numbers, *columns = cells(block, len(_READ))
        if b"\\" in block:
            fields = [[read(cell) for cell in column] for column in columns]
        else:
            fields = [list[str | None](column) for column in columns]
        yield RawRows(list(map(int, numbers)), dict(zip(SOURCE_FIELDS, fields, strict=True)))


def row_count(connection: Connection, source_id: str, batch_number: int) -> int | None:
    """Return how many rows a batch was stored with, None where RAW does not know the batch."""
    found = batch(connection, source_id, batch_number)
    return None if found is None else found.rows


def content_sha(connection: Connection, source_id: str, batch_number: int) -> str:
    """Return the sha of a batch's content, computed from its rows as they stand."""
    sha = ContentSha()
    for block in _lines(connection, SOURCE_FIELDS, source_id, batch_number):
        sha.update(block)
    return sha.hexdigest()


def _lines(connection: Connection, columns: Sequence[str], source_id: str, batch_number: int) -> Iterator[bytes]:
    query = sql.SQL("SELECT {} FROM listings WHERE source_id = {} AND batch_number = {} ORDER BY row_number").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), source_id, batch_number
    )
    return copy_out(connection, query)


def copy_rows(connection: Connection, source_id: str, batch_number: int, blocks: Iterable[Lines]) -> int:
    """Append a batch's rows, lines of the twelve values, by COPY and return how many."""
    query = sql.SQL("COPY listings ({}) FROM STDIN").format(sql.SQL(", ").join(map(sql.Identifier, _WRITTEN)))
    end = f"\t{written(source_id)}\t{batch_number}".replace("%", "%%").encode() + b"\t%d\n"
    rows = 0
    with driver(connection).cursor().copy(query) as copy:
        for text, more in blocks:
            first, rows = rows, rows + more
            safe = text.replace(b"%", b"%%") if b"%" in text else text
            # All lines of a block in one format: one by one they took twice as long.
            copy.write(safe.replace(b"\n", end) % tuple(range(first, rows)))
    return rows


def append_batch(connection: Connection, batch: Batch) -> None:
    """Append a batch; raises IntegrityError where its number is taken."""
    connection.execute(insert(raw.batches).values(asdict(batch)))


def batch(connection: Connection, source_id: str, batch_number: int) -> Batch | None:
    """Return a stored batch, None where there is none of this number."""
    return next((found for found in batches(connection, source_id) if found.batch_number == batch_number), None)


def batches(connection: Connection, source_id: str) -> list[Batch]:
    """Return a source's stored batches by their numbers."""
    table = raw.batches
    rows = connection.execute(select(table).where(table.c.source_id == source_id).order_by(table.c.batch_number))
    return [Batch(**row._mapping) for row in rows]  # noqa: SLF001  # SQLAlchemy's public name for a row as a mapping


def append_attempt(
    connection: Connection,
    source_id: str,
    run_id: str,
    event: Event,
    *,
    request_id: int | None = None,
    batch_number: int | None = None,
    reason: str | None = None,
    detail: str | None = None,
    body_sha: str | None = None,
    body_head: bytes | None = None,
) -> int:
    """Append what happened to a request, or that one is about to be sent; return the row's id."""
    statement = insert(raw.fetch_attempts).returning(raw.fetch_attempts.c.attempt_id)
    attempt = {
        "source_id": source_id, "run_id": run_id, "event": event.value, "request_id": request_id,
        "batch_number": batch_number, "reason": reason, "detail": detail, "body_sha": body_sha, "body_head": body_head,
    }  # fmt: skip
    return int(connection.execute(statement.values(attempt)).scalar_one())


def missed_requests(connection: Connection, source_id: str) -> list[int]:
    """Return the requests that may have moved the source past a batch we do not have, oldest first.

    Only those since the counter was last known to stand right: a batch that came later tells, by its number, whether
    one before it is missing. Only the end of the source does not tell.
    """
    sent, answer = raw.fetch_attempts.alias("sent"), raw.fetch_attempts.alias("answer")
    certain = (
        select(func.coalesce(func.max(sent.c.attempt_id), 0))
        .where(sent.c.source_id == source_id)
        .where(
            or_(
                sent.c.event.in_(_CERTAIN),
                and_(sent.c.event == Event.END, sent.c.reason.is_(None)),
                and_(sent.c.event == Event.GIVEN_UP, sent.c.batch_number.is_(None)),
            )
        )
    )
    rows = connection.scalars(
        select(sent.c.attempt_id)
        .outerjoin(answer, and_(answer.c.source_id == source_id, answer.c.request_id == sent.c.attempt_id))
        .where(sent.c.source_id == source_id, sent.c.event == Event.REQUEST_SENT)
        .where(sent.c.attempt_id > certain.scalar_subquery())
        .where(or_(answer.c.attempt_id.is_(None), answer.c.event.in_(_MISSED)))
        .order_by(sent.c.attempt_id)
    )
    return list(rows)


def vain_restarts(connection: Connection, source_id: str, missing: int | None) -> VainRestarts:
    """Return the runs that set the counter back in vain since the last headway: a batch, one given up, or a sure end.

    `missing` is the batch they did it for, None for the last one, at the end of the source. There a batch that was set
    aside is headway, too: it is there, and would otherwise be given up with the one before it that never comes.
    """
    table = raw.fetch_attempts
    restarted, refused = table.alias("restarted"), table.alias("refused")
    headway = (*_HEADWAY, Event.GAP) if missing is None else _HEADWAY
    last = (
        select(func.coalesce(func.max(table.c.attempt_id), 0))
        .where(table.c.source_id == source_id)
        .where(or_(table.c.event.in_(headway), and_(table.c.event == Event.END, table.c.reason.is_(None))))
    )
    # A refused answer that names another batch says nothing about why this one did not come.
    of_it = true() if missing is None else or_(refused.c.batch_number.is_(None), refused.c.batch_number == missing)
    answers = and_(
        refused.c.source_id == source_id,
        refused.c.run_id == restarted.c.run_id,
        refused.c.event == Event.ANSWER_REFUSED,
        refused.c.attempt_id > restarted.c.attempt_id,
        of_it,
    )
    age = func.coalesce(func.clock_timestamp() - func.min(restarted.c.at), dt.timedelta(0))
    runs, refusals = (func.count(alias.c.run_id.distinct()) for alias in (restarted, refused))
    found = connection.execute(
        select(runs, refusals, age)
        .outerjoin_from(restarted, refused, answers)
        .where(restarted.c.source_id == source_id, restarted.c.event == Event.RESTARTED)
        .where(restarted.c.attempt_id > last.scalar_subquery())
    ).one()
    return VainRestarts(*found)


def given_up(connection: Connection, source_id: str) -> set[int]:
    """Return the numbers of missing batches that are not asked for again."""
    table = raw.fetch_attempts
    where = (table.c.source_id == source_id, table.c.event == Event.GIVEN_UP, table.c.batch_number.is_not(None))
    return set(connection.scalars(select(table.c.batch_number).where(*where)))


def events_of_run(connection: Connection, source_id: str, run_id: str) -> dict[Event, int]:
    """Return how often each thing happened to a run's requests."""
    table = raw.fetch_attempts
    rows = connection.execute(
        select(table.c.event, func.count())
        .where(table.c.source_id == source_id, table.c.run_id == run_id)
        .group_by(table.c.event)
    )
    return {Event(event): count for event, count in rows}


def alarms(connection: Connection, source_id: str) -> list[Alarm]:
    """Return all that ever happened to requests and that somebody should look at, oldest first."""
    table = raw.fetch_attempts
    columns = [table.c[name] for name in Alarm.__dataclass_fields__]
    rows = connection.execute(
        select(*columns)
        .where(table.c.source_id == source_id, table.c.event.in_(_ALARMING))
        .order_by(table.c.attempt_id)
    )
    return [Alarm(*row) for row in rows]
