"""The tables as declared, as migrated and as Optuna wants them are the same, and nobody can do more than he should."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from optuna.storages._rdb.models import BaseModel as OptunaModel
from sqlalchemy import MetaData, create_engine

from local.postgres import SUPERUSER, Server
from steps.common.tables import optuna
from steps.common.tables.rights import DATABASES, Database
from tests.servers import Databases, upgrade

DIALECT = create_engine("postgresql+psycopg://").dialect
OURS = [database for database in DATABASES.values() if database.tables is not None]


@pytest.mark.parametrize("declared", OURS, ids=lambda database: database.name)
def test_models_and_migrations_agree(server: Server, declared: Database) -> None:
    engine = create_engine(server.url(SUPERUSER, declared.name))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "schema_version", "compare_type": True})
        assert declared.tables is not None
        assert compare_metadata(context, declared.tables) == []
    engine.dispose()


def shape(metadata: MetaData) -> dict[str, set[tuple[str, str, bool]]]:
    return {
        name: {(column.name, column.type.compile(DIALECT), bool(column.nullable)) for column in table.columns}
        for name, table in metadata.tables.items()
    }


def test_optunas_tables_are_those_of_the_installed_optuna() -> None:
    ours = shape(optuna.metadata)
    ours.pop("alembic_version")
    assert ours == shape(OptunaModel.metadata)


def test_an_upgrade_can_be_repeated(server: Server) -> None:
    upgrade(server)


@pytest.mark.parametrize(
    ("database", "statement"),
    [
        ("ledger", "UPDATE runs SET run_id = 'x'"),
        ("ledger", "DELETE FROM runs"),
        ("ledger", "TRUNCATE runs"),
        ("ledger", "CREATE TABLE mine (a int)"),
        ("raw", "UPDATE batches SET rows = 0"),
        ("raw", "DELETE FROM listings"),
        ("raw", "DROP TABLE listings"),
        ("clean", "ALTER TABLE listings ADD COLUMN a int"),
        ("clean", "UPDATE listings SET price = 0"),
        ("optuna", "DROP TABLE trials"),
        ("optuna", "UPDATE schema_version SET version_num = 'x'"),
    ],
)
def test_the_pipeline_may_not(databases: Databases, database: str, statement: str) -> None:
    with databases.connect(database) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE runs SET run_id = 'x'", "DELETE FROM runs", "TRUNCATE runs CASCADE"])
def test_nobody_edits_the_ledger(databases: Databases, statement: str) -> None:
    with (
        databases.connect("ledger", SUPERUSER) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="the ledger is append-only"),
    ):
        connection.execute(statement)


def test_serving_reads_the_ledger_and_nothing_else(databases: Databases) -> None:
    with databases.connect("ledger", "serving") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO sources VALUES ('x')")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        databases.connect("clean", "mlflow")


def test_a_wrong_password_is_refused(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host="127.0.0.1", port=server.port, user="pipeline", password="wrong", dbname="ledger", connect_timeout=5
        )
