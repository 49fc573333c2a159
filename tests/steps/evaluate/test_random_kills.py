"""Evaluate killed with SIGKILL at any moment, not only at commit boundaries, and run again."""

import pytest

from steps.common.step import DONE
from tests.steps.deployment import Deployment
from tests.steps.evaluate.stages import completed, trained

# How long an undisturbed run takes at most where nothing else runs.
_LONGEST = 12.0


def killed_and_run_again(deployment: Deployment, seed: int) -> None:
    claim, version = trained(deployment, "r0")
    deployment.kill_at_a_moment("evaluate", seed, _LONGEST, "--run-id", "r0")
    again = deployment.run("evaluate", "--run-id", "r0")
    assert again.returncode == DONE, again.stdout
    (row,) = deployment.rows("evidence")
    assert (row["candidate_version"], row["champion_version"]) == (version, 0)
    done = completed(deployment, claim)
    assert done is not None
    assert done.digest == row["sha"]


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_moment(deployment: Deployment, seed: int) -> None:
    killed_and_run_again(deployment, seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(100, 120))
def test_killed_at_many_random_moments(deployment: Deployment, seed: int) -> None:
    killed_and_run_again(deployment, seed)
