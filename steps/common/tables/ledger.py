"""The ledger: what happened to every batch and why, in rows that are only ever appended.

A run claims an attempt at a batch; every step of it appends its completion, its verdict and what it found.
No working role may update, delete or truncate, and a trigger refuses it to everybody else.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())


# One row: a ledger belongs to one source, and a step of another one is refused.
sources = Table("sources", metadata, Column("source_id", Text, primary_key=True), _now("seen_at"))

# One run of the DAG, named by Airflow's run id, the only key that travels between steps.
runs = Table(
    "runs", metadata,
    Column("run_id", Text, primary_key=True),
    Column("source_id", Text, ForeignKey("sources.source_id"), nullable=False),
    Column("force_train", Boolean, nullable=False),
    _now("started_at"),
)  # fmt: skip

# A run that found nothing to do before it could claim a batch, and why. Run again, it says so and asks nobody.
idle_runs = Table(
    "idle_runs", metadata,
    Column("run_id", Text, ForeignKey("runs.run_id"), primary_key=True),
    Column("reason", Text, nullable=False),
    _now("ended_at"),
)  # fmt: skip

# A run's right to work on a batch; claim_id is the fencing number: the highest one of a batch may commit.
claims = Table(
    "claims", metadata,
    Column("claim_id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", Text, ForeignKey("sources.source_id"), nullable=False),
    Column("batch_number", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False, unique=True),
    Column("content_sha", Text, nullable=False),
    Column("force_train", Boolean, nullable=False),
    _now("claimed_at"),
    UniqueConstraint("source_id", "batch_number", "attempt"),
)  # fmt: skip

# A step that is done: what it left behind as a digest, in figures, and how its process ended.
completions = Table(
    "completions", metadata,
    Column("claim_id", BigInteger, ForeignKey("claims.claim_id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("exit_code", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("summary", JSONB, nullable=False),
    Column("adopted_from", BigInteger, ForeignKey("claims.claim_id")),
    Column("seconds", Double, nullable=False),
    _now("completed_at"),
)  # fmt: skip

# A decision with its ordered reasons, what was measured, and the policy it was taken under.
verdicts = Table(
    "verdicts", metadata,
    Column("claim_id", BigInteger, ForeignKey("claims.claim_id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("report", JSONB, nullable=False),
    Column("policy", JSONB, nullable=False),
    _now("decided_at"),
)  # fmt: skip

# The terminal row of an attempt: SKIP, QUARANTINE, HOLD, REJECT, PROMOTE or ABANDONED. STALE is not one.
outcomes = Table(
    "outcomes", metadata,
    Column("claim_id", BigInteger, ForeignKey("claims.claim_id"), primary_key=True),
    Column("outcome", Text, nullable=False),
    _now("ended_at"),
)  # fmt: skip

# The frozen list of batches a run learns and tests on.
dataset_batches = Table(
    "dataset_batches", metadata,
    Column("claim_id", BigInteger, ForeignKey("claims.claim_id"), primary_key=True),
    Column("batch_number", Integer, primary_key=True),
    Column("content_sha", Text, nullable=False),
)  # fmt: skip

# A registered model version and its card; which run made it.
model_versions = Table(
    "model_versions", metadata,
    Column("version", Integer, primary_key=True),
    Column("claim_id", BigInteger, ForeignKey("claims.claim_id"), nullable=False, unique=True),
    Column("mlflow_run_id", Text, nullable=False),
    Column("artifact_uri", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("card", JSONB, nullable=False),
    _now("registered_at"),
)  # fmt: skip

# Every file of a version's model directory; nothing that differs from these is ever loaded.
model_files = Table(
    "model_files", metadata,
    Column("version", Integer, ForeignKey("model_versions.version"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)  # fmt: skip

# What evaluate measured, for one candidate against one champion; champion_version 0 is "there was none".
evidence = Table(
    "evidence", metadata,
    Column("claim_id", BigInteger, ForeignKey("claims.claim_id"), primary_key=True),
    Column("champion_version", Integer, primary_key=True),
    Column("candidate_version", Integer, ForeignKey("model_versions.version"), nullable=False),
    Column("sha", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    _now("measured_at"),
)  # fmt: skip

# Why the candidate of an evidence differs from its champion. A table of its own: promote decides from the evidence.
explanations = Table(
    "explanations", metadata,
    Column("claim_id", BigInteger, primary_key=True),
    Column("champion_version", Integer, primary_key=True),
    Column("candidate_version", Integer, ForeignKey("model_versions.version"), nullable=False),
    Column("explanation", JSONB, nullable=False),
    _now("explained_at"),
    ForeignKeyConstraint(["claim_id", "champion_version"], ["evidence.claim_id", "evidence.champion_version"]),
)  # fmt: skip

# Everything that was done to the alias: PROMOTE_INTENT, ROLLBACK_INTENT, ALIAS_SET, STALE, ADOPTED.
alias_events = Table(
    "alias_events", metadata,
    Column("event_id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("intent_id", BigInteger, ForeignKey("alias_events.event_id")),
    Column("expected", Integer),
    Column("candidate", Integer),
    Column("previous", Integer),
    Column("run_id", Text),
    Column("reason", Text, nullable=False),
    _now("at"),
    UniqueConstraint("intent_id"),
)  # fmt: skip

# What somebody should look at; also a line at level ERROR, a metric and a banner on the page.
alerts = Table(
    "alerts", metadata,
    Column("alert_id", BigInteger, Identity(always=True), primary_key=True),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("run_id", Text),
    Column("batch_number", Integer),
    _now("raised_at"),
    # Of an alert about the alias: it can be moved by hand twice in one run, and under none for ever.
    Column("alias_event", BigInteger, ForeignKey("alias_events.event_id")),
    UniqueConstraint("code", "run_id", "batch_number", "alias_event", postgresql_nulls_not_distinct=True),
)  # fmt: skip
