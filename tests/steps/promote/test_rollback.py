"""`python -m steps.promote --rollback --reason …`: no run, an intent in the ledger, and safe to ask for twice."""

import pytest

from steps.common.step import DONE, FAILED, NOTHING_TO_DO
from tests.steps.deployment import Deployment, change_a_byte
from tests.steps.promote.stages import Evaluated, evaluated, everything, in_production

REASON = "prices too high in Ohio"
# Nothing of a run is completed by a rollback.
BOUNDARIES = ("intent", "alias", "previous", "alias_event")


@pytest.fixture
def two(deployment: Deployment) -> tuple[Evaluated, Evaluated]:
    """Return the runs of the version in production before, and of the one in production."""
    return in_production(deployment, 0), in_production(deployment, 1)


def test_a_rollback_swaps_the_two_aliases(deployment: Deployment, two: tuple[Evaluated, Evaluated]) -> None:
    first, second = two
    ended = deployment.run("promote", "--rollback", "--reason", REASON)
    assert ended.returncode == DONE, ended.stdout
    assert deployment.aliases() == (first.version, second.version)
    intent, settled = deployment.events()[-2:]
    assert (intent.kind, intent.expected, intent.candidate) == ("ROLLBACK_INTENT", second.version, first.version)
    assert (settled.kind, settled.reason, settled.run_id) == ("ALIAS_SET", REASON, None)
    assert f"version {second.version}, rolled back from" in ended.stdout
    before = everything(deployment)
    again = deployment.run("promote", "--rollback", "--reason", REASON)
    assert again.returncode == NOTHING_TO_DO, again.stdout
    assert everything(deployment) == before


def test_two_at_once_roll_back_once(deployment: Deployment, two: tuple[Evaluated, Evaluated]) -> None:
    first, second = two
    both = [deployment.start("promote", "--rollback", "--reason", REASON) for _ in range(2)]
    assert sorted(one.wait(300) for one in both) == [DONE, NOTHING_TO_DO]
    for one in both:
        one.communicate()
    assert deployment.aliases() == (first.version, second.version)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_and_asked_for_again_it_is_done_once(
    deployment: Deployment, two: tuple[Evaluated, Evaluated], boundary: str
) -> None:
    first, second = two
    killed = deployment.run("promote", "--rollback", "--reason", REASON, killed_at=boundary)
    assert killed.returncode == -9, killed.stdout
    again = deployment.run("promote", "--rollback", "--reason", REASON)
    assert again.returncode == NOTHING_TO_DO, again.stdout
    assert deployment.aliases() == (first.version, second.version)
    assert [event.kind for event in deployment.events()][-2:] == ["ROLLBACK_INTENT", "ALIAS_SET"]


def test_a_candidate_compared_before_the_rollback_is_stale(
    deployment: Deployment, two: tuple[Evaluated, Evaluated]
) -> None:
    first, second = two
    third = evaluated(deployment, "r3", 2, second.version)
    assert deployment.run("promote", "--rollback", "--to", str(first.version), "--reason", REASON).returncode == DONE
    assert deployment.run("promote", "--run-id", third.run_id).returncode == NOTHING_TO_DO
    assert deployment.aliases() == (first.version, second.version)


def test_what_cannot_be_rolled_back_is_refused_with_a_sentence(
    deployment: Deployment, two: tuple[Evaluated, Evaluated]
) -> None:
    first, second = two
    unknown = deployment.run("promote", "--rollback", "--to", "99", "--reason", REASON)
    assert unknown.returncode == FAILED
    assert "the ledger has no files of version 99" in unknown.stdout
    change_a_byte(deployment.stored(first.version, "model.bin"))
    broken = deployment.run("promote", "--rollback", "--reason", REASON)
    assert broken.returncode == FAILED
    assert "is not the file the ledger knows" in broken.stdout
    assert deployment.aliases() == (second.version, first.version)


@pytest.mark.parametrize("options", [["--rollback"], [], ["--rollback", "--reason", "x", "--to", "two"]])
def test_wrong_options_are_argparses_error(deployment: Deployment, options: list[str]) -> None:
    ended = deployment.run("promote", *options)
    assert ended.returncode == 2
    assert "error:" in ended.stderr
