"""The service as its callers see it: every route, every problem, its limits, its metrics."""

import json
import re
import socket
import time
import uuid
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from steps.common.features import FEATURES
from tests.serving.conftest import Served
from tests.serving.running import TOKEN, bodies, body, environment, running, stored
from tests.steps.common.listings import house

PROBLEM = "application/problem+json"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def arrived(served: Served, request_id: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait until a request is in RAW."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [row for row in stored(served.deployment.databases) if row["request_id"] == request_id]
        return len(found) >= count

    served.service.wait_until(there)
    return found


def test_a_price_is_the_models_and_is_in_raw(served: Served) -> None:
    answer = served.service.post("/predict", body(), headers={"X-Request-ID": "one-price"})
    assert answer.status_code == 200
    assert (answer.headers["X-Request-ID"], answer.headers["X-Model-Version"]) == ("one-price", str(served.version))
    found = answer.json()
    price = float(served.bundle.prices([house()])[0])
    inference = found.pop("inference_id")
    assert found == {
        "price": price, "model_version": served.version, "request_id": "one-price",
        "unseen_fields": ["state", "city", "zip_code", "brokered_by"],
    }  # fmt: skip
    (row,) = arrived(served, "one-price")
    assert (str(row["inference_id"]), row["price"], row["status"]) == (inference, price, "PRICED")
    assert (row["version"], row["route"], row["error"]) == (served.version, "/predict", None)
    assert row["input"] == json.loads(house().model_dump_json())


def test_the_manual_needs_nothing_from_elsewhere(served: Served) -> None:
    parts = re.findall(r'(?:src|href)="([^"]+)"', served.service.get("/docs").text)
    assert any(part.endswith(".js") for part in parts)
    assert all(part.startswith("/") and served.service.get(part).is_success for part in parts)


def test_the_same_request_id_twice_is_two_predictions(served: Served) -> None:
    for _ in range(2):
        served.service.post("/predict", body(), headers={"X-Request-ID": "again"})
    first, second = arrived(served, "again", 2)
    assert first["inference_id"] != second["inference_id"]


@pytest.mark.parametrize("sent", ["x" * 65, "a b", "a\tb", "é".encode("latin-1"), "", "a;b", "%00"])
def test_a_request_id_that_is_no_id_is_replaced(served: Served, sent: str | bytes) -> None:
    value = sent if isinstance(sent, bytes) else sent.encode()
    answer = served.service.get("/health", headers={b"X-Request-ID": value})
    assert uuid.UUID(answer.headers["X-Request-ID"])


def test_a_batch_answers_every_row(served: Served) -> None:
    rows = [*bodies()[:200], body(bed=99), {"nonsense": True}]
    answer = served.service.post("/predict-batch", {"listings": rows}, headers={"X-Request-ID": "many"}).json()
    assert (answer["priced"], answer["refused"], len(answer["results"])) == (200, 2, 202)
    alone = [served.service.post("/predict", row).json()["price"] for row in rows[:5]]
    assert [row["price"] for row in answer["results"][:5]] == alone
    assert answer["results"][200]["error"] == {
        "field": "bed", "reason": "OUT_OF_SCOPE", "rule": "Input should be less than or equal to 50",
    }  # fmt: skip
    found = {str(row["inference_id"]): row for row in arrived(served, "many", 202)}
    assert len(found) == 202
    for row in answer["results"]:
        kept = found[row["inference_id"]]
        assert kept["price"] == row["price"]
        assert kept["status"] == ("REFUSED" if row["error"] else "PRICED")


def test_an_explanation_adds_up(served: Served) -> None:
    for sent in bodies()[:10]:
        found = served.service.post("/explain", sent).json()
        assert found["price"] == served.service.post("/predict", sent).json()["price"]
        assert sorted(one["feature"] for one in found["contributions"]) == sorted(FEATURES)
        total = found["base"]["dollars"] + sum(one["dollars"] for one in found["contributions"])
        assert round(total, 2) == found["price"]
        logs = found["base"]["log_price"] + sum(one["log_price"] for one in found["contributions"])
        assert logs == pytest.approx(found["log_price"], rel=1e-4)


def test_a_refused_listing_is_a_problem_and_is_in_raw_with_its_reason(served: Served) -> None:
    sent = body(bed=51, city="x" * 500, owner="somebody's name")
    answer = served.service.post("/predict", sent, headers={"X-Request-ID": "refused"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, PROBLEM)
    problem = answer.json()
    assert problem["type"] == "urn:appraiser:problem:listing-refused"
    assert (problem["request_id"], problem["model_version"]) == ("refused", served.version)
    assert {one["field"] for one in problem["errors"]} == {"bed", "city", "owner"}
    (row,) = arrived(served, "refused")
    assert (row["status"], row["price"]) == ("REFUSED", None)
    assert row["error"] == problem["detail"]
    assert row["input"]["bed"] == 51
    assert "owner" not in row["input"]
    assert len(row["input"]["city"]) == 200


def test_a_body_that_is_too_large_is_in_raw_with_its_beginning(served: Served) -> None:
    answer = served.service.post("/predict", b"x" * (65 << 10), headers={"X-Request-ID": "large"})
    assert answer.status_code == 413
    (row,) = arrived(served, "large")
    assert (row["status"], row["route"], row["input"]) == ("REFUSED", "/predict", {"sent": "x" * 200})
    assert row["error"] == answer.json()["detail"] == "It may have 65,536 bytes."


def test_a_caller_who_goes_away_is_no_failure_of_ours(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.service.port), timeout=10) as caller:
        caller.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone\r\nContent-Length: 1000\r\n\r\n{")
    served.service.wait_until(lambda: "request_id=gone" in served.service.log.read_text())
    (line,) = [line for line in served.service.log.read_text().splitlines() if "request_id=gone" in line]
    assert "status=499" in line
    assert "request_failed" not in served.service.log.read_text()


MEGABYTES = b'{"listings": [' + b" " * (9 << 20) + b"]}"


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "kind"),
    [
        ("POST", "/predict", b"{", 400, "request-refused"),
        ("POST", "/predict", b"", 400, "request-refused"),
        ("POST", "/explain", b"[]", 422, "listing-refused"),
        ("POST", "/predict-batch", b"[]", 422, "request-refused"),
        ("POST", "/predict-batch", b'{"listings": []}', 422, "request-refused"),
        ("POST", "/predict-batch", MEGABYTES, 413, "body-too-large"),
        ("POST", "/predict", MEGABYTES, 413, "body-too-large"),
        ("POST", "/predict-batch", b'{"listings": [' + b",".join([b"0"] * 10_001) + b"]}", 422, "request-refused"),
        ("GET", "/predict", None, 405, "method-not-allowed"),
        ("DELETE", "/models/1", None, 405, "method-not-allowed"),
        ("GET", "/nowhere", None, 404, "not-found"),
        ("GET", "/../etc/passwd", None, 404, "not-found"),
        ("GET", "/models/99", None, 404, "not-found"),
        ("GET", "/batches/99", None, 404, "not-found"),
        ("GET", "/models/x", None, 422, "request-refused"),
        ("GET", "/models/99999999999999999999", None, 422, "request-refused"),
        ("GET", "/batches?limit=101", None, 422, "request-refused"),
        ("GET", "/batches?offset=-1", None, 422, "request-refused"),
        ("POST", "/reload-model", b"", 401, "key-refused"),
    ],
)
def test_every_error_is_a_problem(
    served: Served, method: str, path: str, content: bytes | None, status: int, kind: str
) -> None:
    answer = httpx.request(method, f"{served.service.url}{path}", content=content, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM)
    problem = answer.json()
    assert problem["type"] == f"urn:appraiser:problem:{kind}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
