"""Each fault of the data source, as a client meets it; every fault has its test."""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.misbehaviour import Fault, Misbehaviour, Script, ScriptUnreadable, read_script
from local.processes import UNENCRYPTED
from local.source import THE_END
from local.source_delivery import bomb
from tests.local.source_server import RunningSource, running_source


@pytest.fixture(scope="module")
def source() -> Iterator[RunningSource]:
    with running_source("--scale", "0.4", "--allow-misbehave") as running:
        yield running


@pytest.fixture
def client(source: RunningSource) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as opened:
        opened.post("/misbehave", json=[]).raise_for_status()
        opened.get("/restart_data_generation?group_number=1").raise_for_status()
        yield opened


def ask(client: httpx.Client) -> httpx.Response:
    return client.get("/data", params={"group_number": 1})


def misbehave(client: httpx.Client, fault: Fault, **more: float | None) -> None:
    client.post("/misbehave", json=[{"fault": fault, **more}]).raise_for_status()


def good_rows(client: httpx.Client) -> list[dict[str, Any]]:
    """Return the rows of batch 0 as they are when nothing is wrong."""
    client.post("/misbehave", json=[]).raise_for_status()
    client.get("/restart_data_generation?group_number=1").raise_for_status()
    rows: list[dict[str, Any]] = ask(client).json()["data"]
    return rows


def server_error(client: httpx.Client) -> None:
    assert ask(client).status_code == 503


def html_page(client: httpx.Client) -> None:
    answer = ask(client)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def truncated(client: httpx.Client) -> None:
    answer = ask(client)
    assert answer.status_code == 200
    assert answer.text.startswith('{"group_number":1,')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def connection_cut(client: httpx.Client) -> None:
    arrived: list[bytes] = []
    with client.stream("GET", "/data?group_number=1") as answer, pytest.raises(httpx.RemoteProtocolError):
        deque(map(arrived.append, answer.iter_bytes()))
    assert arrived[0].startswith(b'{"group_number":1,')
    assert sum(map(len, arrived)) > 10_000


def answer_lost(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        ask(client)


def late_first_byte(client: httpx.Client) -> None:
    misbehave(client, Fault.LATE_FIRST_BYTE, seconds=3600)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/data?group_number=1", timeout=1)


def slow_drip(client: httpx.Client) -> None:
    misbehave(client, Fault.SLOW_DRIP, seconds=0.01)
    with client.stream("GET", "/data?group_number=1") as answer:
        pieces = answer.iter_raw()
        arrived = [next(pieces) for _ in range(20)]
    assert max(map(len, arrived)) <= 64 * 4  # some pieces may meet on the way, if we are slower than the drip


def gzip_bomb(client: httpx.Client) -> None:
    misbehave(client, Fault.GZIP_BOMB, mebibytes=64)
    with client.stream("GET", "/data?group_number=1", headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join(answer.iter_raw())
    assert len(packed) < 1 << 20
    assert len(zlib.decompress(packed, wbits=31)) > 64 << 20


def not_a_number(client: httpx.Client) -> None:
    prices = [row["price"] for row in ask(client).json()["data"][:3]]
    assert math.isnan(prices[0])
    assert prices[1:] == [math.inf, -math.inf]


def missing_key(client: httpx.Client) -> None:
    assert {len(row) for row in ask(client).json()["data"] if "house_size" not in row} == {11}


def extra_key(client: httpx.Client) -> None:
    assert {len(row) for row in ask(client).json()["data"] if "price_per_sqft" in row} == {13}


def no_rows(client: httpx.Client) -> None:
    assert ask(client).json() == {"group_number": 1, "day": None, "batch_number": 0, "data": []}


def tenfold(client: httpx.Client) -> None:
    tenfold = ask(client).json()["data"]
    assert tenfold == good_rows(client) * 10


def rows_as_lists(client: httpx.Client) -> None:
    lists = ask(client).json()["data"]
    assert lists == [list(row.values()) for row in good_rows(client)]


def other_content(client: httpx.Client) -> None:
    answer = ask(client).json()
    assert answer["batch_number"] == 0
    rows = good_rows(client)
    assert answer["data"] == [{**rows[0], "city": f"New {rows[0]['city']}"}, *rows[1:]]


def counter_reset(client: httpx.Client) -> None:
    misbehave(client, Fault.COUNTER_RESET, batch=2)
    assert [ask(client).json()["batch_number"] for _ in range(4)] == [0, 1, 0, 1]


def batch_taken(client: httpx.Client) -> None:
    misbehave(client, Fault.BATCH_TAKEN, batch=1)
    assert [ask(client).json()["batch_number"] for _ in range(3)] == [0, 2, 3]


MEETS: list[Callable[[httpx.Client], None]] = [
    server_error,
    html_page,
    truncated,
    connection_cut,
    answer_lost,
    late_first_byte,
    slow_drip,
    gzip_bomb,
    not_a_number,
    missing_key,
    extra_key,
    no_rows,
    tenfold,
    rows_as_lists,
    other_content,
    counter_reset,
    batch_taken,
]


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_what_its_sentence_says(client: httpx.Client, fault: Fault) -> None:
    meet = {case.__name__: case for case in MEETS}[fault.value]
    misbehave(client, fault)
    meet(client)


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.COUNTER_RESET, Fault.BATCH_TAKEN, Fault.SLOW_DRIP}))
def test_the_counter_moves_whatever_becomes_of_the_answer(client: httpx.Client, fault: Fault) -> None:
    misbehave(client, fault, seconds=0, mebibytes=1)
    try:
        ask(client)
    except httpx.RemoteProtocolError:
        assert fault in {Fault.ANSWER_LOST, Fault.CONNECTION_CUT}
    assert ask(client).json()["batch_number"] == 1


