"""The pipeline's families from figures made by hand: few labels whatever there was, counters from the start."""

import datetime as dt
from typing import Any

from prometheus_client.core import Metric

from serving.pipeline import families
from steps.common.step import ORDER
from steps.common.store.figures import Figures, Measured, Tally
from steps.common.store.ledger import OUTCOMES

AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
NOTHING = Figures({}, {}, {}, {}, {}, None, {}, None, 0, {}, Measured(None, {}), 0)


def told(**changes: Any) -> dict[str, Metric]:
    return {family.name: family for family in families(Figures(**{**vars(NOTHING), **changes}))}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_counters_begin_at_zero_and_moments_are_left_out() -> None:
    found = told()
    assert values(found["pipeline_batches"]) == {(outcome,): 0 for outcome in OUTCOMES}
    assert values(found["pipeline_failed_runs"]) == {(step,): 0 for step in ORDER}
    assert values(found["pipeline_alias_events"])["ADOPTED",] == 0
    verdicts = values(found["pipeline_verdicts"])
    assert {("validate", "SKIP"), ("promote", "STALE")} <= set(verdicts)
    assert set(verdicts.values()) == {0}
    assert not [name for name, family in found.items() if name.endswith("timestamp_seconds") and family.samples]
    assert "pipeline_batch_refused_ratio" not in found


def test_moments_are_of_the_newest() -> None:
    later = AT + dt.timedelta(hours=1)
    found = told(
        verdicts={("promote", "HOLD"): Tally(2, AT), ("promote", "PROMOTE"): Tally(1, later)},
        failed={"train": Tally(3, AT)}, open_step=("tune", later), idle_runs=Tally(4, AT),
        outcomes={"ABANDONED": Tally(1, AT)},
    )  # fmt: skip
    assert values(found["pipeline_verdict_timestamp_seconds"]) == {("promote",): later.timestamp()}
    assert values(found["pipeline_failed_run_timestamp_seconds"]) == {("train",): AT.timestamp()}
    assert values(found["pipeline_open_step_timestamp_seconds"]) == {("tune",): later.timestamp()}
    assert values(found["pipeline_batch_timestamp_seconds"]) == {("ABANDONED",): AT.timestamp()}
    assert values(found["pipeline_idle_run_timestamp_seconds"]) == {(): AT.timestamp()}
    assert values(found["pipeline_failed_runs"])["train",] == 3
    assert values(found["pipeline_batches"])["ABANDONED",] == 1


def test_versions_drop_out_and_those_compared_last_stay() -> None:
    # The champion is version 1, compared with every candidate since.
    compared = [40, 1, *range(39, 1, -1)]
    found = values(told(rmse=dict.fromkeys(compared, 50_000.0))["model_rmse_dollars"])
    assert list(found) == [(str(version),) for version in compared[:20]]


def test_an_alias_on_its_way_is_no_version() -> None:
    assert "pipeline_alias_version" not in told(alias_version=None)
    assert values(told(alias_version=7)["pipeline_alias_version"]) == {(): 7}
