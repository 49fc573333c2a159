"""Which batch a run gets: new, interrupted, abandoned, forced, or none; on a real source and a real ledger."""

import pytest

from steps.common.step import DONE, FAILED, FENCED, NOTHING_TO_DO, RETRY, main
from steps.fetch import claiming
from steps.fetch.__main__ import FETCH
from tests.servers import free_loopback_port
from tests.steps.fetch.fetching import BATCHES, Fetching, codes


def claims(fetching: Fetching) -> list[tuple[object, ...]]:
    return fetching.query("ledger", "SELECT run_id, batch_number, attempt, force_train FROM claims ORDER BY claim_id")


def test_all_batches_come_one_a_run_and_then_there_is_nothing_to_do(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(BATCHES):
        fetching.batch(f"r{number}")
    assert list(fetching.stored()) == list(range(BATCHES))
    assert claims(fetching) == [(f"r{number}", number, 1, False) for number in range(BATCHES)]
    assert fetching.run("idle") == NOTHING_TO_DO
    assert "Ya se recolectó" in capsys.readouterr().out
    (reason,) = fetching.query("ledger", "SELECT reason FROM idle_runs WHERE run_id = 'idle'")[0]
    assert "the source is at its end (HTTP 400: Ya se recolectó toda la información mínima necesaria)" in reason
    assert fetching.alerts() == []


def test_a_finished_run_that_is_cleared_changes_nothing_and_asks_nobody(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching.batch("r0")
    before = fetching.state(), fetching.events()
    capsys.readouterr()
    assert fetching.run("r0") == DONE
    assert "this step was done before" in capsys.readouterr().out
    assert (fetching.state(), fetching.events()) == before


def test_a_run_that_found_nothing_finds_nothing_when_cleared(fetching: Fetching) -> None:
    fetching.take_away(BATCHES)
    assert fetching.run("idle") == NOTHING_TO_DO
    fetching.set_back()
    before = fetching.state(), fetching.events()
    assert fetching.run("idle") == NOTHING_TO_DO
    assert (fetching.state(), fetching.events()) == before
    assert fetching.run("later") == DONE


def test_an_interrupted_batch_is_taken_up_and_its_fetch_adopted(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    fetching.batch("r0", outcome=None)
    asked = fetching.asked()
    assert fetching.run("r1") == DONE
    assert "adopted from an earlier attempt" in capsys.readouterr().out
    assert claims(fetching) == [("r0", 0, 1, False), ("r1", 0, 2, False)]
    assert fetching.query("ledger", "SELECT claim_id, adopted_from FROM completions ORDER BY 1") == [(1, None), (2, 1)]
    assert fetching.asked() == asked


def test_a_batch_is_abandoned_after_three_attempts_and_the_next_one_comes(fetching: Fetching) -> None:
    for run_id in ("r0", "r1", "r2"):
        fetching.batch(run_id, outcome=None)
    assert fetching.run("r3") == DONE
    assert fetching.query("ledger", "SELECT claim_id, outcome FROM outcomes") == [(3, "ABANDONED")]
    assert fetching.query("ledger", "SELECT code, run_id, batch_number FROM alerts") == [("ABANDONED", "r2", 0)]
    assert claims(fetching)[-1] == ("r3", 1, 1, False)


def test_attempts_are_counted_since_the_last_outcome(fetching: Fetching) -> None:
    fetching.batch("r0")
    fetching.take_away(BATCHES - 1)
    for run_id in ("f1", "f2", "f3"):
        assert fetching.run(run_id, "--force-train", "true", allow_restart="false") == DONE
    assert claims(fetching)[1:] == [("f1", 0, 2, True), ("f2", 0, 3, True), ("f3", 0, 4, True)]
    assert fetching.run("f4", allow_restart="false") == NOTHING_TO_DO
    assert fetching.query("ledger", "SELECT claim_id, outcome FROM outcomes") == [(1, "HOLD"), (4, "ABANDONED")]


def test_an_abandoned_attempt_is_over_for_whoever_still_works_on_it(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    from steps.common import step as protocol
    from steps.common.step import FENCED, Result, Step

    for run_id in ("r0", "r1", "r2", "r3"):
        fetching.batch(run_id, outcome=None)
    capsys.readouterr()
    validate = Step("validate", lambda _: Result("d", {}), lambda *_: None)
    assert protocol.main(validate, ["--run-id", "r2"]) == FENCED
    assert "a later run has abandoned it" in capsys.readouterr().out


def test_a_new_batch_of_a_forced_run_is_a_forced_attempt(fetching: Fetching) -> None:
    assert fetching.run("r0", "--force-train", "true") == DONE
    assert claims(fetching) == [("r0", 0, 1, True)]
    # Taken up by a run that forces nothing, it stays what somebody asked for.
    assert fetching.run("r1", "--force-train", "false") == DONE
    assert claims(fetching)[1] == ("r1", 0, 2, True)


def test_without_a_new_batch_a_forced_run_takes_the_one_finished_last(fetching: Fetching) -> None:
    for number, outcome in enumerate(("PROMOTE", "HOLD", "QUARANTINE", "SKIP", "REJECT", "QUARANTINE")):
        fetching.batch(f"r{number}", outcome=outcome)
    assert fetching.run("again", "--force-train", "true") == DONE
    assert claims(fetching)[-1] == ("again", 4, 2, True)
    (adopted,) = fetching.query("ledger", "SELECT adopted_from FROM completions ORDER BY claim_id DESC LIMIT 1")[0]
    assert adopted is None


def test_a_forced_run_with_nothing_to_train_on_says_so(fetching: Fetching, capsys: pytest.CaptureFixture[str]) -> None:
    fetching.take_away(BATCHES)
    assert fetching.run("r0", "--force-train", "true") == NOTHING_TO_DO
    assert "none so that it could be trained on again" in capsys.readouterr().out


def test_two_processes_of_one_run_store_and_claim_one_batch(fetching: Fetching) -> None:
    fetching.misbehave({"fault": "late_first_byte", "seconds": 2, "times": 1})
    assert codes([fetching.start("r0"), fetching.start("r0")]) == [DONE, DONE]
    assert claims(fetching) == [("r0", 0, 1, False)]
    assert list(fetching.stored()) == [0]
    assert fetching.asked() == 1


def test_two_runs_at_once_leave_one_winner_per_batch(fetching: Fetching) -> None:
    fetching.misbehave({"fault": "late_first_byte", "seconds": 2, "times": 1})
    ended = dict(zip("ab", codes([fetching.start("a"), fetching.start("b")]), strict=True))
    # The second finds the first's batch unfinished and cannot know that it is alive: it takes over, and fences it,
    # unless the first was done before that.
    (loser, *first), (winner, *second) = (claim[:3] for claim in claims(fetching))
    assert (first, second) == ([0, 1], [0, 2])
    assert ended[str(winner)] == DONE
    assert ended[str(loser)] in {DONE, FENCED}
    assert (1,) in fetching.query("ledger", "SELECT count(*) FROM completions WHERE claim_id = 2")
    assert list(fetching.stored()) == [0]
    assert fetching.asked() == 1


def test_a_ledger_of_another_source_is_refused(fetching: Fetching, capsys: pytest.CaptureFixture[str]) -> None:
    fetching.batch("r0")
    before = fetching.state()
    assert fetching.run("r1", source_id="another source") == FAILED
    assert "this ledger belongs to the source test source, not to another source" in capsys.readouterr().out
    assert fetching.state() == before


def test_waiting_for_the_source_counts_as_the_steps_time(fetching: Fetching) -> None:
    fetching.misbehave({"fault": "late_first_byte", "seconds": 1.5, "times": 1})
    fetching.batch("r0")
    assert fetching.query("ledger", "SELECT seconds > 1.5 FROM completions") == [(True,)]


@pytest.mark.parametrize("database", ["raw", "ledger"])
def test_a_database_away_is_named_with_its_setting(
    fetching: Fetching, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    port = free_loopback_port()
    address = f"postgresql+psycopg://pipeline:pw@127.0.0.1:{port}/{database}"
    assert fetching.run("r0", **{f"{database}_url": address}) == RETRY
    printed = capsys.readouterr().out
    assert f"APPRAISER_{database.upper()}_URL: no answer from 127.0.0.1:{port}/{database}" in printed
    assert "Traceback" not in printed


def test_a_source_away_is_named_and_counts_as_never_asked(
    fetching: Fetching, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_loopback_port()
    assert fetching.run("r0", source_url=f"http://127.0.0.1:{port}") == RETRY
    printed = capsys.readouterr().out
    assert f"APPRAISER_SOURCE_URL: no answer from http://127.0.0.1:{port}" in printed
    assert "Traceback" not in printed
    assert fetching.events() == ["REQUEST_SENT", "NOT_SENT"]
    assert fetching.alerts() == []


@pytest.mark.parametrize("options", [["--force-train", "yes"], ["--force"], ["--trials", "3"]])
def test_wrong_options_are_an_error_of_usage(options: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(FETCH, ["--run-id", "r0", *options])
    assert ending.value.code == 2


def test_rows_changed_in_raw_are_found(fetching: Fetching, capsys: pytest.CaptureFixture[str]) -> None:
    fetching.batch("r0", outcome=None)
    with fetching.databases.connect("raw", "postgres") as connection:
        connection.execute("UPDATE listings SET price = '1' WHERE row_number = 3")
    assert fetching.run("r1") == FAILED
    assert "BatchGone: RAW does not hold batch 0 as it was claimed" in capsys.readouterr().out
    assert fetching.alerts() == ["BATCH_GONE"]


def test_whoever_waits_in_vain_for_another_fetch_tries_again_later(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claiming, "_TURN_SECONDS", 0.1)
    with fetching.databases.connect("raw") as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('fetch/test source', 0))")
        assert fetching.run("r0", answer_seconds="0.5") == RETRY
    assert "another process holds 'fetch/test source'" in capsys.readouterr().out
    assert fetching.events() == []
