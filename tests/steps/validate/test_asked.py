"""What people asked the API about is in one verdict, on a real PostgreSQL, however late it arrives in RAW."""

import datetime as dt

import pytest
from sqlalchemy import create_engine

from steps.common.store import predictions
from tests.steps.batches import Row, changed, rows, times
from tests.steps.common.store.served import served
from tests.steps.deployment import Deployment
from tests.steps.validate.stages import codes, passed, verdict

BEFORE = rows(1200)

pytestmark = pytest.mark.usefixtures("led_here")


def serve(deployment: Deployment, minutes_ago: int, some: list[Row]) -> None:
    """Ship predictions of so many minutes ago, as serving does."""
    at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes_ago)
    engine = create_engine(deployment.databases.url("raw", "serving"))
    with engine.begin() as connection:
        predictions.add(connection, [served(at, *some)])
    engine.dispose()


def test_every_input_is_in_one_verdict_however_late_it_comes(deployment: Deployment) -> None:
    passed(deployment, "r0", 0, BEFORE)
    serve(deployment, 60, rows(1200, seed=1))
    first = passed(deployment, "r1", 1, rows(1200, seed=2))
    # Served before that verdict was given, and not in RAW yet when validate read.
    serve(deployment, 30, changed(rows(1200, seed=3), house_size=times(3)))
    second, third = passed(deployment, "r2", 2, rows(1200, seed=4)), passed(deployment, "r3", 3, rows(1200, seed=5))
    told = [verdict(deployment, claim) for claim in (first, second, third)]
    assert ["ASKED_OTHERWISE" in codes(one) for one in told] == [False, True, False]
    assert [bool(one.report["inputs"]) for one in told] == [True, True, False]


def test_a_clock_that_ran_ahead_hides_nothing_that_comes_later(deployment: Deployment) -> None:
    passed(deployment, "r0", 0, BEFORE)
    serve(deployment, -60 * 24 * 30, rows(10, seed=1))
    passed(deployment, "r1", 1, rows(1200, seed=2))
    serve(deployment, 0, changed(rows(1200, seed=3), house_size=times(3)))
    assert "ASKED_OTHERWISE" in codes(verdict(deployment, passed(deployment, "r2", 2, rows(1200, seed=4))))


def test_a_verdict_of_before_this_was_written_down_speaks_of_all_up_to_itself(deployment: Deployment) -> None:
    passed(deployment, "r0", 0, BEFORE)
    serve(deployment, 60, changed(rows(1200, seed=1), house_size=times(3)))
    passed(deployment, "r1", 1, rows(1200, seed=2))
    with deployment.databases.connect("ledger", "postgres") as connection:
        connection.execute("ALTER TABLE verdicts DISABLE TRIGGER USER")
        connection.execute("UPDATE verdicts SET report = report - 'inputs_until'")
    assert not verdict(deployment, passed(deployment, "r2", 2, rows(1200, seed=3))).report["inputs"]
