"""The champion changes between evaluate and promote: which evidence still counts, and which is measured anew."""

import pytest

from steps.common.step import DONE, NOTHING_TO_DO
from tests.steps.deployment import Deployment
from tests.steps.evaluate import stages
from tests.steps.evaluate.stages import completed, everything, promote, run, trained, weak_champion

pytestmark = pytest.mark.usefixtures("led_here")


def test_taken_up_after_the_champion_changed_it_is_measured_anew(deployment: Deployment) -> None:
    champion = weak_champion(deployment)
    first, version = trained(deployment, "r1", 1)
    _, other = trained(deployment, "r2", 2, share=0.2)
    assert run("r1") == DONE
    stages.put_into_production(deployment, other)
    # Decided as STALE, the first attempt is over; what it measured is not to be adopted all the same.
    assert promote("r1") == NOTHING_TO_DO
    second = deployment.claim("r3", 1, done="train", adopting=first)
    assert run("r3") == DONE
    done = completed(deployment, second)
    assert done is not None
    assert (done.adopted_from, done.summary["champion_version"]) == (None, other)
    assert [(row["claim_id"], row["champion_version"]) for row in deployment.rows("evidence")] == [
        (first.claim_id, champion), (second.claim_id, other),
    ]  # fmt: skip
    assert promote("r3") == DONE
    assert deployment.aliases() == (version, other)


def test_run_again_after_the_champion_changed_it_is_measured_anew(deployment: Deployment) -> None:
    champion = weak_champion(deployment)
    trained(deployment, "r1", 1, share=0.1)
    _, other = trained(deployment, "r2", 2, share=0.2)
    assert run("r1") == DONE
    deployment.set_alias(other)
    assert run("r1") == DONE
    assert [row["champion_version"] for row in deployment.rows("evidence")] == [champion, other]


def test_put_into_production_by_hand_a_candidate_is_compared_with_itself(deployment: Deployment) -> None:
    weak_champion(deployment)
    first, version = trained(deployment, "r1", 1)
    assert run("r1") == DONE
    deployment.set_alias(version)
    assert promote("r1") == NOTHING_TO_DO
    # Adopted, the evidence against the champion before would be STALE in every attempt, and the batch ABANDONED.
    second = deployment.claim("r2", 1, done="train", adopting=first)
    assert run("r2") == DONE
    done = completed(deployment, second)
    assert done is not None
    assert (done.adopted_from, done.summary["champion_version"]) == (None, version)
    assert promote("r2") == NOTHING_TO_DO
    assert [row["verdict"] for row in deployment.rows("verdicts") if row["step"] == "promote"] == ["STALE", "HOLD"]
    assert [row["outcome"] for row in deployment.rows("outcomes")][-1] == "HOLD"


def test_a_promotion_under_way_does_not_invalidate_its_own_evidence(deployment: Deployment) -> None:
    champion = weak_champion(deployment)
    _, version = trained(deployment, "r1", 1)
    assert run("r1") == DONE
    deployment.run("promote", "--run-id", "r1", killed_at="alias")
    assert deployment.aliases()[0] == version
    before = everything(deployment)
    assert run("r1") == DONE
    assert everything(deployment) == before
    assert promote("r1") == DONE
    assert deployment.aliases() == (version, champion)
