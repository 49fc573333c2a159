"""Make or upgrade every database: `python -m steps.common.tables.upgrade [--databases raw clean …]`.

As superuser, on each server in this order: roles, databases, tables by Alembic, rights. Repeating it changes nothing,
and tables that newer code has upgraded are left as they are: code is rolled back without them.
Variables: APPRAISER_SUPERUSER_URL, or APPRAISER_SUPERUSER_URL_<DATABASE> for each database whose server is another; and
APPRAISER_PASSWORD_<ROLE> for each role that logs in. A server gets the roles of its own databases and no others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from steps.common import logs
from steps.common.logs import log
from steps.common.settings import PREFIX, SettingRefused
from steps.common.tables import revisions
from steps.common.tables.revisions import MIGRATIONS, VERSION_TABLE
from steps.common.tables.rights import DATABASES, LOGINS, Database

_SUPERUSER_URL: Final = f"{PREFIX}SUPERUSER_URL"
# Two upgrades at once (two pods of a migration Job) take turns.
_UPGRADE_LOCK = 7_310_001


def _execute(connection: Connection, statement: str, *values: object, **names: str) -> None:
    """Run a statement of DDL; names become identifiers, values literals. PostgreSQL takes no parameters in DDL."""
    driver = connection.connection.driver_connection
    composed = sql.SQL(statement).format(*values, **{key: sql.Identifier(name) for key, name in names.items()})
    connection.exec_driver_sql(composed.as_string(driver).replace("%", "%%"))


def _has(connection: Connection, query: str, name: str) -> bool:
    return connection.scalar(text(query), {"name": name}) is not None


def make_roles(connection: Connection, passwords: Mapping[str, str], names: Sequence[str]) -> None:
    """Create every role of these databases that is missing and set the passwords of those that log in."""
    databases = [DATABASES[name] for name in names]
    for role in sorted({role for database in databases for role in (database.owner, *database.rights)}):
        if not _has(connection, "SELECT 1 FROM pg_roles WHERE rolname = :name", role):
            _execute(connection, "CREATE ROLE {role}", role=role)
        if role in passwords:
            _execute(connection, "ALTER ROLE {role} LOGIN PASSWORD {}", sql.Literal(passwords[role]), role=role)


def make_database(connection: Connection, database: Database) -> None:
    """Create a database that is missing, owned by its owner and closed to everybody not named."""
    if not _has(connection, "SELECT 1 FROM pg_database WHERE datname = :name", database.name):
        _execute(connection, "CREATE DATABASE {name} OWNER {owner}", name=database.name, owner=database.owner)
    _execute(connection, "REVOKE ALL ON DATABASE {name} FROM PUBLIC", name=database.name)
    for role in database.rights:
        _execute(connection, "GRANT CONNECT ON DATABASE {name} TO {role}", name=database.name, role=role)
        # Serving once shipped through a temporary table, and might make them.
        _execute(connection, "REVOKE TEMPORARY ON DATABASE {name} FROM {role}", name=database.name, role=role)


def make_tables(url: URL, database: Database) -> None:
    """Bring a database's tables to the newest revision known here and give the working roles their rights."""
    engine = create_engine(url.set(database=database.name))
    there = revisions.stored(engine)
    with engine.begin() as connection:
        _execute(connection, "SET ROLE {owner}", owner=database.owner)
        if revisions.is_newer(there, database.name):
            # Alembic refuses a revision it cannot find: after a revert every sync failed, and no rights were given.
            newest = revisions.known(database.name)[-1]
            log().warning("newer_tables_left_alone", database=database.name, revision=there, newest_known=newest)
        else:
            _migrate(connection, database)
        _grant(connection, database)
    engine.dispose()


def _migrate(connection: Connection, database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("version_locations", str(MIGRATIONS / database.name))
    config.set_main_option("path_separator", "newline")
    config.attributes.update(connection=connection, target_metadata=database.tables)
    command.upgrade(config, "head")


def _grant(connection: Connection, database: Database) -> None:
    assert database.tables is not None  # noqa: S101  # only databases with tables of ours come here
    for role, rights in database.rights.items():
        for table in (*database.tables.tables, VERSION_TABLE):
            _execute(connection, "REVOKE ALL ON {table} FROM {role}", table=table, role=role)
        for table, allowed in rights.items():
            _execute(connection, f"GRANT {', '.join(allowed)} ON {{table}} TO {{role}}", table=table, role=role)
        _execute(connection, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}", role=role)


def upgrade(url: URL, passwords: Mapping[str, str], names: Sequence[str]) -> None:
    """Bring the roles of these databases, the databases, their tables and rights up to date on one server."""
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _UPGRADE_LOCK})
        make_roles(connection, passwords, names)
        for name in names:
            make_database(connection, DATABASES[name])
            if DATABASES[name].tables is not None:
                make_tables(url, DATABASES[name])
    server.dispose()


def _passwords(environment: Mapping[str, str]) -> dict[str, str]:
    wanted = {role: f"{PREFIX}PASSWORD_{role.upper()}" for role in LOGINS}
    return {role: environment[variable] for role, variable in wanted.items() if environment.get(variable)}


def servers(environment: Mapping[str, str], names: Sequence[str]) -> dict[URL, list[str]]:
    """Return the databases on each server, by the superuser's address there.

    Raises SettingRefused where a database has no server, or a variable names no database.
    """
    given = {
        variable: value for variable, value in environment.items() if variable.startswith(_SUPERUSER_URL) and value
    }
    known = {_SUPERUSER_URL, *(f"{_SUPERUSER_URL}_{name.upper()}" for name in DATABASES)}
    if unknown := sorted(given.keys() - known):
        raise SettingRefused(f"{', '.join(unknown)}: there is no such database; there are {', '.join(DATABASES)}")
    found: dict[URL, list[str]] = {}
    for name in names:
        variable = f"{_SUPERUSER_URL}_{name.upper()}"
        address = given.get(variable) or given.get(_SUPERUSER_URL)
        if address is None:
            raise SettingRefused(f"neither {variable} nor {_SUPERUSER_URL} is set; {name} needs a superuser's address")
        found.setdefault(make_url(address).update_query_dict({"connect_timeout": "10"}), []).append(name)
    return found


def main() -> int:
    """Run the upgrade from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m steps.common.tables.upgrade", description=__doc__)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    options = parser.parse_args()
    logs.start("upgrade")
    for url, names in servers(os.environ, options.databases).items():
        try:
            upgrade(url, _passwords(os.environ), names)
        except OperationalError as error:
            raise SettingRefused(
                f"the server of {', '.join(names)} at {url.host}:{url.port} cannot be reached: {error.orig}"
            ) from None
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingRefused as refused:
        sys.exit(str(refused))
