"""Put the numbers first in the key of listings: to compare texts for each row was a seventh of the COPY."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply this revision."""
    # In one statement: in between two rows could have had one key.
    op.execute(
        "ALTER TABLE listings DROP CONSTRAINT listings_pkey, ADD PRIMARY KEY (batch_number, row_number, source_id)"
    )
