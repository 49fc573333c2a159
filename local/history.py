"""What the ledger says became of every batch, as `make run` shows it and writes it to summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select

from steps.common.evidence import Evidence, Model
from steps.common.step import ORDER
from steps.common.store import ledger, models
from steps.common.store.ledger import Claim, Completion, Verdict
from steps.common.tables import ledger as tables

ABANDONED: Final = "ABANDONED"
# The interval shown: 95 %, from both ends of the bootstrap's distribution.
_LOW, _HIGH = 0.025, 0.975


@dataclass(frozen=True)
class BatchHistory:
    """A batch: its newest attempt with an outcome (without one, its newest attempt), step by step.

    `completions` are by step, where a step was adopted those of the attempt that did the work; `outcome` is None for a
    batch that has not reached a verdict yet.
    """

    claim: Claim
    outcome: str | None
    seconds: float
    completions: Mapping[str, Completion]
    validate: Verdict | None
    promote: Verdict | None
    evidence: Evidence | None = field(repr=False, default=None)

    @property
    def rows(self) -> int | None:
        """The rows that were fetched."""
        return self._figure("fetch", "rows")

    @property
    def refused(self) -> int | None:
        """The rows that clean refused."""
        return self._figure("clean", "refused")

    def _figure(self, step: str, name: str) -> int | None:
        done = self.completions.get(step)
        return None if done is None else done.summary.get(name)

    @property
    def gain(self) -> tuple[float, float] | None:
        """The interval of the champion's RMSE minus the candidate's, in dollars; None where there was no champion."""
        gain = self.evidence.gain if self.evidence else None
        return (gain.distribution.quantile(_LOW), gain.distribution.quantile(_HIGH)) if gain else None

    def as_json(self) -> dict[str, Any]:
        """Return the batch as summary.json has it."""
        evidence = self.evidence
        return {
            "batch": self.claim.batch_number,
            "rows": self.rows,
            "refused": self.refused,
            "validate": _verdict(self.validate),
            "candidate": _model(evidence.candidate) if evidence else None,
            "champion": _model(evidence.champion) if evidence and evidence.champion else None,
            "gain": dict(zip(("low", "high"), self.gain, strict=True)) if self.gain else None,
            "promote": _verdict(self.promote),
            "seconds": round(self.seconds, 1),
            "steps": {step: done.seconds for step, done in self.completions.items()},
        }


@dataclass(frozen=True)
class History:
    """Every batch the ledger knows, by number, and the version in production."""

    batches: Sequence[BatchHistory]
    production: int | None

    @property
    def finished(self) -> int:
        """How many batches have reached their end, ABANDONED ones included."""
        return sum(batch.outcome is not None for batch in self.batches)

    def write(self, path: Path) -> None:
        """Write summary.json, whole or not at all."""
        summary = {"batches": [batch.as_json() for batch in self.batches], "production": self.production}
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(summary, indent=2) + "\n")
        draft.rename(path)


def read_history(connection: Connection, source_id: str) -> History:
    """Read every batch of a source."""
    numbers = select(tables.claims.c.batch_number).where(tables.claims.c.source_id == source_id).distinct()
    batches = [read_batch(connection, source_id, number) for number in sorted(connection.scalars(numbers))]
    setting = models.newest_setting(connection)
    return History(batches, setting.candidate if setting else None)


def read_batch(connection: Connection, source_id: str, number: int) -> BatchHistory:
    """Read one batch that the ledger has a claim on."""
    attempts = ledger.attempts(connection, source_id, number)
    ended = [attempt for attempt in attempts if attempt[1] is not None]
    claim, outcome = (ended or attempts)[-1]
    done = {}
    for step in ORDER:
        found = ledger.completion(connection, ledger.origin(connection, claim.claim_id, step), step)
        if found is not None:
            done[step] = found
    return BatchHistory(
        claim, outcome, _seconds(connection, claim), done,
        ledger.verdict(connection, claim.claim_id, "validate"), ledger.verdict(connection, claim.claim_id, "promote"),
        _evidence(connection, claim),
    )  # fmt: skip


def _seconds(connection: Connection, claim: Claim) -> float:
    """Return the time from the start of the attempt's run to its last completed step, in seconds."""
    started = connection.scalar(select(tables.runs.c.started_at).where(tables.runs.c.run_id == claim.run_id))
    done = tables.completions.c
    ended = connection.scalars(select(done.completed_at).where(done.claim_id == claim.claim_id)).all()
    return (max(ended) - started).total_seconds() if started and ended else 0.0


def _evidence(connection: Connection, claim: Claim) -> Evidence | None:
    table = tables.evidence
    newest = (
        select(table.c.evidence)
        .where(table.c.claim_id == ledger.origin(connection, claim.claim_id, "evaluate"))
        .order_by(table.c.measured_at.desc())
        .limit(1)
    )
    found = connection.scalar(newest)
    return Evidence.model_validate(found) if found is not None else None


def _verdict(found: Verdict | None) -> dict[str, Any] | None:
    return {"verdict": found.verdict, "reasons": list(found.reasons)} if found else None


def _model(found: Model) -> dict[str, Any]:
    metrics = found.metrics
    return {
        "version": found.version, "rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2, "mdape": metrics.mdape,
    }  # fmt: skip
