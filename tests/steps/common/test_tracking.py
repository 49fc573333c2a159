"""MLflow as the steps use it: one run of a pipeline run, tags, and every way of getting no answer."""

import threading
from collections.abc import Callable

import pytest
from mlflow.exceptions import MlflowException

from local.mlflow_server import MlflowServer
from steps.common import tracking as tracked
from steps.common.settings import SettingRefused, Settings
from steps.common.store.connection import Unreachable
from steps.common.store.ledger import Claim
from steps.common.tracking import Tracking, find_run, log_metrics, nested_run, pipeline_run, tag, tell_verdict

# Far above two tries of two seconds each: a safety net, not a measurement.
BOUND_SECONDS = 120


@pytest.fixture
def tracking(mlflow: MlflowServer) -> Tracking:
    return Tracking(Settings(mlflow_url=f"{mlflow.url}/"))


def claim(run_id: str, batch: int = 3, attempt: int = 2) -> Claim:
    return Claim(7, "a source", batch, attempt, run_id, "sha", force_train=True)


def test_a_pipeline_run_is_one_run_that_says_what_it_is(tracking: Tracking) -> None:
    first = pipeline_run(tracking, claim("manual__2026"))
    assert pipeline_run(tracking, claim("manual__2026")) == first
    tags = tracking.get_run(first).data.tags
    assert {name: tags[f"appraiser.{name}"] for name in ("run_id", "source", "batch", "attempt", "force_train")} == {
        "run_id": "manual__2026", "source": "a source", "batch": "3", "attempt": "2", "force_train": "true",
    }  # fmt: skip
    assert pipeline_run(tracking, claim("manual__2027")) != first


@pytest.mark.parametrize("run_id", ["it's", 'say "so"', "back`tick", "a' or '1'='1", "ünï\u2028code", "x" * 9000])
def test_any_run_id_finds_its_own_run(tracking: Tracking, run_id: str) -> None:
    found = pipeline_run(tracking, claim(run_id))
    assert pipeline_run(tracking, claim(run_id)) == found
    assert pipeline_run(tracking, claim(run_id + ".")) != found


def test_many_that_begin_at_once_agree_on_one_run(tracking: Tracking) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(pipeline_run(tracking, claim("r")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    # Some may have made one of their own, but from now on everybody finds the first.
    assert {pipeline_run(tracking, claim("r")) for _ in range(3)} <= set(found)
    assert len({pipeline_run(tracking, claim("r")) for _ in range(3)}) == 1


def test_nested_runs_are_found_by_parent_and_key(tracking: Tracking) -> None:
    parent, other = pipeline_run(tracking, claim("r1")), pipeline_run(tracking, claim("r2"))
    nested = nested_run(tracking, parent, "train", "the fit")
    assert nested_run(tracking, parent, "train", "the fit") == nested
    assert nested_run(tracking, other, "train", "the fit") != nested
    assert tracking.get_run(nested).data.tags["mlflow.parentRunId"] == parent


def test_a_verdict_is_told_with_codes_and_sentences(tracking: Tracking) -> None:
    run = pipeline_run(tracking, claim("r"))
    reasons = [{"code": "A", "sentence": "First."}, {"code": "B", "sentence": "Second."}]
    tell_verdict(tracking, run, "validate", "TRAIN", reasons, ends=False)
    assert tracking.get_run(run).info.status == "RUNNING"
    tell_verdict(tracking, run, "promote", "HOLD", reasons[:1], ends=True)
    found = tracking.get_run(run)
    assert found.info.status == "FINISHED"
    assert found.data.tags["appraiser.validate.codes"] == "A, B"
    assert found.data.tags["appraiser.validate.reasons"] == "First.\nSecond."
    assert found.data.tags["appraiser.promote.verdict"] == "HOLD"


def test_a_tag_too_long_for_mlflow_loses_its_end(tracking: Tracking) -> None:
    run = pipeline_run(tracking, claim("r"))
    tag(tracking, run, {"long": "é" * 20_000, "empty": "", "number": 3})
    tags = tracking.get_run(run).data.tags
    assert set(tags["appraiser.long"]) == {"é"}
    assert (tags["appraiser.empty"], tags["appraiser.number"]) == ("", "3")


def test_the_same_metric_twice_is_there_once(tracking: Tracking) -> None:
    run = pipeline_run(tracking, claim("r"))
    for _ in range(2):
        log_metrics(tracking, run, {"rmse": 53_000.5, "unknown": None})
    assert [point.value for point in tracking.get_metric_history(run, "rmse")] == [53_000.5]
    assert set(tracking.get_run(run).data.metrics) == {"rmse"}


def test_an_experiment_made_by_another_meanwhile_is_taken(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tracked.experiment(tracking)
    asked: list[str] = []
    known = tracking.get_experiment_by_name

    def late(name: str) -> object:
        asked.append(name)
        return None if len(asked) == 1 else known(name)

    monkeypatch.setitem(tracking.__dict__, "get_experiment_by_name", late)
    assert tracked.experiment(tracking) == made


def test_what_mlflow_refuses_for_a_reason_stays_its_own_error(tracking: Tracking) -> None:
    with pytest.raises(MlflowException, match="abc"):
        tracking.get_run("abc")


# By MLflow's client, and by the one request that does without it.
WAYS: dict[str, Callable[[Tracking], object]] = {
    "client": lambda tracking: find_run(tracking, {}),
    "request": lambda tracking: tracking.aliased("house-price", "Production"),
}


def sentence_of(address: str, way: str) -> str:
    with pytest.raises(Unreachable) as refused:
        WAYS[way](Tracking(Settings(mlflow_url=address)))
    assert str(refused.value).startswith(f"APPRAISER_MLFLOW_URL: no answer from {address}: ")
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(BOUND_SECONDS)
def test_a_server_that_hangs_is_given_up_in_bounded_time(
    silent: int, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    assert int(tracked._CLIENT_LIMITS["MLFLOW_HTTP_REQUEST_TIMEOUT"]) == tracked.REQUEST_SECONDS
    monkeypatch.setitem(tracked._CLIENT_LIMITS, "MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setattr(tracked, "REQUEST_SECONDS", 2)
    assert "Read timed out" in sentence_of(f"http://127.0.0.1:{silent}", way)


@pytest.mark.parametrize("way", WAYS)
def test_nobody_listening_is_said_in_a_sentence(free_port: int, way: str) -> None:
    assert "Connection refused" in sentence_of(f"http://127.0.0.1:{free_port}", way)


@pytest.mark.parametrize("way", WAYS)
def test_a_name_the_server_does_not_answer_to_is_said_in_a_sentence(mlflow: MlflowServer, way: str) -> None:
    # Loopback under another name: 403 from the server's list of allowed hosts.
    said = sentence_of(f"http://127.1:{mlflow.port}", way)
    assert "Invalid Host header" in said


def test_no_address_is_refused_with_the_settings_name() -> None:
    with pytest.raises(SettingRefused, match="APPRAISER_MLFLOW_URL is not set"):
        Tracking(Settings())
