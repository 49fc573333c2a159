"""What comes back when what answers is not the API, answers nothing, or says that something is wrong."""

import http.server
import json
import threading
from typing import Any

import httpx
import pytest

from frontend.client import Api, Fault, Trouble, read
from frontend.settings import Settings


def api(port: int) -> Api:
    return Api(Settings(api_url=f"http://127.0.0.1:{port}", api_seconds=0.3))


def test_nobody_there(free_port: int) -> None:
    assert api(free_port).ask("GET", "/ready") == Trouble("down")


def test_somebody_who_never_answers(silent: int) -> None:
    assert api(silent).ask("GET", "/ready") == Trouble("slow")


def test_the_key_is_sent_and_shown_nowhere(free_port: int) -> None:
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["X-API-Key"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"price": 1}')

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", free_port), Handler) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        settings = Settings.model_validate({"api_url": f"http://127.0.0.1:{free_port}", "api_key": "sesame"})
        assert Api(settings).predict({}) == {"price": 1}
        serving.join(10)
    assert seen == ["sesame"]
    assert "sesame" not in repr(settings)


def problem(**changes: Any) -> bytes:
    held = {"type": "urn:appraiser:problem:no-model", "detail": "None yet.", "request_id": "r", "errors": []}
    return json.dumps({**held, **changes}).encode()


@pytest.mark.parametrize(("status", "content", "wanted"), [
    (200, b'{"price": 1}', {"price": 1}),
    (503, problem(), Trouble("no-model", "None yet.", (), "r")),
    (422, problem(type="urn:appraiser:problem:listing-refused", errors=[{"field": "bed", "rule": "few"}]),
     Trouble("listing-refused", "None yet.", (Fault("bed", "few"),), "r")),
    (200, b"<html>", Trouble("stranger")),
    (200, b"[]", Trouble("stranger")),
    (502, b"<html>Bad gateway", Trouble("stranger")),
    (404, b'{"detail": "Not Found"}', Trouble("stranger")),
])  # fmt: skip
def test_answers_and_what_they_mean(status: int, content: bytes, wanted: object) -> None:
    assert read(httpx.Response(status, content=content)) == wanted