def test_the_last_answer_can_be_lost(client: httpx.Client) -> None:
    misbehave(client, Fault.ANSWER_LOST, batch=5)
    for number in range(5):
        assert ask(client).json()["batch_number"] == number
    answer_lost(client)
    assert ask(client).json() == {"detail": THE_END}


def test_the_end_itself_can_fail_and_no_other_fault_spoils_it(client: httpx.Client) -> None:
    for _ in range(6):
        ask(client)
    for fault in Fault:
        misbehave(client, fault, seconds=0, batch=6)
        if fault is Fault.SERVER_ERROR:
            server_error(client)
        elif fault is Fault.HTML_PAGE:
            html_page(client)
        elif fault is Fault.ANSWER_LOST:
            answer_lost(client)
        elif fault is not Fault.COUNTER_RESET:
            assert ask(client).json() == {"detail": THE_END}


def test_a_cut_can_come_after_many_rows(client: httpx.Client) -> None:
    """At scale 0.4 batch 2 has 4,400 rows in two chunks: one and a half arrive."""
    misbehave(client, Fault.TRUNCATED, batch=2, chunks=2)
    ask(client)
    ask(client)
    assert ask(client).text.count('"price"') > 4096


def test_what_is_still_to_come_is_shown_and_used_up(client: httpx.Client) -> None:
    script = [{"fault": "server_error", "times": 2}, {"fault": "no_rows", "batch": 3}]
    assert [one["times"] for one in client.post("/misbehave", json=script).json()] == [2, 1]
    assert [ask(client).status_code for _ in range(3)] == [503, 503, 200]
    assert [one["fault"] for one in client.get("/misbehave").json()] == ["no_rows"]
    assert ask(client).json()["data"] == []
    assert client.get("/misbehave").json() == []


@pytest.mark.parametrize("script", [{}, [{}], [{"fault": "x"}], [{"fault": "no_rows", "sometimes": 1}], "no_rows"])
def test_what_is_no_script_is_422(client: httpx.Client, script: object) -> None:
    assert client.post("/misbehave", json=script).status_code == 422


def test_a_fault_without_an_end_strikes_every_call() -> None:
    script = Script([Misbehaviour(fault=Fault.NO_ROWS, times=None, batch=2)])
    struck = [script.strike(batch) for batch in (2, 1, 2, 2)]
    assert [one.fault if one else None for one in struck] == [Fault.NO_ROWS, None, Fault.NO_ROWS, Fault.NO_ROWS]


def test_a_script_comes_from_text_or_a_file(tmp_path: Any) -> None:
    text = '[{"fault": "late_first_byte", "seconds": 60, "batch": 5}]'
    (tmp_path / "script.json").write_text(text)
    expected = [Misbehaviour(fault=Fault.LATE_FIRST_BYTE, seconds=60, batch=5)]
    assert read_script(text) == read_script(str(tmp_path / "script.json")) == expected
    with pytest.raises(ScriptUnreadable, match=r"at \[0, 'seconds'\]"):
        read_script('[{"fault": "late_first_byte", "seconds": -1}]')


def test_every_fault_has_a_sentence_and_it_is_in_the_docs(client: httpx.Client) -> None:
    docs = client.get("/openapi.json").text
    for fault in Fault:
        assert fault.sentence.endswith(".")
        assert json.dumps(fault.sentence)[1:-1] in docs


def test_the_bomb_is_a_whole_gzip_file() -> None:
    with gzip.open(io.BytesIO(b"".join(bomb(2)))) as unpacked:
        assert len(unpacked.read()) == 2 * (1 << 20) + len(b'{"group_number":1,"day":null,"batch_number":0,"data":[')
