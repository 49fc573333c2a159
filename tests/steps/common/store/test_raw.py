"""RAW on a real PostgreSQL: rows come back as they were received, and the record of requests tells what was missed."""

import datetime as dt
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from steps.common.listing import SOURCE_FIELDS
from steps.common.store import raw
from steps.common.store.content import ContentSha
from steps.common.store.copying import Lines, written
from steps.common.store.raw import Alarm, Batch, Event
from tests.servers import Databases

_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_values = (
    st.none()
    | st.sampled_from(["100 %", "%d"])
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
)


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    made = create_engine(databases.url("raw"))
    yield made
    made.dispose()


def lines(rows: list[tuple[str | None, ...]]) -> Lines:
    return Lines("".join("\t".join(map(written, row)) + "\n" for row in rows).encode(), len(rows))


def a_batch(number: int, rows: int = 1) -> Batch:
    return Batch("s", number, f"content {number}", "body", rows, 100, 1.5, _NOW, _NOW)


@given(
    rows=st.lists(st.tuples(*[_values] * len(SOURCE_FIELDS)), min_size=1, max_size=5),
    source_id=st.sampled_from(["s", "a\tb\\c%d"]),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_as_received_and_with_the_same_sha(
    engine: Engine, rows: list[tuple[str | None, ...]], source_id: str
) -> None:
    sha = ContentSha()
    sha.update(lines(rows).text)
    with engine.begin() as connection:
        number = len(raw.batches(connection, source_id))
        assert raw.copy_rows(connection, source_id, number, [lines(rows[:1]), lines(rows[1:])]) == len(rows)
        raw.append_batch(connection, Batch(source_id, number, sha.hexdigest(), "b", len(rows), 1, 1.0, _NOW, _NOW))
    with engine.connect() as connection:
        blocks = list(raw.read_rows(connection, source_id, number))
        assert raw.content_sha(connection, source_id, number) == sha.hexdigest()
        assert raw.row_count(connection, source_id, number) == len(rows)
    assert [row for block in blocks for row in block.numbers] == list(range(len(rows)))
    assert [row for block in blocks for row in zip(*block.fields.values(), strict=True)] == rows


def test_a_batch_is_stored_once_and_read_back(engine: Engine) -> None:
    with engine.begin() as connection:
        raw.append_batch(connection, a_batch(1))
        raw.append_batch(connection, a_batch(0))
    with engine.connect() as connection:
        assert raw.batches(connection, "s") == [a_batch(0), a_batch(1)]
        assert raw.batch(connection, "s", 1) == a_batch(1)
        assert raw.batch(connection, "s", 2) is None
        assert raw.batches(connection, "another") == []
        assert raw.row_count(connection, "s", 2) is None
    with pytest.raises(IntegrityError), engine.begin() as connection:
        raw.append_batch(connection, a_batch(1))


def test_what_is_in_raw_is_not_changed_by_the_pipeline(engine: Engine) -> None:
    for statement in ("UPDATE listings SET price = '1'", "DELETE FROM batches", "TRUNCATE fetch_attempts"):
        with pytest.raises(DBAPIError, match="permission denied"), engine.begin() as connection:
            connection.execute(text(statement))


def told(engine: Engine, *events: Event | tuple[Event, str | int]) -> list[int]:
    """Write down requests with what became of them, in order; return which of them were missed, by their place.

    A lone REQUEST_SENT is one whose answer nobody knows; any other event is the answer to a request of its own,
    but for RESTARTED, which answers none. A text is an event's reason, a number its batch.
    """
    places: dict[int, int] = {}
    with engine.begin() as connection:
        for place, given_event in enumerate(events):
            event, more = given_event if isinstance(given_event, tuple) else (given_event, None)
            reason, number = (more, None) if isinstance(more, str) else (None, more)
            request = None
            if event is not Event.RESTARTED:
                request = raw.append_attempt(connection, "s", "r", Event.REQUEST_SENT)
                places[request] = place
            if event is not Event.REQUEST_SENT:
                raw.append_attempt(connection, "s", "r", event, request_id=request, reason=reason, batch_number=number)
        # Another source's requests are none of ours.
        raw.append_attempt(connection, "another", "r", Event.REQUEST_SENT)
        return [places[missed] for missed in raw.missed_requests(connection, "s")]


@pytest.mark.parametrize(
    ("events", "missed"),
    [
        ([], []),
        ([Event.STORED, Event.KNOWN, Event.END], []),
        ([Event.STORED, Event.REQUEST_SENT], [1]),
        ([Event.STORED, Event.LOST, Event.ANSWER_REFUSED, Event.GAP], [1, 2, 3]),
        # The counter has not moved, or the number was seen.
        ([Event.STORED, Event.NOT_SENT, Event.QUESTION_REFUSED, Event.CHANGED], []),
        # What came later tells, by its number, what is missing before it.
        ([Event.LOST, Event.REQUEST_SENT, Event.STORED], []),
        ([Event.LOST, Event.KNOWN, Event.REQUEST_SENT], [2]),
        ([Event.REQUEST_SENT, Event.RESTARTED], []),
        ([Event.REQUEST_SENT, Event.RESTARTED, Event.LOST], [2]),
        # The end alone tells nothing, unless nothing had been lost before it.
        ([Event.STORED, Event.LOST, (Event.END, "AFTER_A_LOSS")], [1]),
        ([Event.STORED, Event.END, Event.LOST], [2]),
        ([Event.STORED, Event.LOST, (Event.END, "AFTER_A_LOSS"), Event.GIVEN_UP], []),
        # One that was given up by its number says nothing about the last one.
        ([Event.LOST, (Event.GIVEN_UP, 3)], [0]),
    ],
)
def test_the_requests_that_may_have_cost_a_batch(
    engine: Engine, events: list[Event | tuple[Event, str | int]], missed: list[int]
) -> None:
    assert told(engine, *events) == missed


@pytest.mark.parametrize(
    ("events", "on_the_way", "at_end"),
    [
        ([], (0, 0), (0, 0)),
        ([("a", Event.RESTARTED), ("a", Event.RESTARTED), ("b", Event.RESTARTED)], (2, 0), (2, 0)),
        ([("a", Event.RESTARTED), ("a", Event.KNOWN), ("a", Event.LOST), ("b", Event.GIVEN_UP)], (0, 0), (0, 0)),
        ([("a", Event.RESTARTED), ("a", Event.KNOWN), ("a", Event.LOST), ("b", Event.LOST)], (1, 0), (1, 0)),
        ([("a", Event.RESTARTED), ("a", Event.STORED), ("b", Event.RESTARTED)], (1, 0), (1, 0)),
        ([("a", Event.RESTARTED), ("b", Event.GAP), ("b", Event.RESTARTED)], (2, 0), (1, 0)),
        ([("a", Event.RESTARTED), ("b", Event.END)], (0, 0), (0, 0)),
        ([("a", Event.RESTARTED), ("b", (Event.END, "AFTER_A_LOSS"))], (1, 0), (1, 0)),
        # Refused by the source, once the counter was set back, by the same run.
        ([("a", Event.RESTARTED), ("a", Event.ANSWER_REFUSED), ("a", Event.ANSWER_REFUSED)], (1, 1), (1, 1)),
        ([("a", Event.ANSWER_REFUSED), ("a", Event.RESTARTED), ("b", Event.ANSWER_REFUSED)], (1, 0), (1, 0)),
        ([("a", Event.RESTARTED), ("a", (Event.ANSWER_REFUSED, 1))], (1, 1), (1, 1)),
        # Another batch than the one that is missing.
        ([("a", Event.RESTARTED), ("a", (Event.ANSWER_REFUSED, 2))], (1, 0), (1, 1)),
        ([("a", Event.RESTARTED), ("a", Event.ANSWER_REFUSED), ("b", Event.STORED)], (0, 0), (0, 0)),
    ],
)
def test_the_runs_that_set_the_counter_back_in_vain_are_counted_since_the_last_headway(
    engine: Engine,
    events: list[tuple[str, Event | tuple[Event, str | int]]],
    on_the_way: tuple[int, int],
    at_end: tuple[int, int],
) -> None:
    with engine.begin() as connection:
        for run, told_event in events:
            event, more = told_event if isinstance(told_event, tuple) else (told_event, None)
            reason, number = (more, None) if isinstance(more, str) else (None, more)
            raw.append_attempt(connection, "s", run, event, reason=reason, batch_number=number)
        # Another source's counter is none of ours.
        raw.append_attempt(connection, "another", "c", Event.RESTARTED)
        raw.append_attempt(connection, "another", "a", Event.ANSWER_REFUSED)
        for missing, expected in ((1, on_the_way), (None, at_end)):
            vain = raw.vain_restarts(connection, "s", missing)
            assert (vain.runs, vain.refused) == expected
            assert (vain.age > dt.timedelta(0)) == (vain.runs > 0)


def test_vain_restarts_are_as_old_as_the_first_of_them(databases: Databases, engine: Engine) -> None:
    with engine.begin() as connection:
        for run in ("a", "b"):
            raw.append_attempt(connection, "s", run, Event.RESTARTED)
    with databases.connect("raw", "postgres") as owner:
        owner.execute("UPDATE fetch_attempts SET at = at - interval '30 hours' WHERE run_id = 'a'")
    with engine.connect() as connection:
        assert raw.vain_restarts(connection, "s", 1).age > dt.timedelta(hours=30)


def test_the_record_of_requests_tells_counts_losses_and_alarms(engine: Engine) -> None:
    with engine.begin() as connection:
        request = raw.append_attempt(connection, "s", "r", Event.REQUEST_SENT)
        raw.append_attempt(
            connection, "s", "r", Event.ANSWER_REFUSED, request_id=request, reason="NOT_JSON", detail="no",
            body_sha="b", body_head=b"<html>",
        )  # fmt: skip
        raw.append_attempt(connection, "s", "r", Event.GIVEN_UP, batch_number=3, reason="BATCH_LOST", detail="3")
        raw.append_attempt(connection, "s", "r", Event.GIVEN_UP, reason="BATCH_LOST", detail="the last")
        raw.append_attempt(connection, "s", "other", Event.KNOWN, batch_number=0)
        assert raw.events_of_run(connection, "s", "r") == {
            Event.REQUEST_SENT: 1, Event.ANSWER_REFUSED: 1, Event.GIVEN_UP: 2,
        }  # fmt: skip
        assert raw.given_up(connection, "s") == {3}
        assert raw.alarms(connection, "s") == [
            Alarm("r", None, "NOT_JSON", "no"),
            Alarm("r", 3, "BATCH_LOST", "3"),
            Alarm("r", None, "BATCH_LOST", "the last"),
        ]
        assert raw.alarms(connection, "another") == []
