"""Fetch killed with SIGKILL after each of its commits and at random moments, then run again: as if never killed."""

import random
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from steps.common.step import DONE, FAILED, NOTHING_TO_DO, RETRY
from steps.fetch import __main__ as program
from tests.servers import Databases
from tests.steps.fetch.fetching import BATCHES, Fetching, output

_stated = re.search(r"Commit boundaries: ([a-z_, \n]+)\.", program.__doc__ or "")
assert _stated
BOUNDARIES = [name.strip() for name in _stated[1].split(",")]


def nothing_before(_: Fetching) -> None:
    """Leave batch 0 next, and new."""


def batch_taken(fetching: Fetching) -> None:
    """Store and finish batch 0, and let somebody take batch 1."""
    fetching.batch("before")
    fetching.take_away(1)


def exhausted(fetching: Fetching) -> None:
    """Try batch 0 three times without an end."""
    for run_id in ("a", "b", "c"):
        fetching.batch(run_id, outcome=None)


def not_json(fetching: Fetching) -> None:
    """Let the next answer be a page for people."""
    fetching.misbehave({"fault": "html_page", "times": 1})


def last_batch_lost(fetching: Fetching) -> None:
    """Let this run lose the last batch, and forbid to set the counter back."""
    fetching.settings["allow_restart"] = "false"
    fetching.take_away(BATCHES - 1)
    fetching.misbehave({"fault": "answer_lost", "times": 1})
    assert fetching.run("r") == RETRY


def lost_twice(fetching: Fetching) -> None:
    """Let this run lose batch 0, set the counter back, and lose it again."""
    fetching.misbehave({"fault": "answer_lost", "batch": 0, "times": 2})
    assert fetching.run("r") == RETRY
    assert fetching.run("r") == RETRY


def never_delivered(fetching: Fetching) -> None:
    """Let batch 1 never come, however often the counter is set back, until the next run is the one that gives it up."""
    fetching.batch("before")
    fetching.misbehave({"fault": "not_a_number", "batch": 1, "times": None})
    for run_id in ("a", "b", "c", "d"):
        assert fetching.run(run_id) == FAILED


def never_delivered_and_taken(fetching: Fetching) -> None:
    """Let batch 1 never come, and somebody take the good batch 2."""
    never_delivered(fetching)
    fetching.take_away(1)


def at_its_end(fetching: Fetching) -> None:
    """Let somebody take all there is."""
    fetching.take_away(BATCHES)


SCENES: dict[str, Callable[[Fetching], None]] = {
    "run": nothing_before,
    "abandoned": exhausted,
    "request_sent": nothing_before,
    "batch_stored": nothing_before,
    "batch_known": batch_taken,
    "answer_refused": not_json,
    "gap_found": batch_taken,
    "restarted": batch_taken,
    "batch_given_up": last_batch_lost,
    "batch_missed": lost_twice,
    "source_ended": at_its_end,
    "alert": not_json,
    "nothing_to_do": at_its_end,
    "claim": nothing_before,
    "completion": nothing_before,
    # In the middle of passing through what is known.
    "request_sent#3": batch_taken,
    # The batch that is given up, with the one behind it and before it.
    "batch_stored#1": never_delivered,
    "batch_given_up#1": never_delivered_and_taken,
}


def to_the_end(fetching: Fetching) -> None:
    """Run the same run until it has ended, and after one that failed for good, the next one."""
    for run_id in ("r", "r", "r", "next"):
        if fetching.run(run_id) in {DONE, NOTHING_TO_DO}:
            return
    raise AssertionError(fetching.events())


def comparable(fetching: Fetching) -> dict[str, Any]:
    """Return what is left, as far as it does not depend on which of two tries came to the end."""
    state = fetching.state()
    state["restarts"] = fetching.events().count("RESTARTED")
    return state


def test_every_stated_boundary_is_killed_at() -> None:
    assert {name.partition("#")[0] for name in SCENES} == set(BOUNDARIES)


@pytest.fixture(scope="module")
def unharmed() -> dict[str, dict[str, Any]]:
    """Return what each scene ends with where nobody is killed, filled in as it is needed."""
    return {}


@pytest.mark.parametrize("boundary", SCENES)
def test_killed_after_a_commit_and_run_again(
    fetching: Fetching, boundary: str, unharmed: dict[str, dict[str, Any]]
) -> None:
    scene = SCENES[boundary]
    if scene.__name__ not in unharmed:
        scene(fetching)
        to_the_end(fetching)
        unharmed[scene.__name__] = comparable(fetching)
        empty(fetching)
    scene(fetching)
    process = fetching.start("r", killed_at=boundary)
    output(process)
    assert process.returncode == -signal.SIGKILL
    to_the_end(fetching)
    assert comparable(fetching) == unharmed[scene.__name__]


def empty(fetching: Fetching) -> None:
    """Forget all that happened, and set the source back."""
    databases: Databases = fetching.databases
    with databases.connect("raw", "postgres") as connection:
        connection.execute("TRUNCATE batches, listings, fetch_attempts RESTART IDENTITY")
    with databases.connect("ledger", "postgres") as connection:
        # The ledger refuses TRUNCATE to everybody, superusers included, as long as its triggers are in force.
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "TRUNCATE sources, runs, idle_runs, claims, completions, outcomes, alerts RESTART IDENTITY CASCADE"
        )
    fetching.settings.clear()
    fetching.misbehave()
    fetching.set_back()


def killed_anywhere(fetching: Fetching, moments: int) -> None:
    """Kill one run after another at random moments, take the batch to its end, compare with a run left alone."""
    seed = random.randrange(1 << 30)  # noqa: S311  # moments, no secrets
    batch_taken(fetching)
    to_the_end(fetching)
    left_alone = fetching.stored()
    for moment in random.Random(seed).choices(range(200, 1600), k=moments):  # noqa: S311  # as above
        empty(fetching)
        batch_taken(fetching)
        process = fetching.start("r")
        time.sleep(moment / 1000)
        process.kill()
        output(process)
        to_the_end(fetching)
        assert fetching.stored() == left_alone, f"killed after {moment} ms, seed {seed}"
        claims = fetching.query("ledger", "SELECT run_id, batch_number FROM claims WHERE run_id <> 'before'")
        assert claims in ([("r", 1)], [("next", 1)])


def test_killed_at_random_moments_and_run_again(fetching: Fetching) -> None:
    killed_anywhere(fetching, 3)


@pytest.mark.faults
def test_killed_at_many_random_moments_and_run_again(fetching: Fetching) -> None:
    killed_anywhere(fetching, 20)