def test_reloading_takes_the_token(served: Served, given: str) -> None:
    answer = served.service.post("/reload-model", headers={"Authorization": given})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_reloading_says_what_it_did(served: Served) -> None:
    found = served.service.post("/reload-model", headers=BEARER).json()
    assert (found["outcome"], found["model_version"]) == ("unchanged", served.version)
    assert found["reason"] == f"version {served.version} is served"


def test_the_model_is_described(served: Served) -> None:
    found = served.service.get("/model-info?values=2").json()
    assert (found["model_version"], found["card"]["trees"], found["loaded_from"]) == (served.version, 20, "registry")
    assert found["alias"]["version"] == served.version
    assert found["alias"]["outcome"] in {"unchanged", "swapped"}
    assert found["alias"]["trouble"] is None
    assert [one["feature"] for one in found["features"]] == list(FEATURES)
    assert found["known_categories"]["status"] == {"count": 2, "values": ["for_sale", "sold"]}
    assert found["known_categories"]["state"] == {"count": 4, "values": ["state 0", "state 1"]}
    assert set(found["known_categories"]) == {"status", "state", "city", "zip_code", "brokered_by"}


def test_health_and_readiness_say_why(served: Served) -> None:
    assert served.service.get("/health").json()["status"] == "alive"
    ready = served.service.get("/ready").json()
    assert (ready["ready"], ready["reason"]) == (True, f"version {served.version} is served")


