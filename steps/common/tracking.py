"""MLflow as the steps use it: a client that fails soon and in one sentence, and the one run of each pipeline run.

Every run of the pipeline is one MLflow run, found again by a tag, that carries what each step decided and why as
tags; sweeps and fits are nested under it. MLflow alone then tells what happened, also where a run ended early.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

from steps.common.settings import PREFIX, Settings
from steps.common.store.connection import Unreachable
from steps.common.store.ledger import Claim

EXPERIMENT: Final = "house-price"
SETTING: Final = f"{PREFIX}MLFLOW_URL"
REQUEST_SECONDS: Final = 15
# A tag that MLflow would refuse for its length (8,000) would fail a step whose work is done.
_TAG_CHARACTERS: Final = 5000
_RUN_KEY: Final = "appraiser.run_key"
# MLflow's own name for what makes a run nested.
PARENT: Final = "mlflow.parentRunId"
# The newest of them; a sweep killed again and again leaves some behind.
_OPEN_RUNS: Final = 1000

# The client's own defaults wait 120 s for each of eight requests: 246 s for a server that hangs. It reads these at
# every request, some at its import; telemetry would call a host of its maker's.
_CLIENT_LIMITS: Final = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_SECONDS),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.1",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "120",
    "MLFLOW_DOWNLOAD_CHUNK_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}

# What MLflow says when it could not be asked, or could not do what is right to ask for; trying later is right.
_NO_ANSWER: Final = frozenset({
    "INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "PERMISSION_DENIED",
    "UNAUTHENTICATED",
})  # fmt: skip


# The first code is for a model nobody registered or a version that was deleted, the second for an alias nobody set.
NOT_THERE: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


class Tracking:
    """MLflow's client with short time-outs; every call to it that gets no answer raises Unreachable in one sentence.

    Attributes that are not here are those of `mlflow.MlflowClient`. Make one before importing mlflow elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        self.address = settings.needed("mlflow_url").rstrip("/")
        self.experiment: str | None = None
        os.environ.update(_CLIENT_LIMITS)

    @cached_property
    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.address, self.address)

    def aliased(self, model: str, alias: str) -> int | None:
        """Return the version of a model that an alias names; None when the alias, or the model, is not there.

        One plain request: serving asks nothing else of MLflow's registry, and goes without its client.
        """
        import requests

        url = f"{self.address}/api/2.0/mlflow/registered-models/alias"
        names = {"name": model, "alias": alias}
        try:
            answer = requests.get(url, params=names, timeout=REQUEST_SECONDS, allow_redirects=False)
            found = answer.json() if answer.content.startswith(b"{") else {}
        except (requests.RequestException, ValueError) as error:
            raise Unreachable(SETTING, self.address, _cause(error)) from None
        if answer.ok and "model_version" in found:
            return int(found["model_version"]["version"])
        if found.get("error_code") in NOT_THERE:
            return None
        raise Unreachable(SETTING, self.address, f"answer {answer.status_code}: {' '.join(answer.text[:200].split())}")

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            with self.answering():
                return attribute(*arguments, **named)

        return call

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn MLflow's failures to answer inside the body into Unreachable, for calls that are not the client's.

        What MLflow refuses for a reason (no such run, no such alias) stays an `MlflowException`.
        """
        import requests
        from mlflow.exceptions import MlflowException

        try:
            yield
        except requests.RequestException as error:
            raise Unreachable(SETTING, self.address, _cause(error)) from None
        except MlflowException as error:
            if error.error_code not in _NO_ANSWER:
                raise
            raise Unreachable(SETTING, self.address, _cause(error.__context__ or error)) from None


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a failed request, without the pools and objects around it."""
    reason = getattr(error.args[0] if error.args else error, "reason", None) or error
    text = " ".join(str(reason).split())
    text = text.split(">: ", 1)[-1].split("): ", 1)[-1]
    return f"{type(reason).__name__}: {text}"[:300]


def experiment(tracking: Tracking) -> str:
    """Return the id of the one experiment, made at the first use; two that make it at once get the same.

    A client asks once: it was one request in ten of all that a run made.
    """
    if tracking.experiment is None:
        tracking.experiment = _experiment(tracking)
    return tracking.experiment


def _experiment(tracking: Tracking) -> str:
    from mlflow.exceptions import MlflowException

    known = tracking.get_experiment_by_name(EXPERIMENT)
    if known is None:
        try:
            return str(tracking.create_experiment(EXPERIMENT))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        known = tracking.get_experiment_by_name(EXPERIMENT)
    return str(known.experiment_id)


def run_key(claim: Claim) -> str:
    """Return what finds a pipeline run in MLflow: a hash, since a run id may hold what its search cannot quote."""
    return hashlib.sha256(f"{claim.source_id}\n{claim.run_id}".encode()).hexdigest()[:32]


