"""The shape of every answer, with the texts of the manual: dictionaries, written to JSON as they are."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field

RequestId = Annotated[str, Field(title="Request", description="Id of this request: yours, or one made here")]
Version = Annotated[int | None, Field(title="Version", description="Model version that answered; none without a model")]
Priced = Annotated[float, Field(title="Price", description="US dollars, rounded to the cent", examples=[287412.55])]
Unseen = Annotated[
    list[str],
    Field(title="Unseen fields", description="Fields whose value the model has never seen", examples=[["city"]]),
]
InferenceId = Annotated[str, Field(title="Inference", description="Key of the stored prediction", json_schema_extra={
    "format": "uuid"
})]  # fmt: skip
Sentence = Annotated[str, Field(description="A sentence for people")]
LookOutcome = Literal["unchanged", "swapped", "refused", "unreachable", "unstored", "no_alias"]
Json = dict[str, Any]


class Fault(TypedDict):
    """A broken rule: the field, the reason as the pipeline names it, the rule in words."""

    field: Annotated[str, Field(examples=["bed"])]
    reason: Literal["MISSING", "MALFORMED", "OUT_OF_SCOPE"]
    rule: Annotated[str, Field(examples=["Input should be less than or equal to 50"])]


class Problem(TypedDict):
    """What went wrong, as RFC 9457 has it."""

    type: Annotated[str, Field(examples=["urn:appraiser:problem:listing-refused"])]
    title: Sentence
    status: int
    detail: Sentence
    errors: list[Fault]
    request_id: RequestId
    model_version: Version


class Named(TypedDict):
    """What every answer carries."""

    request_id: RequestId
    model_version: Version


class Prediction(Named):
    """A price."""

    price: Priced
    unseen_fields: Unseen
    inference_id: InferenceId


class Row(TypedDict):
    """A row of a batch: its price, or why it has none."""

    price: Annotated[float | None, Field(description="US dollars, rounded to the cent")]
    unseen_fields: Unseen
    error: Fault | None
    inference_id: InferenceId


class BatchPrediction(Named):
    """Prices of a batch, in the order of its rows."""

    priced: int
    refused: int
    results: list[Row]


class Base(TypedDict):
    """Where an explanation starts: the booster's own bias."""

    log_price: float
    dollars: float


class Contribution(TypedDict):
    """What one feature adds to the base."""

    feature: Annotated[str, Field(examples=["zip_price"])]
    title: Annotated[str, Field(examples=["Prices in the zip code"])]
    fields: Annotated[list[str], Field(description="Fields of the listing it is made from", examples=[["zip_code"]])]
    value: Annotated[str, Field(description="Those fields' values in words", examples=["01001"])]
    model_value: Annotated[float, Field(description="The number the model saw")]
    log_price: Annotated[float, Field(description="Contribution to the log of the price")]
    dollars: Annotated[float, Field(description="The same in dollars")]


class Explanation(Prediction):
    """A price and where it comes from."""

    log_price: float
    method: Annotated[str, Field(description="How the contributions were computed")]
    base: Base
    contributions: Annotated[list[Contribution], Field(description="The largest first")]


class Alias(TypedDict):
    """What the newest look at the alias found."""

    name: str
    version: int | None
    checked_at: dt.datetime | None
    outcome: Annotated[LookOutcome | None, Field(description=(
        "How the look ended; `unreachable` is MLflow, its store or the ledger without an answer, and passes by itself"
    ))]  # fmt: skip
    trouble: Annotated[str | None, Field(description="Why the alias could not be followed")]


class Feature(TypedDict):
    """An input of the model and the fields it is made from."""

    feature: str
    title: str
    fields: list[str]


class Known(TypedDict):
    """The values of a field that the model has seen, cut short."""

    count: int
    values: list[str]


class ModelInfo(Named):
    """The model that is served."""

    loaded_at: dt.datetime
    loaded_from: Literal["registry", "disk"]
    alias: Alias
    card: Json
    features: list[Feature]
    known_categories: dict[str, Known]


class Reload(Named):
    """What a look at the alias did."""

    outcome: LookOutcome
    reason: Sentence


class Alive(Named):
    """The process answers."""

    status: Literal["alive"]


class Ready(Named):
    """The alias has been looked at."""

    ready: Literal[True]
    reason: Sentence


class Welcome(Named):
    """Where things are."""

    service: str
    manual: str
    links: dict[str, str]


class Metrics(TypedDict):
    """Errors of a version on test rows; dollars, but for r2, mdape and rmsle."""

    rmse: float | None
    mae: float | None
    r2: float | None
    mdape: float | None
    rmsle: float | None
    rows: int
    batches: list[int]
    batch_number: int
    measured_at: dt.datetime


class ModelSummary(TypedDict):
    """A version: where it comes from, how good it was and is, what was decided."""

    version: int
    run_id: str
    batch_number: int
    attempt: int
    registered_at: dt.datetime
    trained_on: list[int]
    rows: int | None
    trees: int | None
    status: Literal["production", "previous", "retired", "refused", "undecided"]
    verdict: str | None
    reasons: list[Json]
    decided_at: dt.datetime | None
    then: Annotated[Metrics | None, Field(description="On the test rows of its own comparison")]
    now: Annotated[Metrics | None, Field(description="In the newest comparison it took part in")]


class ModelPage(Named):
    """Versions, newest first."""

    models: list[ModelSummary]
    champion: Annotated[ModelSummary | None, Field(description="The version in production, also off this page")]
    alias_events: Annotated[list[Json], Field(description="All of the alias's history, newest first")]
    total: int
    limit: int
    offset: int


class ModelDetail(Named, ModelSummary):
    """A version with all the ledger holds on it."""

    fingerprint: str
    mlflow_run_id: str
    card: Json
    files: list[Json]
    alias_events: list[Json]
    comparisons: Annotated[list[Json], Field(description="Newest first, with the evidence and why the two differ")]


class Judgement(TypedDict):
    """A verdict and its reasons."""

    verdict: str
    reasons: list[Json]
    decided_at: dt.datetime


class Interval(TypedDict):
    """Both ends of a 95 % interval, in dollars."""

    low: float
    high: float


class BatchSummary(TypedDict):
    """A batch: its newest attempt with an outcome, or its newest attempt."""

    batch_number: int
    run_id: str
    attempt: int
    attempts: int
    claimed_at: dt.datetime
    ended_at: dt.datetime | None
    seconds: Annotated[float, Field(description="From the start of the run to the last completed step")]
    rows: int | None
    refused: int | None
    outcome: str | None
    validate: Judgement | None
    promote: Judgement | None
    candidate_version: int | None
    champion_version: int | None
    gain: Annotated[Interval | None, Field(description="Champion's RMSE minus the candidate's")]


class BatchPage(Named):
    """Batches, newest first."""

    batches: list[BatchSummary]
    total: int
    limit: int
    offset: int


class BatchDetail(Named, BatchSummary):
    """A batch with all the ledger holds on it."""

    content_sha: str
    received_at: str | None
    steps: list[Json]
    history: list[Json]
    report: Json | None
    policy: Json | None
    alerts: list[Json]
    evidence: Json | None


class Raised(TypedDict):
    """What somebody should look at."""

    code: str
    message: str
    run_id: str | None
    batch_number: int | None
    raised_at: dt.datetime


class AlertPage(Named):
    """Alerts, newest first."""

    alerts: list[Raised]
    total: int
    limit: int
    offset: int
