"""Every SQL statement on the ledger's model versions, the evidence on them and what explains it, and on the alias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from steps.common.store.ledger import Claim, origin
from steps.common.tables import ledger

EventKind = Literal["PROMOTE_INTENT", "ROLLBACK_INTENT", "ALIAS_SET", "STALE", "ADOPTED"]
INTENTS: tuple[EventKind, ...] = ("PROMOTE_INTENT", "ROLLBACK_INTENT")


class VersionDiffers(Exception):
    """The ledger holds this version already, with another origin or other files; nothing was written."""


@dataclass(frozen=True)
class ModelFile:
    """A file of a version's model directory: its path below that directory, sha256 in hex, size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class ModelVersion:
    """A registered version: the claim that trained it, where its directory is (`mlflow-artifacts:/…`), its card."""

    version: int
    claim_id: int
    mlflow_run_id: str
    artifact_uri: str
    fingerprint: str
    card: Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What evaluate measured under a claim, for a candidate against a champion (0: there was none)."""

    claim_id: int
    champion_version: int
    candidate_version: int
    sha: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Explanation:
    """Why a candidate differs from a champion (0: there was none), as `steps/common/explanation.py` has it."""

    claim_id: int
    champion_version: int
    candidate_version: int
    explanation: Mapping[str, Any]


@dataclass(frozen=True)
class AliasEvent:
    """One thing that was done to the alias, or is about to be; see `steps/common/registry.py`."""

    event_id: int
    kind: str
    intent_id: int | None
    expected: int | None
    candidate: int | None
    previous: int | None
    run_id: str | None
    reason: str
    at: datetime


def append_version(connection: Connection, version: ModelVersion, files: Sequence[ModelFile]) -> None:
    """Append a version with the manifest of its files; once: the same again changes nothing.

    Raises VersionDiffers when the ledger has it otherwise.
    """
    row = {name: getattr(version, name) for name in ModelVersion.__dataclass_fields__}
    connection.execute(insert(ledger.model_versions).values(row).on_conflict_do_nothing())
    rows = [{"version": version.version, **file.__dict__} for file in files]
    connection.execute(insert(ledger.model_files).on_conflict_do_nothing(), rows)
    known = model_version(connection, version.version)
    if known is None or (known.claim_id, known.mlflow_run_id) != (version.claim_id, version.mlflow_run_id):
        raise VersionDiffers(f"version {version.version} of claim {version.claim_id}: the ledger has {known}")
    if set(model_files(connection, version.version)) != set(files):
        raise VersionDiffers(f"version {version.version} has other files in the ledger than the ones given")


def _version(row: Any) -> ModelVersion:
    return ModelVersion(**{name: getattr(row, name) for name in ModelVersion.__dataclass_fields__})


def model_version(connection: Connection, version: int) -> ModelVersion | None:
    """Return a version by its number, if the ledger has it."""
    table = ledger.model_versions
    row = connection.execute(select(table).where(table.c.version == version)).one_or_none()
    return _version(row) if row else None


def version_of_claim(connection: Connection, claim: Claim) -> ModelVersion | None:
    """Return the version trained under a claim, or under the earlier one whose training it adopted."""
    table = ledger.model_versions
    trained = origin(connection, claim.claim_id, "train")
    row = connection.execute(select(table).where(table.c.claim_id == trained)).one_or_none()
    return _version(row) if row else None


def model_files(connection: Connection, version: int) -> list[ModelFile]:
    """Return the manifest of a version, by path; empty when the ledger does not know the version."""
    table = ledger.model_files
    rows = connection.execute(select(table).where(table.c.version == version).order_by(table.c.path))
    return [ModelFile(row.path, row.sha256, row.bytes) for row in rows]


def append_evidence(connection: Connection, found: Evidence) -> None:
    """Append evidence once for a claim and champion; what is there already stays."""
    row = {name: getattr(found, name) for name in Evidence.__dataclass_fields__}
    connection.execute(insert(ledger.evidence).values(row).on_conflict_do_nothing())


def evidence(connection: Connection, claim_id: int, champion_version: int) -> Evidence | None:
    """Return the evidence measured under a claim against a champion (0: none), if it was measured."""
    table = ledger.evidence
    where = (table.c.claim_id == claim_id, table.c.champion_version == champion_version)
    row = connection.execute(select(table).where(*where)).one_or_none()
    return Evidence(**{name: getattr(row, name) for name in Evidence.__dataclass_fields__}) if row else None


def append_explanation(connection: Connection, found: Explanation) -> None:
    """Append an explanation once for a claim and champion, of which there is evidence; what is there already stays."""
    row = {name: getattr(found, name) for name in Explanation.__dataclass_fields__}
    connection.execute(insert(ledger.explanations).values(row).on_conflict_do_nothing())


def explanation(connection: Connection, claim_id: int, champion_version: int) -> Explanation | None:
    """Return what was explained under a claim against a champion (0: none); None where nothing was."""
    table = ledger.explanations
    where = (table.c.claim_id == claim_id, table.c.champion_version == champion_version)
    row = connection.execute(select(table).where(*where)).one_or_none()
    return Explanation(**{name: getattr(row, name) for name in Explanation.__dataclass_fields__}) if row else None


def noise_floor(connection: Connection, search_space: str) -> Mapping[str, Any] | None:
    """Return the newest noise floor measured for a search space, as it stands in the evidence; None if none was."""
    table = ledger.evidence
    floor = table.c.evidence["noise_floor"]
    row = connection.execute(
        select(floor.label("floor"))
        .where(floor["search_space"].astext == search_space)
        .order_by(table.c.measured_at.desc())
        .limit(1)
    ).one_or_none()
    return dict(row.floor) if row else None


def append_alias_event(
    connection: Connection,
    kind: EventKind,
    *,
    reason: str,
    intent_id: int | None = None,
    expected: int | None = None,
    candidate: int | None = None,
    previous: int | None = None,
    run_id: str | None = None,
) -> AliasEvent | None:
    """Append an event of the alias and return it; None when the intent it settles was settled already."""
    values = {
        "kind": kind, "reason": reason, "intent_id": intent_id, "expected": expected, "candidate": candidate,
        "previous": previous, "run_id": run_id,
    }  # fmt: skip
    statement = insert(ledger.alias_events).values(values).on_conflict_do_nothing().returning(ledger.alias_events)
    row = connection.execute(statement).one_or_none()
    return _event(row) if row else None


def _event(row: Any) -> AliasEvent:
    return AliasEvent(**{name: getattr(row, name) for name in AliasEvent.__dataclass_fields__})


def open_intents(connection: Connection) -> list[AliasEvent]:
    """Return the intents nobody has settled, oldest first."""
    table, settling = ledger.alias_events, ledger.alias_events.alias()
    rows = connection.execute(
        select(table)
        .outerjoin(settling, settling.c.intent_id == table.c.event_id)
        .where(table.c.kind.in_(INTENTS), settling.c.event_id.is_(None))
        .order_by(table.c.event_id)
    )
    return [_event(row) for row in rows]


def newest_setting(connection: Connection) -> AliasEvent | None:
    """Return the newest event after which the alias was known to name a version: set by us, or adopted."""
    table = ledger.alias_events
    row = connection.execute(
        select(table).where(table.c.kind.in_(("ALIAS_SET", "ADOPTED"))).order_by(table.c.event_id.desc()).limit(1)
    ).one_or_none()
    return _event(row) if row else None


def settlement(connection: Connection, intent_id: int) -> AliasEvent:
    """Return how an intent was settled; raises NoResultFound for one that is open."""
    table = ledger.alias_events
    return _event(connection.execute(select(table).where(table.c.intent_id == intent_id)).one())


def promotion(connection: Connection, version: int) -> AliasEvent | None:
    """Return the event by which a promotion set the alias to a version, if one did; rollbacks to it are others."""
    table, intents = ledger.alias_events, ledger.alias_events.alias()
    row = connection.execute(
        select(table)
        .join(intents, intents.c.event_id == table.c.intent_id)
        .where(table.c.kind == "ALIAS_SET", table.c.candidate == version, intents.c.kind == "PROMOTE_INTENT")
        .order_by(table.c.event_id)
        .limit(1)
    ).one_or_none()
    return _event(row) if row else None


def promoting(connection: Connection, version: int) -> bool:
    """Tell whether a promotion has set the alias to a version, or is about to."""
    about_to = (intent.kind == "PROMOTE_INTENT" and intent.candidate == version for intent in open_intents(connection))
    return promotion(connection, version) is not None or any(about_to)


def rolled_back(connection: Connection) -> bool:
    """Tell whether the newest move of the alias that we know of was a rollback."""
    newest = newest_setting(connection)
    table = ledger.alias_events
    kind = newest and connection.scalar(select(table.c.kind).where(table.c.event_id == newest.intent_id))
    return kind == "ROLLBACK_INTENT"


def rollback_of_runs(connection: Connection, run_ids: Sequence[str]) -> AliasEvent | None:
    """Return the newest intent to go back that some runs wrote down, if one did."""
    table = ledger.alias_events
    row = connection.execute(
        select(table)
        .where(table.c.kind == "ROLLBACK_INTENT", table.c.run_id.in_(run_ids))
        .order_by(table.c.event_id.desc())
        .limit(1)
    ).one_or_none()
    return _event(row) if row else None


def promoted_versions(connection: Connection) -> list[int]:
    """Return every version the alias has ever been set to, newest setting first, each once."""
    table = ledger.alias_events
    rows = connection.execute(
        select(table.c.candidate)
        .where(table.c.kind.in_(("ALIAS_SET", "ADOPTED")), table.c.candidate.is_not(None))
        .group_by(table.c.candidate)
        .order_by(func.max(table.c.event_id).desc())
    )
    return [row.candidate for row in rows]
