"""What the page shows of the past, read from the ledger alone: versions, batches, alerts.

The ledger's absence is nobody else's trouble: only these routes answer that it is down.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine

from serving import answers
from serving.ledger_reads import LedgerReads
from serving.problems import Kind, Refused
from steps.common.step import ORDER
from steps.common.store import history as rows
from steps.common.store import models, versions
from steps.common.store.history import BatchRecord, Given
from steps.common.store.versions import Comparison, VersionRecord

_COMPARISONS: Final = 20
_ALERTS_OF_BATCH: Final = 100
_REFUSALS: Final = frozenset({"HOLD", "REJECT", "STALE"})
_METRICS: Final = ("rmse", "mae", "r2", "mdape", "rmsle")

Page = dict[str, Any]


class History:
    """The ledger for readers, as pages."""

    def __init__(self, ledger: Engine) -> None:
        self._reads = LedgerReads(ledger)

    def models(self, limit: int, offset: int) -> Page:
        """Return a page of versions."""
        return self._reads.once(("models", limit, offset), lambda connection: _models(connection, limit, offset))

    def model(self, version: int) -> Page:
        """Return a version; raise Refused where the ledger has none of that number."""
        found = self._reads.once(("model", version), lambda connection: _model(connection, version))
        return self._there(found, f"The ledger has no version {version}.")

    def batches(self, limit: int, offset: int) -> Page:
        """Return a page of batches."""
        return self._reads.once(("batches", limit, offset), lambda connection: _batches(connection, limit, offset))

    def batch(self, number: int) -> Page:
        """Return a batch; raise Refused where the ledger has none of that number."""
        found = self._reads.once(("batch", number), lambda connection: _batch(connection, number))
        return self._there(found, f"The ledger has no batch {number}.")

    def alerts(self, limit: int, offset: int) -> Page:
        """Return a page of alerts."""
        return self._reads.once(("alerts", limit, offset), lambda connection: _alerts(connection, limit, offset))

    @staticmethod
    def _there(found: Page | None, sentence: str) -> Page:
        if found is None:
            raise Refused(Kind.NOT_FOUND, sentence)
        return found


def _models(connection: Connection, limit: int, offset: int) -> Page:
    found = versions.versions(connection, limit, offset)
    compared, events = versions.comparisons(connection), versions.alias_events(connection)
    places = _places(events)
    summaries = [_summary(one, compared, places) for one in found]
    champion = next((version for version, place in places.items() if place == "production"), None)
    held = versions.versions(connection, 1, 0, only=champion) if champion is not None else []
    return {
        "models": summaries, "champion": _summary(held[0], compared, places) if held else None,
        "alias_events": events, "total": versions.version_count(connection), "limit": limit, "offset": offset,
    }  # fmt: skip


def _places(events: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Return what the alias says of each version it ever named, by the newest event that set it."""
    settings = [event for event in events if event["kind"] in versions.SETTINGS]
    places = {int(event["candidate"]): "retired" for event in settings if event["candidate"]}
    for name, place in (("previous", "previous"), ("candidate", "production")):
        if settings and settings[0][name]:
            places[int(settings[0][name])] = place
    return places


def _summary(found: VersionRecord, compared: Sequence[Comparison], places: Mapping[int, str]) -> dict[str, Any]:
    given = found.verdict
    of_it = [one for one in compared if any(part["version"] == found.version for part in one.models)]
    own = next((one for one in of_it if one.candidate_version == found.version), None)
    undecided = "refused" if given and given.verdict in _REFUSALS else "undecided"
    return {
        "version": found.version,
        "run_id": found.claim.run_id,
        "batch_number": found.claim.batch_number,
        "attempt": found.claim.attempt,
        "registered_at": found.registered_at,
        "trained_on": list(found.card.get("batches", [])),
        "rows": found.card.get("rows"),
        "trees": found.card.get("trees"),
        "status": places.get(found.version, undecided),
        "verdict": given.verdict if given else None,
        "reasons": list(given.reasons) if given else [],
        "decided_at": given.decided_at if given else None,
        "then": _metrics(found.version, own),
        "now": _metrics(found.version, of_it[0] if of_it else None),
    }


