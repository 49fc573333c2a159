"""Tell alerts about the alias apart by their event: of two moves by hand without a run the second raised none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("alerts", sa.Column("alias_event", sa.BigInteger(), nullable=True))
    op.create_foreign_key(None, "alerts", "alias_events", ["alias_event"], ["event_id"])
    op.drop_constraint("alerts_code_run_id_batch_number_key", "alerts")
    op.create_unique_constraint(
        None, "alerts", ["code", "run_id", "batch_number", "alias_event"], postgresql_nulls_not_distinct=True
    )
