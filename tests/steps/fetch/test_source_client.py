"""Speaking to a source: what each answer means, and how much of a bad one is ever taken in."""

import gzip
import hashlib
import json
import ssl
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from steps.common.store.connection import Unreachable
from steps.fetch.reason import Reason
from steps.fetch.source_client import HEAD_BYTES, NoAnswer, QuestionRefused, Source, SourceEnded
from tests.servers import certificate, free_loopback_port
from tests.steps.fetch.scripted_source import Piece, response, scripted

BODY = b'{"group_number": 3, "data": []}' * 5_000
THE_END = "Ya se recolectó toda la información mínima necesaria"


def said(sentence: object) -> bytes:
    return json.dumps({"detail": sentence}).encode()


def asked(url: str, *, seconds: float = 20, most_bytes: int = 10_000_000, day: str | None = None) -> bytes:
    """Ask a source and return the whole answer, after checking what is said about it."""
    spool = Source(url, 3, day, seconds, most_bytes).ask()
    spool.file.seek(0)
    body = spool.file.read()
    assert (spool.size, spool.sha) == (len(body), hashlib.sha256(body).hexdigest())
    assert spool.seconds > 0
    assert spool.requested_at < spool.received_at
    spool.close()
    return body


@pytest.mark.parametrize(
    "answer",
    [
        [response(BODY)],
        [response(gzip.compress(BODY), "200 OK", "Content-Encoding: gzip")],
        [response(gzip.compress(BODY[:999]) + gzip.compress(BODY[999:]), "200 OK", "Content-Encoding: gzip")],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", BODY[:5], b"\r\n0\r\n\r\n"],
        [b"HTTP/1.0 200 OK\r\n\r\n", 0.05, BODY],
    ],
    ids=["plain", "gzip", "two members of gzip", "chunked", "until the connection closes"],
)
def test_a_whole_answer_is_the_bytes_the_source_meant(answer: Sequence[Piece]) -> None:
    with scripted(answer) as source:
        assert asked(source.url + "/") in (BODY, BODY[:5])
    assert source.questions == ["GET /data?group_number=3 HTTP/1.1"]


def test_the_day_is_part_of_the_question_and_a_connection_is_used_once() -> None:
    with scripted([response(BODY)]) as source:
        asked(source.url, day="Monday")
    assert source.questions == ["GET /data?group_number=3&day=Monday HTTP/1.1"]
    assert "connection: close" in source.headers[0]
    assert "accept-encoding: gzip\r\n" in source.headers[0]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("400 Bad Request", said(THE_END)),
        ("400 Bad Request", json.dumps({"detail": THE_END}, ensure_ascii=False).encode()),
        ("400 Bad Request", said("YA SE RECOLECTO  TODA LA INFORMACION MINIMA NECESARIA")),
        ("404 Not Found", said("Not Found")),
        ("404 Not Found", b"<html>nothing here</html>"),
        ("204 No Content", b""),
    ],
)
def test_the_end_of_the_source(status: str, body: bytes) -> None:
    with scripted([response(body, status)]) as source, pytest.raises(SourceEnded) as end:
        asked(source.url)
    assert str(end.value).startswith(f"HTTP {status[:3]}: ")
    assert "<html>" not in str(end.value)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        ("400 Bad Request", said("Número de grupo inválido"), "HTTP 400: Número de grupo inválido"),
        ("422 Unprocessable", said([{"loc": ["query", "day"], "msg": "no day"}]), '"msg": "no day"'),
        ("403 Forbidden", b"<html>secret</html>", "HTTP 403: Forbidden"),
        ("400 Bad Request", said("x" * 5_000), "HTTP 400: " + "x" * 300),
    ],
)
def test_a_question_is_refused_in_the_sources_own_words(status: str, body: bytes, words: str) -> None:
    with scripted([response(body, status)]) as source, pytest.raises(QuestionRefused) as refusal:
        asked(source.url)
    assert words in str(refusal.value)
    assert len(str(refusal.value)) < 400


_CUT = response(BODY)[:3_000]
_GZIP = "Content-Encoding: gzip"


