"""The clean-up deletes the pods that are over, seen and old enough, page by page, and no other."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argocd.chart.files.clean_up import Pods, ended_at, names_of_old

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def pod(name: str, phase: str, ended: datetime | None, created: datetime = NOW - 3 * DAY) -> dict[str, Any]:
    state = {"terminated": {"finishedAt": stamp(ended)}} if ended else {"running": {}}
    return {
        "metadata": {"name": name, "creationTimestamp": stamp(created)},
        "status": {"phase": phase, "containerStatuses": [{"state": state}]},
    }


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("found", "over"),
    [
        (pod("old", "Succeeded", NOW - 2 * DAY), True),
        (pod("old-failure", "Failed", NOW - 2 * DAY), True),
        (pod("young", "Succeeded", NOW - DAY / 2), False),
        (pod("running", "Running", None), False),
        (pod("waiting", "Pending", None), False),
        (pod("unknown", "Unknown", NOW - 2 * DAY), False),
        # Evicted before it ran: it has no end but the day it was made.
        (
            {"metadata": {"name": "evicted", "creationTimestamp": stamp(NOW - 3 * DAY)}, "status": {"phase": "Failed"}},
            True,
        ),
    ],
)
def test_which_pods_are_over(found: dict[str, Any], over: bool) -> None:
    assert names_of_old([found], NOW - DAY) == ([found["metadata"]["name"]] if over else [])


@given(hours=st.floats(min_value=-100, max_value=100))
def test_a_pod_is_over_by_its_end_and_not_by_its_beginning(hours: float) -> None:
    ended = (NOW - timedelta(hours=hours)).replace(microsecond=0)
    found = pod("a", "Succeeded", ended, created=NOW - 300 * DAY)
    assert ended_at(found) == ended
    assert bool(names_of_old([found], NOW - DAY)) == (ended < NOW - DAY)


class Api(ThreadingHTTPServer):
    """The two calls of the Kubernetes API that it makes, with pages of two."""

    def __init__(self, pods: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pods = {one["metadata"]["name"]: one for one in pods}
        self.asked: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers list and delete."""

    server: Api

    def do_GET(self) -> None:
        """Answer a page of pods."""
        query = parse_qs(urlsplit(self.path).query)
        self.server.asked.append((query["labelSelector"][0], self.headers["Authorization"]))
        start = int(query.get("continue", ["0"])[0])
        names = list(self.server.pods)[start : start + 2]
        more = start + 2 < len(self.server.pods)
        metadata = {"continue": str(start + 2)} if more else {}
        self._answer(200, {"items": [self.server.pods[name] for name in names], "metadata": metadata})

    def do_DELETE(self) -> None:
        """Delete a pod, or say why not."""
        name = self.path.rpartition("/")[2]
        if name == "forbidden":
            self._answer(403, {})
        else:
            self._answer(200 if self.server.pods.pop(name, None) else 404, {})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output to itself."""


@pytest.fixture
def api() -> Iterator[Api]:
    pods = [pod(f"pod-{number}", "Succeeded", NOW - 2 * DAY) for number in range(5)]
    with Api(pods) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_page_is_read_and_what_is_gone_is_no_failure(api: Api) -> None:
    pods = Pods(f"http://127.0.0.1:{api.server_port}", "appraiser-steps", "a-token", None)
    seen = pods.seen()
    assert [one["metadata"]["name"] for one in seen] == list(api.pods)
    assert set(api.asked) == {("app=appraiser,already_checked=True", "Bearer a-token")}
    for name in [*api.pods, "gone"]:
        pods.delete(name)
    assert api.pods == {}
    with pytest.raises(HTTPError):
        pods.delete("forbidden")


def test_the_labels_are_those_of_the_operator() -> None:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    assert KubernetesPodOperator.POD_CHECKED_KEY == "already_checked"
