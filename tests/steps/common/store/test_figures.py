"""What the ledger adds up to, from one that steps have written to and one in which runs have died."""

import pytest

from steps.common import registry
from steps.common.step import ORDER
from steps.common.store import ledger, models
from steps.common.store.figures import Figures, figures
from steps.common.store.ledger import Alert, Claim, Completion, Verdict
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.promote import stages
from tests.steps.promote.stages import SAME, evaluated


def added_up(deployment: Deployment) -> Figures:
    with deployment.ledger.connect() as connection:
        return figures(connection)


def begin(deployment: Deployment, run_id: str) -> None:
    with deployment.ledger.begin() as connection:
        ledger.append_run(connection, run_id, SOURCE, force_train=False)


def ended(deployment: Deployment, claim: Claim, outcome: str) -> None:
    deployment.complete(claim, "clean", outcome=outcome)


def test_a_promotion_and_a_refusal(led_here: Deployment) -> None:
    first = evaluated(led_here, "run 0", 0, None)
    assert stages.run(first.run_id) == 0
    second = evaluated(led_here, "run 1", 1, first.version, SAME)
    assert stages.run(second.run_id) == 99
    with led_here.ledger.begin() as connection:
        ledger.raise_alert(connection, Alert("CODE", "look at this"), "run 1", 1)
    found = added_up(led_here)
    assert {given: tally.count for given, tally in found.verdicts.items()} == {
        ("promote", "PROMOTE"): 1, ("promote", "HOLD"): 1,
    }  # fmt: skip
    assert {outcome: tally.count for outcome, tally in found.outcomes.items()} == {"PROMOTE": 1, "HOLD": 1}
    assert found.outcomes["PROMOTE"].newest_at < found.outcomes["HOLD"].newest_at
    assert (found.hold_streak, found.alerts) == (1, {"CODE": 1})
    assert set(found.step_seconds) == set(ORDER)
    assert (found.failed, found.open_step, found.idle_runs) == ({}, None, None)
    assert list(found.rmse.items()) == [(second.version, 55_000.0), (first.version, 55_000.0)]
    assert found.alias_version == first.version


def test_an_empty_ledger(deployment: Deployment) -> None:
    found = added_up(deployment)
    assert (found.outcomes, found.failed, found.open_step, found.rmse) == ({}, {}, None, {})
    assert (found.measured.refused_ratio, found.measured.unseen_ratios, found.alias_version) == (None, {}, 0)


@pytest.mark.parametrize("done", [None, *ORDER[:-1]])
def test_a_run_stands_at_a_step_until_another_begins(deployment: Deployment, done: str | None) -> None:
    stopped_at = ORDER[ORDER.index(done) + 1] if done else "fetch"
    if done:
        deployment.claim("run 0", done=done)
    else:
        begin(deployment, "run 0")
    found = added_up(deployment)
    assert found.failed == {}
    assert found.open_step is not None
    assert found.open_step[0] == stopped_at
    begin(deployment, "run 1")
    found = added_up(deployment)
    assert {step: tally.count for step, tally in found.failed.items()} == {stopped_at: 1}
    assert found.open_step is not None
    assert found.open_step[0] == "fetch"
    assert found.failed[stopped_at].newest_at == found.open_step[1]


def test_what_has_ended_has_not_failed(deployment: Deployment) -> None:
    begin(deployment, "idle")
    with deployment.ledger.begin() as connection:
        ledger.append_idle_run(connection, "idle", "the source is at its end")
    for batch, outcome in enumerate(("SKIP", "QUARANTINE", "HOLD")):
        ended(deployment, deployment.claim(outcome, batch, done="validate"), outcome)
    deployment.claim("stale", 3, done="promote")
    found = added_up(deployment)
    assert (found.failed, found.open_step) == ({}, None)
    assert found.idle_runs is not None
    assert found.idle_runs.count == 1


def test_an_abandoned_attempt_has_failed_where_it_stopped(deployment: Deployment) -> None:
    claim = deployment.claim("run 0", done="tune")
    begin(deployment, "run 1")
    with deployment.ledger.begin() as connection:
        assert ledger.abandon(connection, claim)
    found = added_up(deployment)
    assert {step: tally.count for step, tally in found.failed.items()} == {"train": 1}
    assert found.outcomes["ABANDONED"].count == 1


def test_what_validate_measured_of_the_newest_batch(deployment: Deployment) -> None:
    for batch, refused in enumerate((10, 30)):
        report = {
            "counts": {"rows": 120, "refused": refused},
            "drift": {"state": {"new_share": 0.25}, "price": {"new_share": 0.0}} if batch else None,
        }
        claim = deployment.claim(f"run {batch}", batch, done="fetch")
        with deployment.ledger.begin() as connection:
            done = Completion(claim.claim_id, "validate", 0, "d", {}, None, 1.0)
            ledger.append_completion(connection, done, Verdict("SKIP", [], report, {}), None)
        measured = added_up(deployment).measured
        assert measured.refused_ratio == refused / 120
    assert measured.unseen_ratios == {"state": 0.25}


def test_where_the_ledger_knows_the_alias(deployment: Deployment) -> None:
    one, two = deployment.versions(2)
    deployment.set_alias(one)
    assert added_up(deployment).alias_version == 0, "moved by hand, and nobody has written that down"
    with registry.turn(deployment.tracking, deployment.ledger, None, None):
        pass
    found = added_up(deployment)
    assert (found.alias_version, found.alias_events["ADOPTED"].count) == (one, 1)
    with deployment.ledger.begin() as connection:
        models.append_alias_event(connection, "PROMOTE_INTENT", reason="better", expected=one, candidate=two)
    assert added_up(deployment).alias_version is None, "on its way"
