"""From the spool to RAW: every row once, in any order, also what JSON may hold and PostgreSQL may not."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from serving import predictions
from serving.predictions import Shipper, storable
from serving.spool import Spool
from steps.common.store.predictions import add
from tests.servers import Databases
from tests.serving.running import stored
from tests.steps.common.listings import house

PLENTY = 1 << 30
PATIENCE_SECONDS = 30


def payload(request_id: str = "r", priced: int = 1, **changes: object) -> bytes:
    listings = b"[" + b",".join([house(**changes).model_dump_json().encode()] * priced) + b"]"
    return predictions.encode(predictions.entry(request_id, "/predict", 3, listings, [100_000.25] * priced))


def append(spool: Spool, *payloads: bytes) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*map(spool.append, payloads))

    asyncio.run(all_of_them())


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", PLENTY)
    yield made
    made.close()


@pytest.fixture
def shipper(spool: Spool, databases: Databases) -> Iterator[Shipper]:
    raw = create_engine(databases.url("raw", "serving"))
    yield Shipper(spool, raw, 0.05)
    raw.dispose()


def ship(shipper: Shipper, spool: Spool) -> None:
    """Ship all there is."""
    shipper.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while spool.held_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    shipper.close()


def test_a_stored_request_is_its_rows_in_their_order(spool: Spool, shipper: Shipper, databases: Databases) -> None:
    listings = b"[" + house().model_dump_json().encode() + b"," + house(bed=4).model_dump_json().encode() + b"]"
    refused = [(1, {"bed": 99}, "bed: too many"), (3, {"sent": 7}, "listing: is none")]
    made = predictions.entry("r", "/predict-batch", 3, listings, [1.1, 2.5], refused)
    append(spool, predictions.encode(made))
    ship(shipper, spool)
    found = sorted(stored(databases), key=lambda row: str(row["inference_id"]))
    assert [str(row["inference_id"]) for row in found] == [made.inference_id(number) for number in range(4)]
    assert [(row["price"], row["status"], row["error"]) for row in found] == [
        (1.1, "PRICED", None), (None, "REFUSED", "bed: too many"), (2.5, "PRICED", None),
        (None, "REFUSED", "listing: is none"),
    ]  # fmt: skip
    assert [row["input"].get("bed") for row in found] == [3.0, 99, 4.0, None]
    assert found[0]["served_at"].timestamp() == pytest.approx(made.served_at, abs=1e-6)


def test_prices_keep_their_numbers_and_digits_between_refused_rows(
    spool: Spool, shipper: Shipper, databases: Databases
) -> None:
    refused = [(row, {"row": row}, "no") for row in range(1000) if row % 7 in {0, 3}]
    rows = sorted(set(range(1000)) - {row for row, _, _ in refused})
    listings = json.dumps([{"row": row} for row in rows]).encode()
    made = predictions.entry("r", "/predict-batch", 3, listings, [row / 7 for row in rows], refused)
    append(spool, predictions.encode(made))
    ship(shipper, spool)
    found = {str(row["inference_id"]): (row["input"], row["price"]) for row in stored(databases)}
    assert found == {
        made.inference_id(row): ({"row": row}, row / 7 if row % 7 not in {0, 3} else None) for row in range(1000)
    }


def test_everything_arrives_once(spool: Spool, shipper: Shipper, databases: Databases) -> None:
    append(spool, *(payload(f"r{number}", priced=3) for number in range(50)))
    ship(shipper, spool)
    found = stored(databases)
    assert len(found) == len({row["inference_id"] for row in found}) == 150
    assert {row["request_id"] for row in found} == {f"r{number}" for number in range(50)}
    assert found[0]["input"]["state"] == "massachusetts"
    assert (found[0]["price"], found[0]["version"], found[0]["status"]) == (100_000.25, 3, "PRICED")
    assert shipper.shipped == 150


def test_shipped_again_is_the_same(databases: Databases) -> None:
    engine = create_engine(databases.url("raw", "serving"))
    first, second = storable(payload(priced=5)), storable(payload(priced=2))
    added = []
    for some in ([first], [first], [second, first], []):
        with engine.begin() as connection:
            added.append(add(connection, some))
    engine.dispose()
    assert added == [5, 0, 2, 0]
    assert len(stored(databases)) == 7


def test_characters_that_postgresql_has_not(spool: Spool, shipper: Shipper, databases: Databases) -> None:
    odd = "a\x00b\\u0000\t\n\r\\N\x7f\u2028\U0001f3e0"
    sent = [(0, {"city": odd}, f"city: {odd}")]
    refused = predictions.encode(predictions.entry("r", "/predict", None, b"[]", [], sent))
    append(spool, payload(city=odd), refused)
    ship(shipper, spool)
    refusal, priced = stored(databases)
    assert priced["input"]["city"].startswith("a\ufffdb")
    assert refusal["error"].startswith("city: a\ufffdb\\u0000\t\n\r\\N")
    assert (refusal["price"], refusal["version"]) == (None, None)


def test_what_cannot_be_shipped_is_set_aside_and_holds_nothing_up(
    spool: Spool, shipper: Shipper, databases: Databases
) -> None:
    append(spool, payload().replace(b'"bed":3.0', b'"bed":1e999999'))
    spool.rotate()
    append(spool, payload("good"))
    ship(shipper, spool)
    assert [row["request_id"] for row in stored(databases)] == ["good"]
    (kept,) = (path for path in spool.folder.iterdir() if path.suffix == ".refused")
    assert b"1e999999" in kept.read_bytes()


def test_serving_may_only_add(databases: Databases) -> None:
    import psycopg

    for statement in (
        "SELECT * FROM predictions", "DELETE FROM predictions", "UPDATE predictions SET price = 0",
        "SELECT * FROM batches", "INSERT INTO batches DEFAULT VALUES",
    ):  # fmt: skip
        with databases.connect("raw", "serving") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
    with databases.connect("raw") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("INSERT INTO predictions DEFAULT VALUES")
