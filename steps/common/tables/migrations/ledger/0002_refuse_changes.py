"""Refuse every change of a row of the ledger, also by its owner: what happened is not edited."""

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = (
    "sources", "runs", "idle_runs", "claims", "completions", "verdicts", "outcomes", "dataset_batches",
    "model_versions", "model_files", "evidence", "alias_events", "alerts",
)  # fmt: skip


def upgrade() -> None:
    """Put a trigger on each table that raises on UPDATE, DELETE and TRUNCATE."""
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME;
        END $$
    """)
    for table in _TABLES:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
