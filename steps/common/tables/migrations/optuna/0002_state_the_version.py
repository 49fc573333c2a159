"""State the schema's version where Optuna looks for it, so that it starts without rights to make tables."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Insert Optuna's two version rows."""
    op.bulk_insert(
        sa.table(
            "version_info", sa.column("version_info_id"), sa.column("schema_version"), sa.column("library_version")
        ),
        [{"version_info_id": 1, "schema_version": 12, "library_version": "5.0.0"}],
    )
    op.bulk_insert(sa.table("alembic_version", sa.column("version_num")), [{"version_num": "v3.2.0.a"}])
