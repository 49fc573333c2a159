"""A batch that does not come: given up with an alert where the source cannot deliver it, not where it was lost."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

import pytest

from steps.common.step import DONE, FAILED, NOTHING_TO_DO, RETRY
from steps.fetch.fetch import MOST_ATTEMPTS
from tests.steps.fetch.fetching import BATCHES, Fetching

_LAST = BATCHES - 1
_TRIES = 4

type Outage = Callable[[Fetching, int], AbstractContextManager[None]]

# The first answer that is refused ends its run, so that the counter is set back from the next run on; a lost one is
# tried again by the same run, and given up only by one that has lost it, too, a day after the first.
FAULTS = pytest.mark.parametrize(
    ("fault", "failing_runs", "restarts"),
    [
        ("not_a_number", MOST_ATTEMPTS + 1, MOST_ATTEMPTS),
        ("html_page", MOST_ATTEMPTS + 1, MOST_ATTEMPTS),
        ("answer_lost", MOST_ATTEMPTS, MOST_ATTEMPTS + 1),
    ],
)


def pass_hours(fetching: Fetching, hours: int) -> None:
    """Let all that was written down have happened some hours earlier."""
    with fetching.databases.connect("raw", "postgres") as connection:
        connection.execute("UPDATE fetch_attempts SET at = at - make_interval(hours => %s)", (hours,))


def tried(fetching: Fetching, run_id: str, *options: str) -> int:
    """Run fetch, tried again as Airflow would, and return how it ended."""
    for _ in range(_TRIES):
        if (code := fetching.run(run_id, *options)) != RETRY:
            break
    return code


def to_an_end(fetching: Fetching, name: str, *options: str) -> tuple[int, int]:
    """Start a run every eight hours; return how many failed, and how the last one ended."""
    for failed in count():
        if (code := tried(fetching, f"{name}{failed}", *options)) in {DONE, NOTHING_TO_DO}:
            return failed, code
        assert failed < 2 * MOST_ATTEMPTS, fetching.events()
        pass_hours(fetching, 24 // MOST_ATTEMPTS)
    raise AssertionError


def lost(fetching: Fetching) -> list[tuple[object, ...]]:
    return fetching.query("ledger", "SELECT batch_number FROM alerts WHERE code = 'BATCH_LOST' ORDER BY alert_id")


@FAULTS
def test_a_batch_that_never_comes_does_not_block_those_behind_it(
    fetching: Fetching, fault: str, failing_runs: int, restarts: int
) -> None:
    fetching.batch("r0")
    fetching.misbehave({"fault": fault, "batch": 1, "times": None})
    assert to_an_end(fetching, "bad") == (failing_runs, DONE)
    assert list(fetching.stored()) == [0, 2]
    assert lost(fetching) == [(1,)]
    fetching.finish(f"bad{failing_runs}", "HOLD")
    for number in range(3, BATCHES):
        fetching.batch(f"r{number}")
    assert fetching.run("idle") == NOTHING_TO_DO
    assert fetching.events().count("RESTARTED") == restarts
    assert lost(fetching) == [(1,)]


@FAULTS
def test_a_last_batch_that_never_comes_does_not_hide_the_end(
    fetching: Fetching, fault: str, failing_runs: int, restarts: int
) -> None:
    for number in range(_LAST):
        fetching.batch(f"r{number}")
    fetching.misbehave({"fault": fault, "batch": _LAST, "times": None})
    assert to_an_end(fetching, "bad", "--force-train", "true") == (failing_runs, DONE)
    assert fetching.query("ledger", "SELECT batch_number, force_train FROM claims ORDER BY claim_id DESC LIMIT 1") == [
        (_LAST - 1, True)
    ]
    fetching.finish(f"bad{failing_runs}", "HOLD")
    assert lost(fetching) == [(None,)]
    assert fetching.run("idle") == NOTHING_TO_DO
    assert fetching.events().count("RESTARTED") == restarts


@contextmanager
def answers_lost(fetching: Fetching, number: int) -> Iterator[None]:
    """Let the link break whenever this batch is delivered."""
    fetching.misbehave({"fault": "answer_lost", "batch": number, "times": None})
    yield
    fetching.misbehave()


@contextmanager
def volume_full(fetching: Fetching, _: int) -> Iterator[None]:
    """Let RAW have no room for another batch."""
    with fetching.databases.connect("raw", "postgres") as connection:
        connection.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute("CREATE TRIGGER full_volume BEFORE INSERT ON listings EXECUTE FUNCTION no_room()")
    yield
    with fetching.databases.connect("raw", "postgres") as connection:
        connection.execute("DROP FUNCTION no_room CASCADE")


@pytest.mark.parametrize("number", [1, _LAST])
@pytest.mark.parametrize(("outage", "hours"), [(answers_lost, 25), (volume_full, 0)])
def test_an_outage_of_some_runs_loses_no_batch(fetching: Fetching, number: int, outage: Outage, hours: int) -> None:
    for before in range(number):
        fetching.batch(f"r{before}")
    with outage(fetching, number):
        for run in range(MOST_ATTEMPTS):
            assert tried(fetching, f"bad{run}") == FAILED
    assert fetching.events().count("RESTARTED") == MOST_ATTEMPTS
    pass_hours(fetching, hours)
    assert tried(fetching, "mended") == DONE
    assert list(fetching.stored()) == list(range(number + 1))
    assert lost(fetching) == []


def test_a_batch_that_was_given_up_is_stored_once_it_comes(fetching: Fetching) -> None:
    fetching.batch("r0")
    fetching.misbehave({"fault": "not_a_number", "batch": 1, "times": None})
    failed, _ = to_an_end(fetching, "bad")
    fetching.finish(f"bad{failed}", "HOLD")
    fetching.misbehave()
    fetching.set_back()
    assert fetching.run("mended") == DONE
    assert list(fetching.stored()) == [0, 1, 2]


def test_only_the_batch_that_never_comes_is_given_up(fetching: Fetching) -> None:
    fetching.batch("r0")
    fetching.misbehave({"fault": "not_a_number", "batch": 1, "times": None})
    for run in range(MOST_ATTEMPTS + 1):
        assert fetching.run(f"bad{run}") == FAILED
    # What somebody took meanwhile is good, and would be lost with the bad one.
    fetching.take_away(1)
    assert to_an_end(fetching, "again") == (1, DONE)
    assert list(fetching.stored()) == [0, 2]
    assert lost(fetching) == [(1,)]


def test_a_good_last_batch_is_not_given_up_with_the_bad_one_before_it(fetching: Fetching) -> None:
    for number in range(_LAST - 1):
        fetching.batch(f"r{number}")
    fetching.misbehave({"fault": "not_a_number", "batch": _LAST - 1, "times": None})
    for run in range(MOST_ATTEMPTS + 1):
        assert fetching.run(f"bad{run}") == FAILED
    # It came, and was set aside, each time; now its answer is lost, and the source at its end.
    fetching.misbehave(
        {"fault": "not_a_number", "batch": _LAST - 1, "times": None}, {"fault": "answer_lost", "batch": _LAST}
    )
    assert to_an_end(fetching, "again") == (1, DONE)
    assert list(fetching.stored()) == [*range(_LAST - 1), _LAST]
    assert lost(fetching) == [(_LAST - 1,)]


def test_a_refused_answer_is_kept_with_the_number_it_names(fetching: Fetching) -> None:
    fetching.batch("r0")
    fetching.misbehave({"fault": "not_a_number"}, {"fault": "connection_cut"}, {"fault": "html_page"})
    assert fetching.run("named") == FAILED
    assert fetching.run("lost") == RETRY
    assert fetching.run("page") == FAILED
    rows = "SELECT event, batch_number FROM fetch_attempts WHERE body_head IS NOT NULL ORDER BY attempt_id"
    assert fetching.query("raw", rows) == [("ANSWER_REFUSED", 1), ("LOST", 2), ("ANSWER_REFUSED", None)]
    assert fetching.query("ledger", "SELECT code, batch_number FROM alerts ORDER BY alert_id") == [
        ("NOT_FINITE", 1),
        ("CONNECTION_LOST", 2),
        ("NOT_JSON", None),
    ]
