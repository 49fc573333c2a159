"""What becomes of every bad answer, lost batch and moved counter, on the real source told to misbehave."""

import pytest

from steps.common.step import DONE, FAILED, NOTHING_TO_DO, RETRY
from tests.steps.fetch.fetching import BATCHES, Fetching, output
from tests.steps.fetch.scripted_source import response, scripted
from tests.steps.fetch.test_answer import ROW, text_of

_LAST = BATCHES - 1


@pytest.mark.parametrize(
    ("misbehaviour", "code", "event", "reason"),
    [
        ({"fault": "server_error", "status": 500}, RETRY, "LOST", "HTTP_STATUS"),
        ({"fault": "server_error", "status": 503}, RETRY, "LOST", "HTTP_STATUS"),
        ({"fault": "connection_cut"}, RETRY, "LOST", "CONNECTION_LOST"),
        ({"fault": "answer_lost"}, RETRY, "LOST", "CONNECTION_LOST"),
        ({"fault": "late_first_byte", "seconds": 5}, RETRY, "LOST", "DEADLINE"),
        ({"fault": "slow_drip", "seconds": 0.2}, RETRY, "LOST", "DEADLINE"),
        ({"fault": "html_page"}, FAILED, "ANSWER_REFUSED", "NOT_JSON"),
        ({"fault": "truncated"}, FAILED, "ANSWER_REFUSED", "TRUNCATED"),
        ({"fault": "gzip_bomb", "mebibytes": 1024}, FAILED, "ANSWER_REFUSED", "TOO_LARGE"),
        ({"fault": "not_a_number"}, FAILED, "ANSWER_REFUSED", "NOT_FINITE"),
        ({"fault": "missing_key"}, FAILED, "ANSWER_REFUSED", "MISSING_KEY"),
        ({"fault": "extra_key"}, FAILED, "ANSWER_REFUSED", "EXTRA_KEY"),
        ({"fault": "no_rows"}, FAILED, "ANSWER_REFUSED", "EMPTY"),
        ({"fault": "tenfold"}, FAILED, "ANSWER_REFUSED", "TOO_MANY_ROWS"),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else "",
)
def test_nothing_of_a_bad_answer_is_stored_and_the_next_run_has_the_batch(
    fetching: Fetching,
    capsys: pytest.CaptureFixture[str],
    misbehaviour: dict[str, object],
    code: int,
    event: str,
    reason: str,
) -> None:
    fetching.batch("r0")
    before = fetching.stored()
    fetching.misbehave({**misbehaviour, "times": 1})
    assert fetching.run("r1", answer_seconds="1.5", answer_megabytes="20") == code
    printed = capsys.readouterr().out
    assert f"{reason}: " in printed
    assert "Traceback" not in printed
    assert fetching.stored() == before
    assert [refusal[:2] for refusal in fetching.refusals()] == [(event, reason)]
    assert fetching.refusals()[0][3] <= 1 << 16
    assert fetching.query("ledger", "SELECT code, run_id FROM alerts") == [(reason, "r1")]
    # The lost batch shows by the number of the next one: the counter is set back, once, and nothing is missing.
    assert fetching.run("r2") == DONE
    assert list(fetching.stored()) == [0, 1]
    expected = ["GAP", "RESTARTED", "KNOWN", "STORED"]
    assert [event for event in fetching.events() if event != "REQUEST_SENT"][-4:] == expected


def test_the_same_run_tried_again_after_a_lost_answer_has_the_batch(fetching: Fetching) -> None:
    fetching.misbehave({"fault": "answer_lost", "times": 1})
    assert fetching.run("r0") == RETRY
    assert fetching.run("r0") == DONE
    assert list(fetching.stored()) == [0]
    assert fetching.query("ledger", "SELECT summary->>'restarts', summary->>'known_batches' FROM completions") == [
        ("1", "0")
    ]


@pytest.mark.parametrize("fault", ["answer_lost", "truncated"])
def test_a_lost_last_batch_is_found_although_the_source_is_at_its_end(fetching: Fetching, fault: str) -> None:
    for number in range(_LAST):
        fetching.batch(f"r{number}")
    fetching.misbehave({"fault": fault, "batch": _LAST, "times": 1})
    assert fetching.run("lost") in {RETRY, FAILED}
    assert fetching.run("next") == DONE
    assert list(fetching.stored()) == list(range(BATCHES))
    told = [event for event in fetching.events() if event != "REQUEST_SENT"]
    assert told[-8:] == ["END", "RESTARTED", *["KNOWN"] * _LAST, "STORED"]
    fetching.finish("next", "HOLD")
    # The end is certain now: nothing is replayed again.
    assert fetching.run("idle") == NOTHING_TO_DO
    assert fetching.events()[-2:] == ["REQUEST_SENT", "END"]


def test_a_batch_lost_again_after_the_restart_is_left_to_the_next_run(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching.misbehave({"fault": "answer_lost", "batch": 0, "times": 2})
    assert fetching.run("r0") == RETRY
    assert fetching.run("r0") == RETRY
    assert fetching.events().count("RESTARTED") == 1
    capsys.readouterr()
    assert fetching.run("r0") == FAILED
    assert "this run has set the counter back once, the next run will do so again" in capsys.readouterr().out
    assert fetching.events().count("RESTARTED") == 1
    assert fetching.stored() == {}
    assert fetching.run("r1") == DONE
    assert list(fetching.stored()) == [0]
    assert fetching.alerts() == ["CONNECTION_LOST", "BATCH_MISSED"]


def test_where_the_counter_must_not_be_set_back_the_loss_is_told(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching.batch("r0")
    fetching.take_away(2)
    fetching.batch("r1", allow_restart="false")
    assert list(fetching.stored()) == [0, 3]
    printed = capsys.readouterr().out
    assert "batch 1 is lost: the source has come to 3; the counter must not be set back" in printed
    assert fetching.query("ledger", "SELECT code, batch_number FROM alerts ORDER BY 2") == [
        ("BATCH_LOST", 1),
        ("BATCH_LOST", 2),
    ]
    # Once given up, they are not told again; should one come after all, it is welcome.
    fetching.batch("r2", allow_restart="false")
    assert len(fetching.alerts()) == 2
    fetching.set_back()
    assert fetching.run("r3", allow_restart="false") == DONE
    assert list(fetching.stored()) == [0, 1, 3, 4]
    assert "RESTARTED" not in fetching.events()


def test_a_lost_last_batch_that_must_not_be_replayed_is_told(fetching: Fetching) -> None:
    fetching.take_away(_LAST)
    fetching.misbehave({"fault": "answer_lost", "times": 1})
    assert fetching.run("r0", allow_restart="false") == RETRY
    assert fetching.run("r0", allow_restart="false") == NOTHING_TO_DO
    assert fetching.alerts() == ["CONNECTION_LOST", "BATCH_LOST"]
    assert fetching.run("r1", allow_restart="false") == NOTHING_TO_DO
    assert len(fetching.alerts()) == 2


def test_batches_before_the_first_one_seen_are_asked_for(fetching: Fetching) -> None:
    fetching.take_away(2)
    assert fetching.run("r0") == DONE
    assert list(fetching.stored()) == [0]
    assert "RESTARTED" in fetching.events()


def test_a_counter_set_back_by_somebody_else_is_passed_through(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching.batch("r0")
    fetching.batch("r1")
    fetching.misbehave({"fault": "counter_reset", "times": 1})
    capsys.readouterr()
    assert fetching.run("r2") == DONE
    assert list(fetching.stored()) == [0, 1, 2]
    assert "2 passed over" in capsys.readouterr().out
    assert "RESTARTED" not in fetching.events()


def test_a_batch_taken_by_somebody_else_is_asked_for_again(fetching: Fetching) -> None:
    fetching.batch("r0")
    fetching.misbehave({"fault": "batch_taken", "times": 1})
    assert fetching.run("r1") == DONE
    assert list(fetching.stored()) == [0, 1]


def test_somebody_who_takes_the_batch_every_time_does_not_block_the_rest(fetching: Fetching) -> None:
    fetching.misbehave({"fault": "batch_taken", "batch": 0, "times": 2})
    assert fetching.run("r0") == DONE
    assert list(fetching.stored()) == [1]
    assert fetching.query("ledger", "SELECT code, batch_number FROM alerts") == [("BATCH_LOST", 0)]


def test_a_counter_that_is_always_set_back_ends_the_run(fetching: Fetching, capsys: pytest.CaptureFixture[str]) -> None:
    fetching.batch("r0")
    fetching.misbehave({"fault": "counter_reset", "times": None})
    assert fetching.run("r1") == FAILED
    assert "CounterUnsteady: batch 0 came 3 times in one run" in capsys.readouterr().out
    assert list(fetching.stored()) == [0]


def test_another_encoding_of_a_stored_batch_is_known(fetching: Fetching) -> None:
    fetching.batch("r0")
    fetching.set_back()
    fetching.misbehave({"fault": "rows_as_lists", "batch": 0, "times": 1})
    assert fetching.run("r1") == DONE
    assert list(fetching.stored()) == [0, 1]
    assert fetching.events() == ["REQUEST_SENT", "STORED", "REQUEST_SENT", "KNOWN", "REQUEST_SENT", "STORED"]


def test_the_number_of_a_stored_batch_with_other_content_is_refused(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching.batch("r0")
    before = fetching.stored()
    fetching.set_back()
    fetching.misbehave({"fault": "other_content", "batch": 0, "times": 1})
    assert fetching.run("r1") == FAILED
    assert "CHANGED_CONTENT: the number of a stored batch with other content: batch 0" in capsys.readouterr().out
    assert fetching.stored() == before
    assert fetching.refusals()[0][:2] == ("CHANGED", "CHANGED_CONTENT")
    assert fetching.alerts() == ["CHANGED_CONTENT"]
    assert fetching.run("r2") == DONE
    assert list(fetching.stored()) == [0, 1]
    assert "RESTARTED" not in fetching.events()


def test_a_group_the_source_does_not_have_is_refused_in_its_own_words(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetching.run("r0", source_group="99") == FAILED
    assert "refuses to answer: HTTP 400: Número de grupo inválido" in capsys.readouterr().out
    assert fetching.events() == ["REQUEST_SENT", "QUESTION_REFUSED"]
    assert fetching.alerts() == ["QUESTION_REFUSED"]


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (101, "GAP: batches before this one are missing: 101 of those before batch 101"),
        # All below it are listed; of a number like this the list would fill the memory.
        (10**12, "OTHER_SHAPE: JSON, but not of the shape of a batch: Expected `int` <= 99999"),
    ],
)
def test_a_number_far_ahead_is_another_counter_than_ours(
    fetching: Fetching, capsys: pytest.CaptureFixture[str], number: int, why: str
) -> None:
    body = text_of([ROW], shape={"batch_number": number, "group_number": fetching.group})
    with scripted([response(body)]) as source:
        assert fetching.run("r0", source_url=source.url, allow_restart="false") == FAILED
    assert why in capsys.readouterr().out
    assert fetching.stored() == {}


def test_the_number_may_come_after_the_rows(fetching: Fetching) -> None:
    def answer(number: int, **row: object) -> list[bytes]:
        shape = {"batch_number": number, "group_number": fetching.group}
        body = text_of([{**ROW, **row}] * 20, shape=shape, order=("data", "day", "batch_number"))
        return [response(body)]

    first, second = answer(0), answer(1, price=1.0)
    with scripted(first, first, second) as source:
        fetching.batch("r0", source_url=source.url)
        fetching.batch("r1", source_url=source.url)
    assert list(fetching.stored()) == [0, 1]
    told = ["STORED", "KNOWN", "STORED"]
    assert [event for event in fetching.events() if event != "REQUEST_SENT"] == told
    numbers = fetching.query("raw", "SELECT row_number FROM listings WHERE batch_number = 1 ORDER BY row_number")
    assert numbers == [(number,) for number in range(20)]


def test_values_are_stored_as_they_were_received(fetching: Fetching) -> None:
    row = {**ROW, "city": "Nul\\N\t\u2028", "zip_code": "01001", "acre_lot": None, "prev_sold_date": "", "bed": True}
    body = text_of([row], shape={"group_number": fetching.group, "batch_number": 0})
    with scripted([response(body.replace(b"289900.0", b"2.899000E+05"))]) as source:
        fetching.batch("r0", source_url=source.url)
    (stored,) = fetching.query(
        "raw", "SELECT price, city, zip_code, acre_lot, prev_sold_date, bed, street, row_number FROM listings"
    )
    assert stored == ("2.899000E+05", "Nul\\N\t\u2028", "01001", None, "", "true", "1758218.0", 0)


def test_a_batch_stored_by_somebody_else_meanwhile_is_not_stored_twice(fetching: Fetching) -> None:
    # As after PostgreSQL was restarted: the lock that keeps two from asking at once has gone with its connection.
    fetching.misbehave({"fault": "late_first_byte", "seconds": 3, "batch": 0, "times": 1})
    slow = fetching.start("slow")
    fetching.source.wait_for("asked", len(fetching.source.events("asked")) + 1)
    with fetching.databases.connect("raw", "postgres") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    fetching.set_back()
    assert fetching.run("quick") == DONE
    printed = output(slow)
    assert slow.returncode == RETRY
    assert "duplicate key" in printed
    assert list(fetching.stored()) == [0]
    assert fetching.run("slow") == DONE
    assert list(fetching.stored()) == [0]
