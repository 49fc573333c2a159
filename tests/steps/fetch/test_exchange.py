"""One question over one connection: what an address says, what is asked of it, and how each ending is called."""

from collections.abc import Sequence
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.fetch.exchange import Address, Exchange, Lost, NoAddress, NoConnection, TooLate
from tests.servers import free_loopback_port
from tests.steps.fetch.scripted_source import Piece, response, scripted

BODY = b"0123456789" * 1_000


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "encrypted"),
    [
        ("http://10.0.0.1", "10.0.0.1", 80, "", False),
        ("HTTPS://Prices.Example/", "prices.example", 443, "", True),
        ("http://[::1]:8080/v1/", "::1", 8080, "/v1", False),
        ("http://prices:81/a b/%20/ñ", "prices", 81, "/a%20b/%20/%C3%B1", False),
    ],
)
def test_an_address_is_read(url: str, host: str, port: int, path: str, encrypted: bool) -> None:
    found = Address.of(url)
    assert (found.host, found.port, found.path, found.tls is not None) == (host, port, path, encrypted)


@given(st.text(st.characters(), max_size=30) | st.text(alphabet="htps:/[]@.?#%1 \n", max_size=30))
def test_any_text_is_an_address_or_is_refused(text: str) -> None:
    try:
        found = Address.of(text)
    except NoAddress:
        return
    assert found.host
    # What comes out of it is one line of a request, whatever went in.
    assert found.path.isascii()
    assert found.path.isprintable()
    assert " " not in found.path


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_an_answer_has_a_status_an_encoding_and_its_bytes(status: str) -> None:
    with (
        scripted([response(BODY, status, "Content-Encoding: GZip")]) as server,
        closing(Exchange(Address.of(server.url), "/data", {"day": "a&b"}, 5)) as exchange,
    ):
        assert (exchange.status, exchange.encoding) == (int(status[:3]), "GZip")
        assert b"".join(exchange.pieces()) == BODY
    assert server.questions == ["GET /data?day=a%26b HTTP/1.1"]
    assert f"host: {server.url.removeprefix('http://')}\r\n" in server.headers[0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([response(BODY)[:-1]], Lost),
        ([], Lost),
        ([b"no HTTP\r\n\r\n"], Lost),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], Lost),
        ([response(BODY)[:-1], 1.5], TooLate),
        ([1.5], TooLate),
    ],
)
def test_an_answer_that_is_not_whole_is_told_from_one_that_is(answer: Sequence[Piece], kind: type[Lost]) -> None:
    with (
        scripted(answer) as server,
        pytest.raises(Lost) as fault,
        closing(Exchange(Address.of(server.url), "/data", {}, 0.7)) as exchange,
    ):
        list(exchange.pieces())
    assert type(fault.value) is kind


def test_without_a_server_nothing_was_sent() -> None:
    with pytest.raises(NoConnection, match="refused"):
        Exchange(Address.of(f"http://127.0.0.1:{free_loopback_port()}"), "/data", {}, 5)