def find_run(tracking: Tracking, tags: Mapping[str, str]) -> Any | None:
    """Return the first started MLflow run that has all these tags, or None; names and values without quotes."""
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = tracking.search_runs(
        [experiment(tracking)], wanted, max_results=1, order_by=["attributes.start_time ASC", "attributes.run_id ASC"]
    )
    return found[0] if found else None


def pipeline_run(tracking: Tracking, claim: Claim) -> str:
    """Return the id of the MLflow run of a claim's pipeline run, made at the first use and found by tag after.

    Should two be made at once, the one that started first is the one everybody finds from then on.
    """
    mine = {_RUN_KEY: run_key(claim)}
    known = find_run(tracking, mine)
    if known is None:
        tags = {
            **mine,
            "mlflow.runName": f"batch {claim.batch_number}, attempt {claim.attempt}",
            "appraiser.run_id": claim.run_id[:_TAG_CHARACTERS],
            "appraiser.source": claim.source_id[:_TAG_CHARACTERS],
            "appraiser.batch": str(claim.batch_number),
            "appraiser.attempt": str(claim.attempt),
            "appraiser.force_train": str(claim.force_train).lower(),
        }
        tracking.create_run(experiment(tracking), tags=tags)
        known = find_run(tracking, mine)
    if known is None:
        raise Unreachable(SETTING, tracking.address, "a run that was made a moment ago is not found")
    return str(known.info.run_id)


def take_over(tracking: Tracking, claim: Claim, worked: Claim, step: str) -> str:
    """Return the MLflow run of a claim's pipeline run, with a tag that names the run a step's work is adopted from."""
    run = pipeline_run(tracking, claim)
    tag(tracking, run, {f"{step}.adopted_from": worked.run_id})
    return run


def end_overtaken(tracking: Tracking, over: Iterable[tuple[Claim, str | None]]) -> None:
    """End, as KILLED, the MLflow runs left open by claims that may commit nothing any more; tag those with an outcome.

    One search for all of them: claims become ever more, open runs do not. Sweeps and fits below them are ended with
    them, and first: once their parent is, nobody would look for them.
    """
    outcomes = {run_key(claim): outcome for claim, outcome in over}
    newest_first = tracking.search_runs(
        [experiment(tracking)], "attributes.status = 'RUNNING'", max_results=_OPEN_RUNS,
        order_by=["attributes.start_time DESC"],
    )  # fmt: skip
    ending: dict[str, str | None] = {}
    # A run begins before those below it.
    for run in reversed(newest_first):
        tags = run.data.tags
        if tags.get(_RUN_KEY) in outcomes:
            ending[run.info.run_id] = outcomes[tags[_RUN_KEY]]
        elif tags.get(PARENT) in ending:
            ending[run.info.run_id] = None
    for run_id, outcome in reversed(ending.items()):
        if outcome:
            tag(tracking, run_id, {"outcome": outcome})
        tracking.set_terminated(run_id, "KILLED")


def nested_run(tracking: Tracking, parent: str, key: str, name: str) -> str:
    """Return the id of the run named `key` below a parent, made at the first use and found by tag after."""
    mine = {PARENT: parent, "appraiser.key": key}
    known = find_run(tracking, mine)
    if known is None:
        tracking.create_run(experiment(tracking), tags={**mine, "mlflow.runName": name})
        known = find_run(tracking, mine)
    if known is None:
        raise Unreachable(SETTING, tracking.address, "a run that was made a moment ago is not found")
    return str(known.info.run_id)


def tag(tracking: Tracking, run: str, tags: Mapping[str, object]) -> None:
    """Set tags of a run with one request, `appraiser.` before each name; values that are too long lose their end."""
    from mlflow.entities import RunTag

    tracking.log_batch(run, tags=[
        RunTag(f"appraiser.{name}", str(value)[:_TAG_CHARACTERS]) for name, value in tags.items()
    ])  # fmt: skip


def tell_verdict(
    tracking: Tracking, run: str, step: str, verdict: str, reasons: Sequence[Mapping[str, Any]], *, ends: bool
) -> None:
    """Tag a run with a step's verdict and reasons (each with `code` and `sentence`); end it where nothing follows."""
    tag(tracking, run, {
        f"{step}.verdict": verdict,
        f"{step}.codes": ", ".join(str(reason["code"]) for reason in reasons),
        f"{step}.reasons": "\n".join(str(reason["sentence"]) for reason in reasons),
    })  # fmt: skip
    if ends:
        tracking.set_terminated(run, "FINISHED")


def log_metrics(
    tracking: Tracking, run: str, figures: Mapping[str, float | None], params: Mapping[str, object] | None = None
) -> None:
    """Log figures of a run, those that are None left out, and its parameters; logging the same again adds nothing."""
    from mlflow.entities import Metric, Param

    # MLflow keeps one metric of the same name, time, step and value, so the time is always the run's own.
    began = tracking.get_run(run).info.start_time
    tracking.log_batch(
        run,
        [Metric(name, value, began, 0) for name, value in figures.items() if value is not None],
        [Param(name, str(value)) for name, value in (params or {}).items()],
    )
