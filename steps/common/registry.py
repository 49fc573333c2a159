"""Which model version is served, and how that is changed: the alias `Production` of `house-price` in MLflow.

The alias is the authority for what is served, the ledger for why. A version's files are believed only when each of
them has the sha256 that training wrote into the ledger.

MLflow has no compare-and-set, so the alias is only moved in a *turn*: under a lock of the ledger, after every intent
that somebody died over has been settled and every move by hand has been written down. To move it, an intent is
committed, the alias set and read back, and the intent settled as ALIAS_SET. An open intent is settled by whoever
comes next: the alias is still as the intent expected it: go on; it is the candidate: write ALIAS_SET; else STALE.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import Connection, Engine

from steps.common.artifacts import Artifact, FileBroken, download
from steps.common.logs import committed, log
from steps.common.step import NothingToDo, Refused
from steps.common.store import ledger as rows
from steps.common.store import models
from steps.common.store.connection import advisory_lock
from steps.common.store.ledger import Alert
from steps.common.store.models import AliasEvent, EventKind
from steps.common.tracking import NOT_THERE, Tracking

MODEL: Final = "house-price"
PRODUCTION: Final = "Production"
PREVIOUS: Final = "previous"
DOWNLOAD_SECONDS: Final = 120.0
_TURN_SECONDS: Final = 600.0


class ChampionLost(Refused):
    """The ledger knows that a version was in production, but no alias leads to one any more."""


def aliased(tracking: Tracking, alias: str) -> int | None:
    """Return the version an alias of the model names; None when the alias, or the model, is not there."""
    return tracking.aliased(MODEL, alias)


def champion(tracking: Tracking) -> int | None:
    """Return the version in production, as the alias has it; None when the alias names none."""
    return aliased(tracking, PRODUCTION)


def previous(tracking: Tracking) -> int | None:
    """Return the version that was in production before, as its alias has it; None when there is none."""
    return aliased(tracking, PREVIOUS)


def incumbent(tracking: Tracking, ledger: Engine) -> int | None:
    """Return the version a candidate has to beat: the champion, or `previous` where the alias was lost.

    None only when the ledger has never seen the alias set. Deleting a version drops its aliases without a word;
    raises ChampionLost when that leaves nothing to compare with.
    """
    found = champion(tracking)
    if found is not None:
        return found
    with ledger.connect() as connection:
        known = models.newest_setting(connection)
    if known is None:
        return None
    found = previous(tracking)
    if found is None:
        raise ChampionLost(
            f"the alias {PRODUCTION} is gone (it named version {known.candidate}) and so is {PREVIOUS}: set the alias "
            f"by hand to a version of {MODEL} that is to serve"
        )
    return found


def fetch_version(
    tracking: Tracking, ledger: Engine, version: int, folder: Path, seconds: float = DOWNLOAD_SECONDS
) -> Path:
    """Return the folder `<folder>/<version>` with every file of a version's model directory, each checked.

    Files that are there and right stay. Raises FileBroken when the ledger knows no files of the version, or one is
    missing or differs by a byte; Unreachable when they do not arrive within `seconds`.
    """
    deadline = time.monotonic() + seconds
    with ledger.connect() as connection:
        known = models.model_version(connection, version)
        files = models.model_files(connection, version)
    if known is None or not files:
        raise FileBroken(f"the ledger has no files of version {version} of {MODEL}, so nothing of it can be checked")
    target = folder / str(version)
    for file in files:
        if Path(file.path).is_absolute() or ".." in Path(file.path).parts:
            raise FileBroken(f"version {version}: {file.path} is no path below a model's directory")
        artifact = Artifact(f"{known.artifact_uri.rstrip('/')}/{file.path}", file.sha256, file.bytes)
        download(tracking.address, artifact, target / file.path, deadline)
    return target


@dataclass(frozen=True)
class Turn:
    """The right to move the alias, for as long as the body of `turn` runs."""

    tracking: Tracking
    ledger: Engine

    def move(
        self,
        kind: EventKind,
        candidate: int,
        reason: str,
        run_id: str | None,
        admitted: Callable[[Connection], None] | None = None,
    ) -> AliasEvent:
        """Point the alias at a version, `previous` at the one it named; return how the intent was settled.

        `admitted` is called in the intent's transaction and may raise to refuse it. The version's files are the
        caller's to verify.
        """
        expected = champion(self.tracking)
        if expected == candidate:
            raise NothingToDo(f"{PRODUCTION} names version {candidate} already")
        with self.ledger.begin() as connection:
            if admitted is not None:
                admitted(connection)
            intent = models.append_alias_event(
                connection, kind, reason=reason, expected=expected, candidate=candidate, run_id=run_id,
                # Where the alias was lost, `previous` is the incumbent, and stays what one can go back to.
                previous=expected or previous(self.tracking),
            )  # fmt: skip
        committed("intent")
        assert intent is not None  # noqa: S101  # only events that settle another can be there already
        return _settle(self.tracking, self.ledger, intent)


@contextmanager
def turn(tracking: Tracking, ledger: Engine, run_id: str | None, batch_number: int | None) -> Iterator[Turn]:
    """Take the turn at the alias: settle what others left open, write down and alert what was moved by hand.

    Raises TimeoutError when another has the turn for ten minutes.
    """
    with advisory_lock(ledger, f"alias/{MODEL}", _TURN_SECONDS):
        with ledger.connect() as connection:
            left_open = models.open_intents(connection)
        for intent in left_open:
            settled = _settle(tracking, ledger, intent)
            log().warning("intent_settled", intent=intent.event_id, of_run=intent.run_id, how=settled.kind)
        _adopt(tracking, ledger, run_id, batch_number)
        yield Turn(tracking, ledger)


def roll_back(
    tracking: Tracking,
    ledger: Engine,
    reason: str,
    to: int | None = None,
    run_id: str | None = None,
    batch_number: int | None = None,
    asked_at: int | None = None,
    admitted: Callable[[Connection], None] | None = None,
) -> AliasEvent:
    """Point the alias back at `previous`, or at the version `to`, whose files are verified first; return how it went.

    `previous` then names the version rolled back from. Asked again, or by two at once, it is done once: NothingToDo
    is raised when the alias moved meanwhile, or when its last move was a rollback and `to` does not say otherwise.
    `asked_at` is the version whoever asks has seen in production, by default the one there now; `admitted` as of
    `Turn.move`.
    """
    asked_at = asked_at or champion(tracking)
    with turn(tracking, ledger, run_id, batch_number) as mine:
        now = champion(tracking)
        with ledger.connect() as connection:
            rolled_back = models.rolled_back(connection)
        if now != asked_at:
            raise NothingToDo(f"{PRODUCTION} moved from version {asked_at} to {now} while this waited for its turn")
        if rolled_back and to is None:
            raise NothingToDo(f"the last move was a rollback, to version {now}; name a version to go elsewhere")
        target = to or previous(tracking)
        if target is None:
            raise Refused(f"the alias {PREVIOUS} names no version, so there is nothing to roll back to")
        with TemporaryDirectory() as folder:
            fetch_version(tracking, ledger, target, Path(folder))
        return mine.move("ROLLBACK_INTENT", target, reason, run_id, admitted)


def _settle(tracking: Tracking, ledger: Engine, intent: AliasEvent) -> AliasEvent:
    found, refusal = champion(tracking), None
    if found == intent.expected:
        refusal = _point(tracking, PRODUCTION, intent.candidate)
        committed("alias")
        found = champion(tracking)
    reached = found == intent.candidate
    if reached and intent.previous is not None:
        # After the alias: were the candidate refused, `previous` would have forgotten whom it named.
        _point(tracking, PREVIOUS, intent.previous)
        committed("previous")
    reason = refusal or f"{PRODUCTION} names version {found}, the intent was {intent.expected} to {intent.candidate}"
    with ledger.begin() as connection:
        settled = models.append_alias_event(
            connection, "ALIAS_SET" if reached else "STALE", reason=intent.reason if reached else reason,
            intent_id=intent.event_id, expected=intent.expected, candidate=intent.candidate if reached else found,
            previous=intent.previous if reached else None, run_id=intent.run_id,
        ) or models.settlement(connection, intent.event_id)  # fmt: skip
    committed("alias_event")
    return settled


def _point(tracking: Tracking, alias: str, version: int | None) -> str | None:
    """Set an alias; return a sentence when MLflow has no such version."""
    from mlflow.exceptions import MlflowException

    try:
        tracking.set_registered_model_alias(MODEL, alias, str(version))
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        log().error("alias_refused", alias=alias, version=version)
        return f"MLflow has no version {version} of {MODEL} any more"
    return None


def _adopt(tracking: Tracking, ledger: Engine, run_id: str | None, batch_number: int | None) -> None:
    """Write down that the alias is not where we left it; it stays where it is."""
    found = champion(tracking)
    with ledger.connect() as connection:
        known = models.newest_setting(connection)
    before = known.candidate if known else None
    if found == before:
        return
    if found is None:
        alert = Alert("ALIAS_LOST", f"{PRODUCTION} named version {before} and is gone; was the version deleted?")
    else:
        alert = Alert("ALIAS_MOVED_BY_HAND", f"{PRODUCTION} names version {found}, not {before} as the ledger knew it")
    with ledger.begin() as connection:
        adopted = models.append_alias_event(
            connection, "ADOPTED", reason=alert.message, expected=before, candidate=found, run_id=run_id
        )
        assert adopted is not None  # noqa: S101  # only events that settle another can be there already
        rows.raise_alert(connection, alert, run_id, batch_number, adopted.event_id)
    committed("adopted")
    log().error("alert", code=alert.code, message=alert.message)
