"""What the pipeline reads of the prices that were served: counts of what was asked, and nothing that was refused."""

import datetime as dt
import json
import uuid

from sqlalchemy import create_engine

from steps.common.store import predictions
from steps.common.store.predictions import PRICED, REFUSED, Asked, Prediction
from tests.servers import Databases

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def served(minutes: int, status: str = PRICED, **given: object) -> Prediction:
    """Return a prediction made some minutes after noon."""
    at = NOON + dt.timedelta(minutes=minutes)
    price, version = (100_000.0, 1) if status == PRICED else (None, None)
    return Prediction(str(uuid.uuid4()), at, "r", "/predict", json.dumps(given), price, version, status, None)


def test_what_was_asked_since_a_time_is_counted_by_field_and_text(databases: Databases) -> None:
    rows = [
        served(0, bed=3, state="ohio"), served(1, bed=3, state="maine", city=None), served(2, bed=4.5),
        served(3, REFUSED, bed=99), served(4, bed=3),
    ]  # fmt: skip
    adding, reading = (create_engine(databases.url("raw", role)) for role in ("serving", "pipeline"))
    with adding.begin() as connection:
        predictions.add(connection, rows)
    with reading.connect() as connection:
        everything = predictions.asked_since(connection, None)
        later = predictions.asked_since(connection, NOON + dt.timedelta(minutes=1))
        nothing = predictions.asked_since(connection, NOON + dt.timedelta(hours=1))
    adding.dispose()
    reading.dispose()
    newest = NOON + dt.timedelta(minutes=4)
    assert everything == Asked(4, {"bed": {"3": 3, "4.5": 1}, "state": {"ohio": 1, "maine": 1}}, newest)
    assert later == Asked(2, {"bed": {"4.5": 1, "3": 1}}, newest)
    assert nothing == Asked(0, {}, None)