def _metrics(version: int, compared: Comparison | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    measured = next(part["metrics"] for part in compared.models if part["version"] == version)
    return {
        **{name: measured.get(name) for name in _METRICS},
        "rows": compared.rows, "batches": list(compared.batches), "batch_number": compared.batch_number,
        "measured_at": compared.measured_at,
    }  # fmt: skip


def _model(connection: Connection, version: int) -> Page | None:
    found = versions.versions(connection, 1, 0, only=version)
    if not found:
        return None
    # As `previous` it stands in comparisons of two others, which count for its errors.
    every = versions.comparisons(connection)
    compared = [one for one in every if version in (one.candidate_version, one.champion_version)]
    summary = _summary(found[0], every, _places(versions.alias_events(connection)))
    evidence = versions.evidence_with(connection, version, _COMPARISONS)
    given = versions.verdicts_on(connection, "evaluate", [one.claim_id for one in compared])
    return {
        **summary,
        "fingerprint": found[0].fingerprint,
        "mlflow_run_id": found[0].mlflow_run_id,
        "card": dict(found[0].card),
        "files": [dataclasses.asdict(file) for file in models.model_files(connection, version)],
        "alias_events": versions.alias_events(connection, version),
        "comparisons": [
            _compared(one, version, given.get(one.claim_id), *evidence[one.claim_id, one.champion_version or 0])
            for one in compared
            if (one.claim_id, one.champion_version or 0) in evidence
        ],
    }


def _compared(
    found: Comparison, version: int, given: Given | None, evidence: Mapping[str, Any],
    explanation: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "role": "candidate" if found.candidate_version == version else "champion",
        "candidate_version": found.candidate_version,
        "champion_version": found.champion_version,
        "batch_number": found.batch_number,
        "run_id": found.run_id,
        "measured_at": found.measured_at,
        "verdict": given.verdict if given else None,
        "reasons": list(given.reasons) if given else [],
        "evidence": dict(evidence),
        "explanation": dict(explanation) if explanation else None,
    }


def _batches(connection: Connection, limit: int, offset: int) -> Page:
    numbers, total = rows.batch_numbers(connection, limit, offset)
    found = [_batch_summary(one) for one in rows.batches(connection, numbers)]
    return {"batches": found, "total": total, "limit": limit, "offset": offset}


def _batch_summary(found: BatchRecord) -> dict[str, Any]:
    claim, shown = found.shown.claim, found.shown
    compared = found.steps["evaluate"].summary if "evaluate" in found.steps else {}
    trained = found.steps["train"].summary if "train" in found.steps else {}
    gain = compared.get("gain")
    return {
        "batch_number": claim.batch_number,
        "run_id": claim.run_id,
        "attempt": claim.attempt,
        "attempts": len(found.attempts),
        "claimed_at": shown.claimed_at,
        "ended_at": shown.ended_at,
        "seconds": found.seconds,
        "rows": _figure(found, "fetch", "rows"),
        "refused": _figure(found, "clean", "refused"),
        "outcome": shown.outcome,
        **{step: _judgement(found.verdicts.get(step)) for step in ("validate", "promote")},
        "candidate_version": trained.get("version"),
        "champion_version": compared.get("champion_version"),
        "gain": {end: gain[end] for end in ("low", "high")} if gain else None,
    }


def _figure(found: BatchRecord, step: str, name: str) -> Any:
    return found.steps[step].summary.get(name) if step in found.steps else None


def _judgement(given: Given | None) -> answers.Judgement | None:
    if given is None:
        return None
    return {"verdict": given.verdict, "reasons": [dict(one) for one in given.reasons], "decided_at": given.decided_at}


def _batch(connection: Connection, number: int) -> Page | None:
    records = rows.batches(connection, [number])
    if not records:
        return None
    found = records[0]
    judged = found.verdicts.get("validate")
    raised = rows.alerts(connection, _ALERTS_OF_BATCH, 0, number)
    evidence = rows.newest_evidence(connection, found.origin("evaluate"))
    return {
        **_batch_summary(found),
        "content_sha": found.shown.claim.content_sha,
        "received_at": _figure(found, "fetch", "received_at"),
        "steps": [dataclasses.asdict(found.steps[step]) for step in ORDER if step in found.steps],
        "history": [
            {"attempt": one.claim.attempt, "run_id": one.claim.run_id, "claimed_at": one.claimed_at,
             "outcome": one.outcome}
            for one in found.attempts
        ],
        "report": dict(judged.report) if judged else None,
        "policy": dict(judged.policy) if judged else None,
        "alerts": [dataclasses.asdict(one) for one in raised],
        "evidence": dict(evidence) if evidence else None,
    }  # fmt: skip


def _alerts(connection: Connection, limit: int, offset: int) -> Page:
    found = [dataclasses.asdict(one) for one in rows.alerts(connection, limit, offset)]
    return {"alerts": found, "total": rows.alert_count(connection), "limit": limit, "offset": offset}
