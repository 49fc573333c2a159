"""The errand `--what-if`: reads the history, decides it again under another policy, prints both; writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from steps.common import logs
from steps.common.artifacts import Artifact, FileBroken, download
from steps.common.logs import log
from steps.common.registry import DOWNLOAD_SECONDS
from steps.common.step import DONE, Job
from steps.common.store import ledger
from steps.common.store.connection import read_only
from steps.common.tracking import Tracking
from steps.promote import history, other_policy, stored_errors
from steps.promote.history import Attempt, Candidate, Move
from steps.promote.promote import dollars
from steps.promote.rejudging import THRESHOLDS, UNKNOWN
from steps.promote.stored_errors import ErrorsUnreadable, StoredErrors
from steps.promote.what_if import UNTRAINED, Champions, Replayed, Trainings, replay, skips_trained, trainings

Lines = list[tuple[str, object]]
_WIDTH = 16
_READING: Lines = [
    ("exact", "every RMSE, and verdicts on pairs that were compared at the time"),
    ("by a normal interval", "verdicts by the stored errors"),
    ("assumed", "candidates as they were trained, whoever was champion; a SKIP of which nobody knows stayed one"),
]


@dataclass(frozen=True)
class ErrorStore:
    """The stored errors of candidates' comparisons, fetched into a folder once each."""

    tracking: Tracking
    folder: Path

    def of(self, candidate: Candidate) -> StoredErrors | None:
        """Return the errors kept with a candidate's evidence; None where the file is gone or another one."""
        known = candidate.evidence.get("errors")
        if known is None:
            return None
        stored = Artifact(known["uri"], known["sha256"], known["bytes"])
        place = self.folder / f"{stored.sha256}.npz"
        try:
            download(self.tracking.address, stored, place, time.monotonic() + DOWNLOAD_SECONDS)
            return stored_errors.read(place)
        except (FileBroken, ErrorsUnreadable) as error:
            log().warning("errors_unusable", version=candidate.version, why=str(error))
            return None


def what_if(job: Job) -> int:
    """Print the stored history beside the same under another policy; return the exit code."""
    engine = read_only(job.ledger)
    ledger.open_ledger(engine, job.source_id)
    with engine.connect() as connection:
        events = history.read(connection, job.source_id)
    known = {name for event in events if isinstance(event, Attempt) for name in event.judged.policy}
    other = other_policy.read(job.options.what_if, THRESHOLDS | known)
    with TemporaryDirectory() as folder:
        errors = ErrorStore(Tracking(job.settings), Path(folder))
        told = replay(events, other, errors.of)
        lines = [*other.lines(), *_history(told), *_champions(told), *_errors(told, errors), *_trainings(told)]
        lines += _READING if told else []
    logs.close("promote · what if", lines, f"exit code {DONE}, nothing was changed")
    return DONE


def _history(told: Sequence[Replayed]) -> Lines:
    """Return each event with its verdict as stored and otherwise, and why."""
    if not told:
        return [("history", "no batch has reached a verdict yet")]
    lines: Lines = [("", f"{'as stored':<{_WIDTH}}otherwise")]
    for one in told:
        lines += _move(one.event) if isinstance(one.event, Move) else _attempt(one, one.event)
    return lines


def _move(move: Move) -> Lines:
    now = "lost" if move.champion is None else f"version {move.champion}"
    return [("by hand", f"{now:<{_WIDTH}}{now}"), ("  why", move.reason)]


def _attempt(one: Replayed, attempt: Attempt) -> Lines:
    candidate, verdict = attempt.candidate, attempt.judged
    label = f"batch {attempt.claim.batch_number}"
    if candidate is None or one.decided is None:
        otherwise = one.judged
    else:
        label += f" · version {candidate.version}"
        verdict, otherwise = candidate.verdict, one.decided
    now, why = (otherwise.verdict, otherwise.why) if otherwise else (UNKNOWN, "")
    was = str(verdict.reasons[0]["sentence"]) if verdict.reasons else ""
    return [
        (label, f"{verdict.verdict:<{_WIDTH}}{now}"),
        ("  as stored", was),
        *([("  otherwise", why)] if why and why != was else []),
    ]


def _champions(told: Sequence[Replayed]) -> Lines:
    """Return who was champion one after the other, and who would have been."""
    stored = [_who(frozenset({one.actual})) for one in told]
    otherwise = [_who(one.champions) for one in told]
    return [
        ("champions", f"as stored: {' → '.join(_changes(stored)) or 'none'}"),
        ("", f"otherwise: {' → '.join(_changes(otherwise)) or 'none'}"),
    ]


def _who(champions: Champions) -> str:
    names = {None: "none", UNTRAINED: "a version never trained"}
    return " or ".join(names.get(one, str(one)) for one in sorted(champions, key=lambda one: (not one, one or 0)))


def _changes(names: Sequence[str]) -> Iterator[str]:
    for before, name in zip(["none", *names], names, strict=False):
        if name != before:
            yield name


def _errors(told: Sequence[Replayed], errors: ErrorStore) -> Lines:
    """Return RMSE of every champion, of either history, on the test rows of each comparison from its own on."""
    seen: list[int] = []
    lines: Lines = []
    for one in told:
        seen += sorted({who for who in (one.actual, *one.champions) if who} - set(seen))
        candidate = one.event.candidate if isinstance(one.event, Attempt) else None
        if candidate is None or candidate.stale or not seen or not isinstance(one.event, Attempt):
            continue
        stored = errors.of(candidate)
        found = {who: stored.rmse(who) if stored else None for who in seen}
        shown = [f"version {who} {UNKNOWN if rmse is None else dollars(rmse)}" for who, rmse in found.items()]
        rows = f"{candidate.evidence.get('rows', 0):,} test rows"
        lines.append((f"RMSE at batch {one.event.claim.batch_number}", f"{', '.join(shown)} ({rows})"))
    return lines


def _trainings(told: Sequence[Replayed]) -> Lines:
    stored, otherwise = trainings(told)
    skips = [
        f"batch {one.event.claim.batch_number} ({one.judged.verdict}: {one.judged.why})"
        for one in skips_trained(told)
        if isinstance(one.event, Attempt) and one.judged
    ]
    return [
        ("trainings", f"as stored: {_counted(stored)}"),
        ("", f"otherwise: {_counted(otherwise)}"),
        *[("SKIP, otherwise trained", skip) for skip in skips],
    ]


def _counted(found: Trainings) -> str:
    unknown = f", unknown of {found.unknown}" if found.unknown else ""
    return f"{found.trained}, of which {found.wasted} for a version that was never promoted{unknown}"
