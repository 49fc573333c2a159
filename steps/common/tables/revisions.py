"""Which revision a database's tables are of, and which ones this code knows.

What is known is told by the names of the migrations, which every image holds: only one of them has Alembic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from psycopg.errors import InsufficientPrivilege, UndefinedTable
from sqlalchemy import Engine, column, select, table
from sqlalchemy.exc import ProgrammingError

MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Optuna's own database already has a table called alembic_version.
VERSION_TABLE: Final = "schema_version"


def known(database: str) -> list[str]:
    """Return the revisions of a database's tables that this code knows, the newest last."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / database).glob("*.py"))


def is_newer(revision: str | None, database: str) -> bool:
    """Tell whether tables were upgraded by newer code than this: revisions are never taken away, only added."""
    return revision is not None and revision not in known(database)


def stored(engine: Engine) -> str | None:
    """Return the revision of a database's tables; None where there are none yet, or none this role may ask about."""
    try:
        with engine.connect() as connection:
            return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    except ProgrammingError as error:
        if not isinstance(error.orig, UndefinedTable | InsufficientPrivilege):
            raise
        return None
