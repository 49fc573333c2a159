"""Going back to the version before: only where it is clearly better and allowed, and once, whenever it is killed."""

import ast
import re

import numpy as np
import pytest

from steps.common.step import DONE, FENCED
from steps.validate.look_back import LookBack, rollback_advised
from steps.validate.policy import Policy
from steps.validate.reason import Reason
from tests.servers import ROOT
from tests.steps.batches import Row, changed, claimed, fetched, finish, rows, times
from tests.steps.deployment import Deployment
from tests.steps.validate.champion import promote, train
from tests.steps.validate.stages import clean, codes, left, passed, validate, verdict

_text = (ROOT / "steps/validate/__main__.py").read_text()
_stated = re.search(r"where the alias goes back: ([a-z_, \n]+)\.", ast.get_docstring(ast.parse(_text)) or "")
assert _stated
BOUNDARIES = [name.strip() for name in _stated[1].split(",")]
ALLOWED = ("--allow-rollback", "true")
LIKE_BEFORE = rows(1200, seed=2)


pytestmark = pytest.mark.usefixtures("led_here")


@pytest.fixture
def versions(deployment: Deployment) -> tuple[int, int]:
    """Put a good version into production, and after it one that learnt prices twice as high for half of its houses."""
    first = passed(deployment, "r0", 0, rows(1200))
    good = train(deployment, first)
    promote(deployment, good)
    second = passed(deployment, "r1", 1, changed(rows(1200, seed=1), price=times(2)))
    bad = train(deployment, second)
    promote(deployment, bad)
    return good, bad


def moves(deployment: Deployment) -> list[str]:
    """Return what was done to the alias after the two promotions."""
    return [event.kind for event in deployment.events()][4:]


def shuffled(some: list[Row]) -> list[Row]:
    order = np.random.default_rng(1).permutation(len(some)).tolist()
    return [{**row, "price": some[place]["price"]} for row, place in zip(some, order, strict=True)]


def test_without_leave_it_is_advised_and_the_alias_stays(deployment: Deployment, versions: tuple[int, int]) -> None:
    good, bad = versions
    claim = fetched(deployment, "r", 2, LIKE_BEFORE)
    assert validate("r") == DONE
    found = verdict(deployment, claim)
    assert codes(found)[-1] == "ROLLBACK_ADVISED"
    assert "left where it is, as allow_rollback is false" in found.reasons[-1]["sentence"]
    assert found.reasons[-1]["outcome"] == "stayed"
    assert (found.report["champion"]["version"], found.report["previous"]["version"]) == (bad, good)
    assert (deployment.aliases(), moves(deployment)) == ((bad, good), [])
    (alert,) = deployment.rows("alerts")
    assert (alert["code"], alert["run_id"]) == ("ROLLBACK_ADVISED", "r")
    assert clean("r") == DONE
    finish(deployment, claim, "SKIP")
    # Where prices follow from nothing, the version that knows least is the least wrong.
    nonsense = fetched(deployment, "nonsense", 3, shuffled(rows(1200, seed=3)))
    assert validate("nonsense", *ALLOWED) == DONE
    found = verdict(deployment, nonsense)
    assert (codes(found)[0], "ROLLBACK_ADVISED" in codes(found)) == ("NOT_LEARNABLE", False)
    assert moves(deployment) == []


def test_with_leave_it_goes_back_and_the_verdict_speaks_of_what_is_served_then(
    deployment: Deployment, versions: tuple[int, int]
) -> None:
    good, bad = versions
    claim = fetched(deployment, "r", 2, LIKE_BEFORE)
    assert validate("r", *ALLOWED) == DONE
    found = verdict(deployment, claim)
    assert (deployment.aliases(), moves(deployment)) == ((good, bad), ["ROLLBACK_INTENT", "ALIAS_SET"])
    assert deployment.events()[-1].run_id == "r"
    assert "going back gains $" in deployment.events()[-1].reason
    previous = found.report["previous"]
    assert (previous["version"], previous["champion"], previous["advised"]) == (good, bad, True)
    assert f"Production was moved back to version {good}" in previous["outcome"]
    assert (previous["moved"], found.reasons[-1]["outcome"]) == (True, "moved")
    assert found.report["champion"]["version"] == found.report["retrain_value"]["version"] == good
    assert "CHAMPION_WORSE_HERE" not in codes(found)
    once = left(deployment, claim)
    assert validate("r", *ALLOWED) == DONE
    assert left(deployment, claim) == once
    assert clean("r") == DONE
    finish(deployment, claim, "SKIP")
    # The version gone back from is better on the next batch: going to and fro is for a person to decide.
    after = fetched(deployment, "r3", 3, changed(rows(1200, seed=3), price=times(2)))
    assert validate("r3", *ALLOWED) == DONE
    outcome = verdict(deployment, after).report["previous"]["outcome"]
    assert f"left where it is: the last move was a rollback, to version {good}" in outcome
    assert (deployment.aliases(), len(moves(deployment))) == ((good, bad), 2)


@pytest.mark.parametrize("boundary", [*BOUNDARIES, "told"])
@pytest.mark.parametrize("again", ["the same run", "the attempt after it"])
def test_killed_on_the_way_it_goes_back_once(
    deployment: Deployment, versions: tuple[int, int], boundary: str, again: str
) -> None:
    good, bad = versions
    claim = fetched(deployment, "r", 2, LIKE_BEFORE)
    killed = deployment.run("validate", "--run-id", "r", *ALLOWED, killed_at=boundary)
    assert killed.returncode == -9, killed.stdout
    run_id = "r" if again == "the same run" else "r2"
    if run_id == "r2":
        claim = claimed(deployment, "r2", 2)
    assert validate(run_id, *ALLOWED) == DONE
    assert (deployment.aliases(), moves(deployment)) == ((good, bad), ["ROLLBACK_INTENT", "ALIAS_SET"])
    found = verdict(deployment, claim)
    assert codes(found)[-1] == "ROLLBACK_ADVISED"
    assert f"Production was moved back to version {good}" in found.reasons[-1]["sentence"]
    assert found.reasons[-1]["outcome"] == "moved"
    assert found.report["champion"]["version"] == good
    assert [(row["code"], row["run_id"]) for row in deployment.rows("alerts")] == [("ROLLBACK_ADVISED", run_id)]


def test_an_attempt_that_was_overtaken_moves_nothing(
    deployment: Deployment, versions: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(deployment, "r", 2, LIKE_BEFORE)

    def overtaken(found: LookBack, policy: Policy) -> list[Reason]:
        claimed(deployment, "later", 2)
        return rollback_advised(found, policy)

    monkeypatch.setattr("steps.validate.going_back.rollback_advised", overtaken)
    assert validate("r", *ALLOWED) == FENCED
    assert (deployment.aliases(), moves(deployment)) == (versions[::-1], [])
