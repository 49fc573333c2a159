"""What was decided so far, in order: the verdicts of validate and promote, what they rest on, and moves by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from steps.common.store import decisions, ledger, models
from steps.common.store.ledger import Claim, Verdict
from steps.promote.act import STALE, intact
from steps.promote.reason import Code


@dataclass(frozen=True)
class Candidate:
    """A version that promote decided about: the verdict, the champion it was compared with (None: none), evidence."""

    version: int
    champion: int | None
    verdict: Verdict
    evidence: Mapping[str, Any]

    @property
    def stale(self) -> bool:
        """Tell whether nothing was decided, since the champion had changed meanwhile."""
        return self.verdict.verdict == STALE

    @property
    def carried_out(self) -> bool:
        """Tell whether the alias was set before this verdict, by a decision under a policy that is not stored."""
        return any(reason["code"] == Code.CARRIED_OUT for reason in self.verdict.reasons)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a batch that came to an end: what validate said, and the candidate if it was trained."""

    claim: Claim
    judged: Verdict
    candidate: Candidate | None
    at: datetime


@dataclass(frozen=True)
class Move:
    """The alias set otherwise than by a promotion: a rollback, or somebody's hand; None where it was lost."""

    champion: int | None
    reason: str
    at: datetime


type Event = Attempt | Move


def read(connection: Connection, source_id: str) -> list[Event]:
    """Return every attempt of a source that reached a verdict, and every move of the alias beside them, by time.

    Raises Refused for evidence that is not the one that was measured.
    """
    times = decisions.ended_at(connection, source_id)
    found: list[Event] = [Move(move.candidate, move.reason, move.at) for move in decisions.moves_by_hand(connection)]
    for claim, outcome in ledger.attempts(connection, source_id):
        judged = ledger.verdict(connection, claim.claim_id, "validate")
        candidate = _candidate(connection, claim)
        if judged is not None and (candidate or outcome in {"SKIP", "QUARANTINE"}):
            found.append(Attempt(claim, judged, candidate, times[claim.claim_id]))
    return sorted(found, key=lambda event: event.at)


def _candidate(connection: Connection, claim: Claim) -> Candidate | None:
    verdict = ledger.verdict(connection, claim.claim_id, "promote")
    done = ledger.completion(connection, claim.claim_id, "promote")
    if verdict is None or done is None:
        return None
    champion = done.summary["champion"]
    measured = ledger.origin(connection, claim.claim_id, "evaluate")
    evidence = models.evidence(connection, measured, champion or 0)
    return Candidate(int(done.summary["candidate"]), champion, verdict, intact(evidence))
