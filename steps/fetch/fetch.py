"""What fetch decides, from plain values: which stored batch to take up, which are missing, what to do about that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from steps.common.store.ledger import Claim, usable
from steps.common.store.raw import VainRestarts

# After so many attempts since its last outcome a batch is given up, so that it does not block those behind it; also one
# that so many runs have set the counter back for, and that never came.
MOST_ATTEMPTS: Final = 3
# Without an answer of the source it may be the link or RAW that is broken, and three runs by hand take minutes: so long
# somebody has to mend it before a good batch is given up.
OUTAGE: Final = dt.timedelta(hours=24)
# An answer of this many rows is never too long, however small the batches before it were.
SMALL_ANSWER: Final = 10_000


@dataclass(frozen=True)
class Unfinished:
    """A stored batch whose newest attempt has no outcome, or that nobody has claimed: `newest` is None then."""

    batch_number: int
    attempts: int
    newest: Claim | None

    @property
    def exhausted(self) -> bool:
        """Tell whether it has been tried often enough."""
        return self.attempts >= MOST_ATTEMPTS


def unfinished(stored: Collection[int], attempts: Sequence[tuple[Claim, str | None]]) -> list[Unfinished]:
    """Return the stored batches that are unfinished, by number; `attempts` are all there were, oldest first.

    Attempts are counted since the last outcome: one that ended STALE has none, and counts.
    """
    found = []
    for number in sorted(stored):
        tried: list[Claim] = []
        finished = False
        for claim, outcome in attempts:
            if claim.batch_number == number:
                finished = outcome is not None
                tried = [] if finished else [*tried, claim]
        if not finished:
            found.append(Unfinished(number, len(tried), tried[-1] if tried else None))
    return found


def last_finished(stored: Collection[int], attempts: Sequence[tuple[Claim, str | None]]) -> int | None:
    """Return the stored batch that was finished last of those with usable listings, None where there is none."""
    numbers = [claim.batch_number for claim in usable(attempts) if claim.batch_number in stored]
    return numbers[-1] if numbers else None


def missing_before(number: int, stored: Collection[int], given_up: Collection[int]) -> list[int]:
    """Return the numbers below this one that RAW does not hold and nobody has given up.

    The source counts from 0 after each restart, so all of them exist, also before the first one that we saw.
    """
    return [before for before in range(number) if before not in stored and before not in given_up]


class Remedy(Enum):
    """What to do when a batch is, or may be, missing."""

    RESTART = auto()  # set the counter back and pass through all batches again
    GIVE_UP = auto()  # say what is lost and go on
    GIVE_UP_FIRST = auto()  # the same, but of the first one missing only: it is what nothing could be stored for
    NEXT_RUN = auto()  # fail: this run has restarted the counter once, and lost an answer since


def remedy(*, allow_restart: bool, restarted: bool, missed: bool, vain: VainRestarts) -> Remedy:
    """Return what to do about a missing batch.

    `restarted`: this run has set the counter back before. `missed`: an answer of ours was lost since then; without
    that, a number that is missing after a restart is one the source does not have, or gave to somebody else.
    `vain`: the runs that have set the counter back since anything came of it; without a bound on them, a batch that the
    source can never deliver was asked for again by every run, and none behind it was ever stored. Where the source has
    not answered, a run gives up only what it has asked for itself: the first one after an outage would get it.
    """
    if not allow_restart or (restarted and not missed):
        return Remedy.GIVE_UP
    if vain.refused >= MOST_ATTEMPTS:
        return Remedy.GIVE_UP_FIRST
    if not restarted:
        return Remedy.RESTART
    return Remedy.GIVE_UP_FIRST if vain.runs >= MOST_ATTEMPTS and vain.age >= OUTAGE else Remedy.NEXT_RUN


def most_rows(stored: Mapping[int, int], growth: float) -> float:
    """Return how many rows an answer may have, given those of the stored batches; the first may have any number."""
    return max(growth * max(stored.values()), SMALL_ANSWER) if stored else float("inf")
