"""Code without Alembic knows the revisions that Alembic knows."""

import pytest
from alembic.script import ScriptDirectory

from steps.common.tables.revisions import MIGRATIONS, is_newer, known
from steps.common.tables.rights import DATABASES

OURS = [database.name for database in DATABASES.values() if database.tables is not None]


@pytest.mark.parametrize("database", OURS)
def test_the_names_of_the_migrations_are_alembics_revisions_in_its_order(database: str) -> None:
    scripts = ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS / database)])
    assert known(database) == [script.revision for script in scripts.walk_revisions()][::-1]
    assert scripts.get_heads() == known(database)[-1:]


@pytest.mark.parametrize(("revision", "newer"), [(None, False), ("0001", False), ("0003", False), ("0999", True)])
def test_a_revision_nobody_here_knows_is_a_newer_one(revision: str | None, *, newer: bool) -> None:
    assert is_newer(revision, "ledger") is newer
