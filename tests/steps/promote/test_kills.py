"""Promote killed with SIGKILL, at every commit boundary and at any moment, and run again or taken up."""

import re

import pytest

from steps.common.step import DONE, FENCED
from tests.servers import ROOT
from tests.steps.deployment import Deployment
from tests.steps.promote.stages import evaluated, everything, in_production, outcome, run, sentence

BOUNDARIES = re.findall(
    r"\w+", (ROOT / "steps/promote/__main__.py").read_text().partition("Commit boundaries: ")[2].partition("\n")[0]
)

pytestmark = pytest.mark.usefixtures("led_here")


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at_a_boundary_and_run_again_ends_as_if_it_had_not_been(deployment: Deployment, boundary: str) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    killed = deployment.run("promote", "--run-id", "r2", killed_at=boundary)
    assert killed.returncode == -9, killed.stdout
    assert run("r2") == DONE
    assert deployment.aliases() == (second.version, first.version)
    assert [event.kind for event in deployment.events()] == ["PROMOTE_INTENT", "ALIAS_SET"] * 2
    assert outcome(deployment, second.claim) == "PROMOTE"
    assert sentence(deployment, second).startswith("RMSE falls from $55,000 to $52,000")
    assert [done["step"] for done in deployment.rows("completions")].count("promote") == 1


@pytest.mark.parametrize("boundary", ["intent", "alias", "alias_event"])
def test_killed_at_a_boundary_and_taken_up_by_the_next_attempt(deployment: Deployment, boundary: str) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    deployment.run("promote", "--run-id", "r2", killed_at=boundary)
    taken_up = deployment.claim("r3", 1, done="evaluate", adopting=second.claim)
    assert taken_up.attempt == 2
    assert run("r3") == DONE
    assert deployment.aliases() == (second.version, first.version)
    assert [event.kind for event in deployment.events()] == ["PROMOTE_INTENT", "ALIAS_SET"] * 2
    assert (outcome(deployment, second.claim), outcome(deployment, taken_up)) == (None, "PROMOTE")
    # The first one, back from the dead, writes nothing more.
    before = everything(deployment)
    assert run("r2") == FENCED
    assert everything(deployment) == before


def test_a_promotion_under_way_is_finished_under_another_policy_too(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    deployment.run("promote", "--run-id", "r2", killed_at="alias")
    monkeypatch.setenv("APPRAISER_PROMOTE_POLICY", '{"least_gain": 0.5}')
    assert run("r2") == DONE
    assert outcome(deployment, second.claim) == "PROMOTE"
    assert "under the policy of that time" in sentence(deployment, second)


def test_moved_by_hand_after_it_was_set_the_alias_stays_and_the_promotion_counts(deployment: Deployment) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    deployment.run("promote", "--run-id", "r2", killed_at="alias_event")
    deployment.set_alias(first.version)
    assert run("r2") == DONE
    assert outcome(deployment, second.claim) == "PROMOTE"
    assert deployment.aliases()[0] == first.version
    assert deployment.events()[-1].kind == "ADOPTED"
    assert [alert["code"] for alert in deployment.rows("alerts")] == ["ALIAS_MOVED_BY_HAND"]


# How long an undisturbed run takes at most where nothing else runs.
_LONGEST = 5.0


def killed_at_a_moment(deployment: Deployment, seed: int) -> None:
    first = in_production(deployment)
    second = evaluated(deployment, "r2", 1, first.version)
    deployment.kill_at_a_moment("promote", seed, _LONGEST, "--run-id", "r2")
    again = deployment.run("promote", "--run-id", "r2")
    assert again.returncode == DONE, again.stdout
    assert deployment.aliases() == (second.version, first.version)
    assert [event.kind for event in deployment.events()] == ["PROMOTE_INTENT", "ALIAS_SET"] * 2
    assert outcome(deployment, second.claim) == "PROMOTE"


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_a_random_moment(deployment: Deployment, seed: int) -> None:
    killed_at_a_moment(deployment, seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(100, 120))
def test_killed_at_many_random_moments(deployment: Deployment, seed: int) -> None:
    killed_at_a_moment(deployment, seed)
