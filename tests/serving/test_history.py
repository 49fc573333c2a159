"""What the page shows of the past, from a ledger that evaluate and promote have really written to."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine

from serving.history import History
from serving.problems import Kind, Refused
from steps.common import registry
from steps.common.store import ledger, models
from steps.common.store.ledger import Alert, Completion
from steps.promote.promote import HOLD
from tests.servers import free_loopback_port
from tests.steps.deployment import Deployment
from tests.steps.promote.stages import SAME, Evaluated, evaluated


@pytest.fixture
def history(deployment: Deployment) -> Iterator[History]:
    engine = create_engine(deployment.databases.url("ledger", "serving"))
    made = History(engine)
    yield made
    engine.dispose()


def promote(deployment: Deployment, ready: Evaluated) -> None:
    done = deployment.run("promote", "--run-id", ready.run_id)
    assert done.returncode in (0, 99), done.stdout + done.stderr


@pytest.fixture
def two_rounds(deployment: Deployment) -> tuple[Evaluated, Evaluated]:
    """Promote a first model, and hold a second that is as good."""
    first = evaluated(deployment, "run 0", 0, None)
    promote(deployment, first)
    second = evaluated(deployment, "run 1", 1, first.version, SAME)
    promote(deployment, second)
    with deployment.ledger.begin() as connection:
        ledger.raise_alert(connection, Alert("CODE", "look at this"), "run 1", 1)
    return first, second


def test_versions_with_errors_then_and_now_and_the_reason(
    history: History, two_rounds: tuple[Evaluated, Evaluated]
) -> None:
    page = history.models(20, 0)
    assert (page["total"], [one["version"] for one in page["models"]]) == (2, [2, 1])
    held, champion = page["models"]
    assert (held["status"], held["verdict"], held["batch_number"]) == ("refused", HOLD, 1)
    assert held["reasons"][0]["code"] == "CANNOT_TELL"
    assert (champion["status"], champion["verdict"]) == ("production", "PROMOTE")
    assert champion["then"]["rmse"] == 52_000.0
    assert champion["now"]["rmse"] == 55_000.0, "as the champion of the newest comparison"
    assert champion["then"]["measured_at"] < champion["now"]["measured_at"]
    assert held["then"] == held["now"]
    assert [one["version"] for one in history.models(1, 1)["models"]] == [two_rounds[0].version]
    assert [event["kind"] for event in history.models(1, 1)["alias_events"]] == ["ALIAS_SET", "PROMOTE_INTENT"]


def test_a_version_with_all_there_is(
    deployment: Deployment, history: History, two_rounds: tuple[Evaluated, Evaluated]
) -> None:
    first, second = two_rounds
    told = models.Explanation(second.claim.claim_id, first.version, second.version, {"paragraph": ["Nothing changed."]})
    with deployment.ledger.begin() as connection:
        models.append_explanation(connection, told)
    found = history.model(first.version)
    assert [one["explanation"] for one in found["comparisons"]] == [told.explanation, None]
    assert [one["role"] for one in found["comparisons"]] == ["champion", "candidate"]
    assert [one["verdict"] for one in found["comparisons"]] == [HOLD, "PROMOTE"]
    newest = found["comparisons"][0]
    assert (newest["candidate_version"], newest["champion_version"]) == (second.version, first.version)
    assert newest["evidence"]["gain"]["distribution"]["replicates"] >= 1000
    assert [event["kind"] for event in found["alias_events"]] == ["ALIAS_SET", "PROMOTE_INTENT"]
    assert [file["path"] for file in found["files"]] == ["model.bin"]
    assert found["status"] == "production"


def test_a_champions_own_comparison_stays_however_many_candidates_came_after(
    deployment: Deployment, history: History
) -> None:
    first = evaluated(deployment, "run 0", 0, None)
    promote(deployment, first)
    later = [evaluated(deployment, f"run {batch}", batch, first.version, SAME) for batch in range(1, 21)]
    found = history.model(first.version)["comparisons"]
    assert [one["candidate_version"] for one in found] == [
        *(one.version for one in reversed(later[1:])), first.version,
    ]  # fmt: skip
    assert (found[-1]["role"], found[-1]["verdict"]) == ("candidate", "PROMOTE")


def test_a_comparison_has_the_verdict_of_the_attempt_that_adopted_it(
    deployment: Deployment, history: History, two_rounds: tuple[Evaluated, Evaluated]
) -> None:
    ready = evaluated(deployment, "run 2", 2, two_rounds[0].version, SAME)
    # Promote died in every retry; the next run takes the batch up and adopts all but that.
    adopter = deployment.claim("run 3", 2, done="evaluate", adopting=ready.claim)
    promote(deployment, Evaluated(adopter, ready.version, ready.champion))
    for version in (ready.version, two_rounds[0].version):
        newest = history.model(version)["comparisons"][0]
        assert (newest["candidate_version"], newest["verdict"]) == (ready.version, HOLD)
        assert newest["reasons"][0]["code"] == "CANNOT_TELL"


def test_batches_with_verdicts_and_reasons(history: History, two_rounds: tuple[Evaluated, Evaluated]) -> None:
    page = history.batches(20, 0)
    assert (page["total"], [one["batch_number"] for one in page["batches"]]) == (2, [1, 0])
    newest = page["batches"][0]
    assert (newest["outcome"], newest["promote"]["verdict"], newest["attempts"]) == (HOLD, HOLD, 1)
    assert newest["champion_version"] == two_rounds[0].version
    found = history.batch(1)
    assert [one["step"] for one in found["steps"]] == [
        "fetch", "validate", "clean", "tune", "train", "evaluate", "promote",
    ]  # fmt: skip
    assert found["evidence"]["candidate"]["version"] == two_rounds[1].version
    assert [(one["code"], one["message"]) for one in found["alerts"]] == [("CODE", "look at this")]
    assert found["history"][0]["outcome"] == HOLD


def test_the_attempt_with_an_outcome_counts_and_adopted_steps_tell_of_their_work(
    deployment: Deployment, history: History
) -> None:
    first = deployment.claim("run 0")
    deployment.complete(first, "fetch", summary={"rows": 7, "received_at": "2026-01-01T00:00:00+00:00"})
    second = deployment.claim("run 1")
    deployment.complete(second, "fetch", adopting=first)
    with deployment.ledger.begin() as connection:
        done = Completion(second.claim_id, "clean", 0, "d", {"refused": 2}, None, 1.5)
        ledger.append_completion(connection, done, None, "SKIP")
    deployment.claim("run 2")
    found = history.batch(0)
    assert (found["run_id"], found["attempt"], found["attempts"]) == ("run 1", 2, 3)
    assert (found["rows"], found["refused"], found["outcome"]) == (7, 2, "SKIP")
    assert [(one["step"], one["adopted"]) for one in found["steps"]] == [("fetch", True), ("clean", False)]
    assert found["received_at"] == "2026-01-01T00:00:00+00:00"
    assert [one["outcome"] for one in found["history"]] == [None, "SKIP", None]


def test_an_empty_ledger_is_empty_pages(history: History) -> None:
    empty: list[Any] = [history.models(20, 0)["models"], history.batches(20, 0)["batches"]]
    assert [*empty, history.alerts(20, 0)["alerts"]] == [[], [], []]
    for read in (history.model, history.batch):
        with pytest.raises(Refused) as refused:
            read(1)
        assert refused.value.kind is Kind.NOT_FOUND


def test_what_was_asked_a_moment_ago_is_not_asked_again(deployment: Deployment, history: History) -> None:
    assert history.batches(20, 0)["total"] == 0
    deployment.claim("run 0")
    assert history.batches(20, 0)["total"] == 0
    assert history.batches(20, 1)["total"] == 1


def test_an_alias_moved_by_hand_is_where_it_is(deployment: Deployment, history: History) -> None:
    one, two = deployment.versions(2)
    deployment.set_alias(one)
    with registry.turn(deployment.tracking, deployment.ledger, None, None) as turn:
        turn.move("PROMOTE_INTENT", two, "better", None)
    assert [found["status"] for found in history.models(20, 0)["models"]] == ["production", "previous"]


def test_a_ledger_that_is_down_is_a_problem_of_these_routes() -> None:
    engine = create_engine(f"postgresql+psycopg://serving:x@127.0.0.1:{free_loopback_port()}/ledger")
    history = History(engine)
    with pytest.raises(Refused) as refused:
        history.models(20, 0)
    assert refused.value.kind is Kind.LEDGER_DOWN
    engine.dispose()
