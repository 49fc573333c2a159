"""The data source as its clients meet it: over HTTP, a real process on a free port."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.processes import UNENCRYPTED
from local.source import NO_SUCH_GROUP, THE_END, main
from local.source_counters import GROUPS, Counters, CountersUnreadable
from tests.local.source_server import RunningSource, running_source

KEYS = "brokered_by,status,price,bed,bath,acre_lot,street,city,state,zip_code,house_size,prev_sold_date"
TEXTS = {"status", "city", "state", "prev_sold_date"}


@pytest.fixture(scope="module")
def source() -> Iterator[RunningSource]:
    with running_source("--scale", "0.02") as running:
        yield running


@pytest.fixture
def client(source: RunningSource) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as opened:
        for group in GROUPS:
            opened.get("/restart_data_generation", params={"group_number": group}).raise_for_status()
        yield opened


def ask(client: httpx.Client, group: int = 1, **more: str) -> httpx.Response:
    return client.get("/data", params={"group_number": group, **more})


def test_hands_out_six_batches_then_the_end_then_after_a_restart_the_same_again(client: httpx.Client) -> None:
    first = [ask(client) for _ in range(6)]
    assert [answer.status_code for answer in first] == [200] * 6
    assert [answer.json()["batch_number"] for answer in first] == [0, 1, 2, 3, 4, 5]
    for _ in range(2):
        end = ask(client)
        assert (end.status_code, end.json()) == (400, {"detail": THE_END})
    assert client.get("/restart_data_generation", params={"group_number": 1, "day": "Tuesday"}).json() == {"ok": True}
    assert [ask(client).content for _ in range(6)] == [answer.content for answer in first]


def test_rows_are_objects_with_the_twelve_keys_in_order_floats_and_texts(client: httpx.Client) -> None:
    answer = ask(client, group=7, day="Tuesday")
    assert list(answer.json()) == ["group_number", "day", "batch_number", "data"]
    assert (answer.json()["group_number"], answer.json()["day"]) == (7, "Tuesday")
    assert answer.headers["content-type"] == "application/json"
    for row in answer.json()["data"]:
        assert ",".join(row) == KEYS
        assert {name for name in row if isinstance(row[name], str)} == TEXTS
        assert all(isinstance(row[name], float) for name in row if name not in TEXTS), row
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["prev_sold_date"])
    assert re.search(r'"zip_code":\d+\.0,', answer.text)


def test_without_a_day_the_answer_says_null(client: httpx.Client) -> None:
    assert ask(client).json()["day"] is None


def test_each_group_has_its_own_counter(client: httpx.Client) -> None:
    asked = [1, 1, 2, 1, 10, 2]
    assert [ask(client, group).json()["batch_number"] for group in asked] == [0, 1, 0, 2, 0, 1]


@pytest.mark.parametrize("path", ["/data", "/restart_data_generation"])
@pytest.mark.parametrize("group", [-1, 0, 11])
def test_unknown_group_is_400(client: httpx.Client, path: str, group: int) -> None:
    answer = client.get(path, params={"group_number": group})
    assert (answer.status_code, answer.json()) == (400, {"detail": NO_SUCH_GROUP})


@pytest.mark.parametrize("path", ["/data", "/data?group_number=", "/data?group_number=x", "/restart_data_generation"])
def test_what_is_no_group_number_is_422(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "group_number"]


def test_health_and_docs_answer_and_misbehaving_is_not_offered(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "OK"}
    page = client.get("/docs").text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(part.endswith(".js") for part in parts)
    assert all(part.startswith("/") and client.get(part).is_success for part in parts), "nothing from elsewhere"
    assert sorted(client.get("/openapi.json").json()["paths"]) == ["/data", "/health", "/restart_data_generation"]
    assert client.post("/misbehave", json=[]).status_code == 404


def hang_up(url: str, *, after_bytes: int = 0) -> None:
    """Ask for a batch and close the connection after so many bytes of the answer."""
    address = httpx.URL(url)
    assert address.port is not None
    with socket.create_connection((address.host, address.port), timeout=60) as connection:
        connection.sendall(b"GET /data?group_number=1 HTTP/1.1\r\nHost: source\r\n\r\n")
        while after_bytes > 0:
            after_bytes -= len(connection.recv(after_bytes))


@pytest.mark.parametrize("latency", ["0", "1"])
def test_who_hangs_up_before_the_answer_has_lost_the_batch(latency: str) -> None:
    with running_source("--scale", "0.02", "--latency", latency) as source:
        hang_up(source.url)
        source.wait_for("asked", 1)
        with httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as client:
            assert ask(client).json()["batch_number"] == 1


def test_who_hangs_up_in_the_middle_has_lost_the_batch_the_last_one_too(tmp_path: Path) -> None:
    state = tmp_path / "counters.json"
    state.write_text('{"1": 5}')
    # 6 MB: more than what the kernel's buffers take in without a reader.
    with running_source("--scale", "3", "--state", str(state)) as source:
        hang_up(source.url, after_bytes=1000)
        source.wait_for("answer_unfinished", 1)
        with httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as client:
            assert ask(client).json() == {"detail": THE_END}


def test_counters_outlive_a_killed_source_where_a_file_keeps_them(tmp_path: Path) -> None:
    options = ["--scale", "0.02", "--state", str(tmp_path / "counters.json")]
    with (
        running_source(*options) as source,
        httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as client,
    ):
        assert [ask(client, group).json()["batch_number"] for group in (1, 2, 1)] == [0, 0, 1]
        source.process.kill()
        source.process.wait()
    with (
        running_source(*options) as source,
        httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as client,
    ):
        assert [ask(client, group).json()["batch_number"] for group in (1, 2, 3)] == [2, 1, 0]


def test_other_manners_same_rows(client: httpx.Client) -> None:
    options = ["--rows-as-lists", "--restart-as-list", "--end-status", "204"]
    with (
        running_source("--scale", "0.02", *options) as source,
        httpx.Client(base_url=source.url, timeout=60, verify=UNENCRYPTED) as other,
    ):
        for _ in range(6):
            objects: list[dict[str, Any]] = ask(client).json()["data"]
            assert ask(other).json()["data"] == [list(row.values()) for row in objects]
        end = ask(other)
        assert (end.status_code, end.content) == (204, b"")
        assert other.get("/restart_data_generation", params={"group_number": 1}).json() == ["ok"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "65536"], "invalid port value"),
        (["--port", "0", "--source", "no/such/folder"], "no/such/folder: neither"),
        (["--port", "0", "--scale", "0"], "the scale must be a positive number, not 0.0"),
        (["--port", "0", "--scale", "nan"], "the scale must be a positive number, not nan"),
        (["--port", "0", "--latency", "-1"], "invalid seconds value"),
        (["--port", "0", "--end-status", "500"], "invalid choice"),
        (["--port", "0", "--misbehave", '[{"fault": "nonsense"}]'], "misbehaviours, at [0, 'fault']"),
        (["--port", "0", "--misbehave", "no/such/file"], "no/such/file"),
    ],
)
def test_wrong_options_end_with_a_sentence_and_2(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_taken_port_is_said_so(source: RunningSource) -> None:
    port = str(httpx.URL(source.url).port)
    command = [sys.executable, "-m", "local.source", "--port", port, "--scale", "0.02"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f"the data source cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@given(
    end=st.integers(1, 8),
    calls=st.lists(st.tuples(st.sampled_from(["move", "restart", "reopen"]), st.sampled_from(GROUPS))),
)
def test_counters_count_each_group_alone_and_never_pass_the_end(
    tmp_path_factory: pytest.TempPathFactory, end: int, calls: list[tuple[str, int]]
) -> None:
    file = tmp_path_factory.mktemp("counters") / "file"
    counters = Counters(end, file)
    moves = dict.fromkeys(GROUPS, 0)
    for call, group in calls:
        if call == "move":
            assert counters.move(group) == min(moves[group], end)
            moves[group] += 1
        elif call == "restart":
            counters.restart(group)
            moves[group] = 0
        else:
            counters = Counters(end, file)
        assert {one: counters.position(one) for one in GROUPS} == {one: min(moves[one], end) for one in GROUPS}


@pytest.mark.parametrize("content", ["", "[]", '{"1": -1}', '{"11": 1}', '{"1": "2"}', '{"a": 1}', "{"])
def test_a_file_that_holds_no_counters_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "counters.json"
    file.write_text(content)
    with pytest.raises(CountersUnreadable, match=re.escape(str(file))):
        Counters(6, file)
    assert file.read_text() == content


def test_counters_beyond_the_end_of_a_shorter_source_stand_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "counters.json"
    file.write_text(json.dumps({"1": 6}))
    assert Counters(3, file).move(1) == 3
