"""What the pipeline reads of the prices that were served: counts of what was asked, and nothing that was refused."""

import datetime as dt

from sqlalchemy import create_engine

from steps.common.store import predictions
from steps.common.store.predictions import Asked
from tests.servers import Databases
from tests.steps.common.store.served import refusal, served

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def after(minutes: int) -> dt.datetime:
    return NOON + dt.timedelta(minutes=minutes)


def test_what_was_asked_since_a_time_is_counted_by_field_and_text(databases: Databases) -> None:
    requests = [
        served(after(0), {"bed": 3, "state": "ohio"}), served(after(1), {"bed": 3, "state": "maine", "city": None}),
        served(after(2), {"bed": 4.5}), refusal(after(3), {"bed": 99}), served(after(4), {"bed": 3}),
    ]  # fmt: skip
    adding, reading = (create_engine(databases.url("raw", role)) for role in ("serving", "pipeline"))
    with adding.begin() as connection:
        predictions.add(connection, requests)
    with reading.connect() as connection:
        everything = predictions.asked_since(connection, None)
        later = predictions.asked_since(connection, after(1))
        nothing = predictions.asked_since(connection, after(60))
    adding.dispose()
    reading.dispose()
    newest = after(4)
    assert everything == Asked(4, {"bed": {"3": 3, "4.5": 1}, "state": {"ohio": 1, "maine": 1}}, newest)
    assert later == Asked(2, {"bed": {"4.5": 1, "3": 1}}, newest)
    assert nothing == Asked(0, {}, None)
