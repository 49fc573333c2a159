"""Tune and train killed with SIGKILL at random moments, then run again: one whole sweep, one whole version."""

import pytest

from tests.steps.deployment import Deployment
from tests.steps.train import test_step as train_step
from tests.steps.training_data import cleaned
from tests.steps.tune import test_step as tune_step

# From the first import to after the completion row, on a machine that has something else to do too.
_LONGEST = {"tune": 14.0, "train": 9.0}


def kill(deployment: Deployment, step: str, seed: int) -> None:
    """Kill a step of run `r` at a random moment, which may be after its end."""
    deployment.kill_at_a_moment(step, seed, _LONGEST[step], "--run-id", "r", APPRAISER_TRIALS=tune_step.TRIALS)


def killed_anywhere(deployment: Deployment, seed: int) -> None:
    """Kill a sweep twice and a training once, each at a random moment, and look at what comes out in the end."""
    claim = cleaned(deployment, "r", rows=400, seed=seed)
    for again in range(2):
        kill(deployment, "tune", 100 * again + seed)
    tune_step.tune(deployment)
    states = [state for _, state in tune_step.trials(deployment)]
    failed = states.count("FAIL")
    assert failed <= 2
    tune_step.check_everything(deployment, failed)
    kill(deployment, "train", seed)
    train_step.train(deployment)
    train_step.check_version(deployment, claim)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments(deployment: Deployment, seed: int) -> None:
    killed_anywhere(deployment, seed)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2, 22))
def test_killed_at_many_random_moments(deployment: Deployment, seed: int) -> None:
    killed_anywhere(deployment, seed)
