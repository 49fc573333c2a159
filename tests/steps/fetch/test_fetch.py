"""What fetch decides, on plain values."""

import datetime as dt
from collections.abc import Collection
from itertools import count

import pytest

from steps.common.store.ledger import Claim
from steps.common.store.raw import VainRestarts
from steps.fetch.fetch import (
    SMALL_ANSWER,
    Remedy,
    Unfinished,
    last_finished,
    missing_before,
    most_rows,
    remedy,
    unfinished,
)

type Attempts = list[tuple[Claim, str | None]]


def attempts(*ended: tuple[int, str | None]) -> Attempts:
    """Return attempts in this order, each a batch and its outcome."""
    numbers = count(1)
    return [
        (Claim(n := next(numbers), "s", batch, n, f"r{n}", "sha", force_train=False), outcome)
        for batch, outcome in ended
    ]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ([], [(0, 0), (1, 0)]),
        ([(0, "HOLD")], [(1, 0)]),
        ([(0, "HOLD"), (1, None)], [(1, 1)]),
        ([(0, None), (0, None), (1, "SKIP")], [(0, 2)]),
        ([(0, None), (0, None), (0, None), (1, "QUARANTINE")], [(0, 3)]),
        # A retraining that was asked for and did not end; the attempts before the outcome do not count.
        ([(0, None), (0, None), (0, "PROMOTE"), (1, "ABANDONED"), (0, None)], [(0, 1)]),
        # Batches that RAW does not hold are not to be taken up.
        ([(0, "HOLD"), (1, "HOLD"), (7, None)], []),
    ],
)
def test_unfinished_batches_by_number_with_their_attempts_since_the_last_outcome(
    ended: list[tuple[int, str | None]], expected: list[tuple[int, int]]
) -> None:
    assert [(batch.batch_number, batch.attempts) for batch in unfinished({1, 0}, attempts(*ended))] == expected


def test_the_newest_attempt_is_the_one_to_abandon() -> None:
    (batch,) = unfinished({4}, tried := attempts((4, None), (4, None), (4, None)))
    assert batch == Unfinished(4, 3, tried[-1][0])
    assert batch.exhausted
    assert not unfinished({4}, tried[:2])[0].exhausted


@pytest.mark.parametrize(
    ("stored", "ended", "expected"),
    [
        (range(4), [(0, "PROMOTE"), (1, "HOLD"), (2, "QUARANTINE"), (1, None), (3, "ABANDONED"), (9, "SKIP")], 1),
        ((2, 3), [(0, "PROMOTE"), (2, "QUARANTINE"), (3, "ABANDONED"), (9, "SKIP")], None),
        # Judged again and refused, a batch is refused; an attempt that was given up says nothing about its rows.
        (range(2), [(0, "SKIP"), (1, "HOLD"), (1, "QUARANTINE")], 0),
        (range(2), [(0, "SKIP"), (1, "HOLD"), (1, "ABANDONED")], 1),
        (range(2), [(0, "SKIP"), (1, "HOLD"), (1, "QUARANTINE"), (1, "ABANDONED")], 0),
        (range(2), [(1, "QUARANTINE"), (0, "SKIP"), (1, "HOLD")], 1),
    ],
)
def test_only_a_batch_with_usable_listings_is_trained_on_again(
    stored: Collection[int], ended: list[tuple[int, str | None]], expected: int | None
) -> None:
    assert last_finished(stored, attempts(*ended)) == expected


def test_every_number_below_one_is_missing_unless_stored_or_given_up() -> None:
    assert missing_before(5, {0, 3}, {1}) == [2, 4]
    assert missing_before(0, (), ()) == []


@pytest.mark.parametrize(
    ("allow_restart", "restarted", "missed", "vain", "expected"),
    [
        (False, False, True, (0, 0, 0), Remedy.GIVE_UP),
        (False, False, False, (9, 9, 0), Remedy.GIVE_UP),
        (True, False, True, (0, 0, 0), Remedy.RESTART),
        (True, False, False, (2, 2, 99), Remedy.RESTART),
        (True, True, True, (2, 2, 99), Remedy.NEXT_RUN),
        (True, True, False, (3, 0, 0), Remedy.GIVE_UP),
        # The source has answered, and so often with no batch.
        (True, False, True, (3, 3, 0), Remedy.GIVE_UP_FIRST),
        (True, True, True, (3, 3, 0), Remedy.GIVE_UP_FIRST),
        # It has not: an outage, which may be over now.
        (True, True, True, (9, 2, 23.9), Remedy.NEXT_RUN),
        (True, True, True, (3, 0, 24), Remedy.GIVE_UP_FIRST),
        (True, False, True, (9, 2, 99), Remedy.RESTART),
    ],
)
def test_a_missing_batch_is_replayed_once_a_run_and_for_three_runs(
    allow_restart: bool, restarted: bool, missed: bool, vain: tuple[int, int, float], expected: Remedy
) -> None:
    runs, refused, hours = vain
    told = VainRestarts(runs, refused, dt.timedelta(hours=hours))
    assert remedy(allow_restart=allow_restart, restarted=restarted, missed=missed, vain=told) is expected


def test_an_answer_may_grow_by_a_factor_but_small_ones_are_never_too_long() -> None:
    assert most_rows({}, 10) == float("inf")
    assert most_rows({0: 4_055, 1: 230_366}, 10) == 2_303_660
    assert most_rows({0: 5}, 10) == SMALL_ANSWER