@pytest.mark.parametrize(
    ("answer", "reason", "passing"),
    [
        ([response(b"<html>oops</html>", "500 Internal Server Error")], Reason.HTTP_STATUS, True),
        ([response(b"slow down", "429 Too Many Requests")], Reason.HTTP_STATUS, True),
        ([response(b"", "302 Found", "Location: /elsewhere")], Reason.HTTP_STATUS, False),
        ([response(b"", "299 Odd")], Reason.HTTP_STATUS, False),
        ([_CUT], Reason.CONNECTION_LOST, True),
        ([], Reason.CONNECTION_LOST, True),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], Reason.CONNECTION_LOST, True),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], Reason.CONNECTION_LOST, True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", BODY[:5]], Reason.CONNECTION_LOST, True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbig\r\n"], Reason.CONNECTION_LOST, True),
        ([b"HTTP/1.1 200 OK\r\n", b"X-Many: 1\r\n" * 200, b"\r\n"], Reason.CONNECTION_LOST, True),
        ([2.0], Reason.DEADLINE, True),
        ([_CUT, 2.0], Reason.DEADLINE, True),
        ([b"HTTP/1.1 200 OK\r\n", *[0.2, b"X-Drip: 1\r\n"] * 15], Reason.DEADLINE, True),
        ([_CUT, *[0.2, b"x"] * 15], Reason.DEADLINE, True),
        # Without a length the end of the connection is the end of the answer: cut, it looks whole.
        ([b"HTTP/1.0 200 OK\r\n\r\n", b"{}", 2.0, b"\n"], Reason.DEADLINE, True),
        ([response(b"not gzip", "200 OK", _GZIP)], Reason.BAD_COMPRESSION, False),
        ([response(BODY, "200 OK", "Content-Encoding: br")], Reason.BAD_COMPRESSION, False),
        ([response(b"x" * 2_000_001)], Reason.TOO_LARGE, False),
        ([response(gzip.compress(bytes(100_000_000)), "200 OK", _GZIP)], Reason.TOO_LARGE, False),
    ],
)
def test_no_answer_to_take_has_a_reason_and_its_beginning(
    answer: Sequence[Piece], reason: Reason, passing: bool
) -> None:
    with scripted(answer) as source, pytest.raises(NoAnswer) as fault:
        asked(source.url, seconds=1.2, most_bytes=2_000_000)
    assert (fault.value.reason, fault.value.passing) == (reason, passing)
    assert len(fault.value.head) <= HEAD_BYTES
    if answer == [_CUT]:
        assert fault.value.head == _CUT.partition(b"\r\n\r\n")[2]
        assert fault.value.sha == hashlib.sha256(fault.value.head).hexdigest()


def test_an_encrypted_answer_is_taken_and_cut_off_like_a_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate(tmp_path, "IP:127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with scripted([response(BODY)], tls=tls) as source, pytest.raises(Unreachable, match="certificate"):
        asked(source.url)
    monkeypatch.setattr("certifi.where", lambda: str(tmp_path / "tls.crt"))
    dripping: list[Piece] = [_CUT, *(0.2, b"x") * 15]
    with scripted([response(BODY)], dripping, tls=tls) as source:
        assert asked(source.url) == BODY
        with pytest.raises(NoAnswer) as fault:
            asked(source.url, seconds=1.2)
    assert fault.value.reason is Reason.DEADLINE


def test_a_source_that_was_never_reached_is_named() -> None:
    address = f"http://127.0.0.1:{free_loopback_port()}"
    with pytest.raises(Unreachable, match=f"APPRAISER_SOURCE_URL: no answer from {address}"):
        asked(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://[::1", "http://127.0.0.1:port", "http://a..b",
        "http://a b", "http://anna:secret@127.0.0.1", "http://anna:secret/@127.0.0.1", "http://127.0.0.1/?key=secret",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(QuestionRefused, match="APPRAISER_SOURCE_URL is no address of a source") as refusal:
        asked(address)
    assert "secret" not in str(refusal.value)


def test_the_address_may_have_a_path_of_any_letters() -> None:
    with scripted([response(BODY)]) as source:
        assert asked(f"{source.url}/precios día/v1/") == BODY
    assert source.questions == ["GET /precios%20d%C3%ADa/v1/data?group_number=3 HTTP/1.1"]


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_loopback_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    with scripted([response(BODY)]) as source:
        assert asked(source.url) == BODY


@pytest.mark.parametrize("body", [b'{"ok": true}', b'["ok"]'])
def test_a_confirmed_restart(body: bytes) -> None:
    with scripted([response(body)]) as source:
        Source(source.url, 3, "Monday", 5, 100).restart()
    assert source.questions == ["GET /restart_data_generation?group_number=3&day=Monday HTTP/1.1"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([response(b'{"ok": false}')], NoAnswer),
        ([response(b"<html>")], NoAnswer),
        ([response(b"", "503 Unavailable")], NoAnswer),
        ([response(b"<html>" * 50_000, "404 Not Found")], QuestionRefused),
        ([1.5], NoAnswer),
        ([response(said("no such route"), "404 Not Found")], QuestionRefused),
    ],
)
def test_an_unconfirmed_restart(answer: Sequence[Piece], error: type[Exception]) -> None:
    with scripted(answer) as source, pytest.raises(error):
        Source(source.url, 3, None, 0.5, 100).restart()


def test_every_byte_of_a_packed_answer_arrives_however_its_pieces_fall() -> None:
    # A text that unpacks to exactly full pieces leaves its last ones inside zlib.
    for size in (1 << 16, (1 << 16) + 1, 5 << 16, 300_000):
        body = bytes(size)
        packer = zlib.compressobj(9, wbits=31)
        packed = packer.compress(body) + packer.flush()
        with scripted([response(packed, "200 OK", _GZIP)]) as source:
            assert asked(source.url) == body