def test_metrics_are_well_formed_and_bounded(served: Served) -> None:
    for number in range(30):
        served.service.get(f"/made/up/{number}")
    unseen = [body(state="Nowhere"), body(state="Nowhere", zip_code="99999")]
    served.service.post("/predict-batch", {"listings": [body(), body(bed=99), *unseen]})
    text = served.service.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    routes = {sample.labels["route"] for sample in families["api_requests"].samples}
    assert "other" in routes
    assert len(routes) < 20
    assert not [route for route in routes if "made" in route]
    (version,) = families["model_version"].samples
    assert (version.value, version.labels) == (served.version, {})
    (info,) = families["model_info"].samples
    assert (info.value, info.labels["version"]) == (1, str(served.version))
    assert families["champion_age_seconds"].samples[0].value > 0
    counted = {(one.labels["route"], one.labels["outcome"]): one.value for one in families["predictions"].samples}
    assert counted["/predict-batch", "priced"] >= 1
    assert counted["/predict-batch", "refused"] >= 1
    strange = {one.labels["field"]: one.value for one in families["predictions_unseen"].samples}
    assert set(strange) == {"status", "state", "city", "zip_code", "brokered_by"}
    assert strange["state"] >= 2
    assert strange["zip_code"] >= 1
    assert families["ledger_up"].samples[0].value == 1
    for name, family in families.items():
        assert family.documentation, name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
    assert families["api_request_duration_seconds"].type == "histogram"


def test_the_access_log_has_ids_and_no_bodies(served: Served) -> None:
    marked = "a city that nobody else names"
    served.service.post("/predict", body(city=marked), headers={"X-Request-ID": "logged"})
    served.service.wait_until(lambda: "request_id=logged" in served.service.log.read_text())
    text = served.service.log.read_text()
    (line,) = [line for line in text.splitlines() if "request_id=logged" in line]
    assert re.fullmatch(
        r"timestamp=\S+Z level=info event=request method=POST route=/predict status=200 ms=[\d.]+ "
        rf"version={served.version} request_id=logged", line,
    )  # fmt: skip
    assert marked not in text
    assert TOKEN not in text


def test_keys_origins_and_time_are_settings(served: Served) -> None:
    folder = served.deployment.folder / "other"
    folder.mkdir()
    key = "7d1e-only-callers-of-a-test"
    variables = environment(
        served.deployment.databases, served.deployment.mlflow.url, folder / "state", APPRAISER_API_KEY=key,
        APPRAISER_CORS_ORIGINS='["http://page.test"]', APPRAISER_REQUEST_SECONDS="0.2", APPRAISER_BODY_MEGABYTES="64",
    )  # fmt: skip
    variables.pop("APPRAISER_TOKEN")
    with running(variables, folder) as service:
        service.wait_until(lambda: service.version() == served.version)
        for path in ("/predict", "/explain", "/predict-batch"):
            for headers in ({}, {"X-API-Key": "wrong"}):
                answer = service.post(path, body(), headers=headers)
                assert (answer.status_code, answer.json()["type"]) == (401, "urn:appraiser:problem:key-refused")
        assert service.post("/predict", body(), headers={"X-API-Key": key}).status_code == 200
        closed = service.post("/reload-model", headers=BEARER)
        assert (closed.status_code, closed.json()["type"]) == (403, "urn:appraiser:problem:token-not-configured")
        mine, other = (service.get("/health", headers={"Origin": f"http://{name}.test"}) for name in ("page", "evil"))
        assert mine.headers["Access-Control-Allow-Origin"] == "http://page.test"
        assert "Access-Control-Allow-Origin" not in other.headers
        headers = {"X-API-Key": key, "Origin": "http://page.test"}
        slow = httpx.post(f"{service.url}/predict", content=_dripping(), headers=headers, timeout=30)
        assert (slow.status_code, slow.json()["type"]) == (503, "urn:appraiser:problem:too-slow")
        assert slow.headers["Retry-After"]
        assert slow.headers["Access-Control-Allow-Origin"] == "http://page.test"


def _dripping() -> Any:
    for _ in range(10):
        yield b" "
        time.sleep(0.1)
