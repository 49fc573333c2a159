"""Alembic's entry point: the connection and the tables are handed over by the caller, nothing is read from a file."""

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["target_metadata"],
    # Optuna's own database already has a table called alembic_version.
    version_table="schema_version",
    transaction_per_migration=False,
    compare_type=True,
)
context.run_migrations()
