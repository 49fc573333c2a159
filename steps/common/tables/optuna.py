"""Optuna 5's tables, schema version 12, declared here because working roles may create none.

Optuna would create them itself at its first start, with rights the pipeline does not have. A test compares these
with the tables of the installed Optuna, so that an upgrade of it fails there and not in a sweep.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)  # fmt: skip

metadata = MetaData()

studies = Table(
    "studies", metadata,
    Column("study_id", Integer, primary_key=True),
    Column("study_name", String(512), nullable=False, index=True, unique=True),
)  # fmt: skip

version_info = Table(
    "version_info", metadata,
    Column("version_info_id", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer),
    Column("library_version", String(256)),
    CheckConstraint("version_info_id = 1"),
)  # fmt: skip

alembic_version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

trials = Table(
    "trials", metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer, ForeignKey("studies.study_id"), index=True),
    Column("state", Enum("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING", name="trialstate"), nullable=False),
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)  # fmt: skip

study_directions = Table(
    "study_directions", metadata,
    Column("study_direction_id", Integer, primary_key=True),
    Column("direction", Enum("NOT_SET", "MINIMIZE", "MAXIMIZE", name="studydirection"), nullable=False),
    Column("study_id", Integer, ForeignKey("studies.study_id"), nullable=False),
    Column("objective", Integer, nullable=False),
    UniqueConstraint("study_id", "objective"),
)  # fmt: skip


def _attributes(table: str, key: str, parent: str) -> Table:
    return Table(
        table, metadata,
        Column(f"{table.removesuffix('s')}_id", Integer, primary_key=True),
        Column(key, Integer, ForeignKey(parent)),
        Column("key", String(512)),
        Column("value_json", Text),
        UniqueConstraint(key, "key"),
    )  # fmt: skip


study_user_attributes = _attributes("study_user_attributes", "study_id", "studies.study_id")
study_system_attributes = _attributes("study_system_attributes", "study_id", "studies.study_id")
trial_user_attributes = _attributes("trial_user_attributes", "trial_id", "trials.trial_id")
trial_system_attributes = _attributes("trial_system_attributes", "trial_id", "trials.trial_id")

trial_params = Table(
    "trial_params", metadata,
    Column("param_id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("trials.trial_id")),
    Column("param_name", String(512)),
    Column("param_value", Float(53)),
    Column("distribution_json", Text),
    UniqueConstraint("trial_id", "param_name"),
)  # fmt: skip

trial_values = Table(
    "trial_values", metadata,
    Column("trial_value_id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("trials.trial_id"), nullable=False),
    Column("objective", Integer, nullable=False),
    Column("value", Float(53)),
    Column("value_type", Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype"), nullable=False),
    UniqueConstraint("trial_id", "objective"),
)  # fmt: skip

trial_intermediate_values = Table(
    "trial_intermediate_values", metadata,
    Column("trial_intermediate_value_id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("trials.trial_id"), nullable=False),
    Column("step", Integer, nullable=False),
    Column("intermediate_value", Float(53)),
    Column(
        "intermediate_value_type",
        Enum("FINITE", "INF_POS", "INF_NEG", "NAN", name="trialintermediatevaluetype"),
        nullable=False,
    ),
    UniqueConstraint("trial_id", "step"),
)  # fmt: skip

trial_heartbeats = Table(
    "trial_heartbeats", metadata,
    Column("trial_heartbeat_id", Integer, primary_key=True),
    Column("trial_id", Integer, ForeignKey("trials.trial_id"), nullable=False, unique=True),
    Column("heartbeat", DateTime, nullable=False),
)  # fmt: skip
