"""Alembic's entry point: the connection and the tables are handed over by the caller, nothing is read from a file."""

from alembic import context

from steps.common.tables.revisions import VERSION_TABLE

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["target_metadata"],
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
    compare_type=True,
)
context.run_migrations()
