"""One command upgrades databases on one server or on several, and gives a server nothing that is not its own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from local.postgres import SUPERUSER, Server
from steps.common.settings import SettingRefused
from steps.common.tables.revisions import known
from steps.common.tables.rights import DATABASES
from steps.common.tables.upgrade import servers
from tests.servers import ROOT, free_loopback_port, started_server


@pytest.fixture
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return an empty server beside the session's."""
    with started_server(tmp_path_factory.mktemp("another-postgres")) as started:
        yield started


def upgrade(*databases: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "steps.common.tables.upgrade", "--databases", *databases],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **variables}, cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def names(server: Server, statement: str) -> set[str]:
    with server.connect(SUPERUSER, "postgres") as connection:
        return {str(name) for (name,) in connection.execute(statement)}


def test_each_server_gets_its_own_databases_and_roles(server: Server, another: Server) -> None:
    passwords = {
        f"APPRAISER_PASSWORD_{role.upper()}": server.credentials.read(f"postgres-{role}")
        for role in ("pipeline", "serving", "mlflow", "airflow")
    }
    done = upgrade(
        "raw", "ledger", "mlflow",
        APPRAISER_SUPERUSER_URL=server.url(SUPERUSER, "postgres"),
        APPRAISER_SUPERUSER_URL_RAW=another.url(SUPERUSER, "postgres"),
        **passwords,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert names(another, "SELECT datname FROM pg_database") & DATABASES.keys() == {"raw"}
    roles = names(another, "SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%'")
    assert roles == {SUPERUSER, "raw_owner", "pipeline", "serving"}
    url = another.url(SUPERUSER, "raw").replace("+psycopg", "")
    with psycopg.connect(url, user="pipeline", password=passwords["APPRAISER_PASSWORD_PIPELINE"]) as connection:
        assert connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)


def test_tables_of_newer_code_are_left_and_everything_else_is_done(another: Server) -> None:
    superuser = {"APPRAISER_SUPERUSER_URL": another.url(SUPERUSER, "postgres")}
    assert upgrade("raw", **superuser, APPRAISER_PASSWORD_PIPELINE="before").returncode == 0
    with another.connect(SUPERUSER, "raw") as connection:
        connection.execute("ALTER TABLE batches ADD COLUMN of_newer_code text")
        connection.execute("UPDATE schema_version SET version_num = '9999'")
        connection.execute("REVOKE ALL ON batches FROM pipeline")
        connection.execute("GRANT TEMPORARY ON DATABASE raw TO serving")
    done = upgrade("raw", "clean", **superuser, APPRAISER_PASSWORD_PIPELINE="rotated")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert f"newer_tables_left_alone database=raw revision=9999 newest_known={known('raw')[-1]}" in done.stdout
    for database, query in (
        ("raw", "SELECT count(of_newer_code) FROM batches"),
        ("clean", "SELECT count(*) FROM refusals"),
    ):
        url = another.url(SUPERUSER, database).replace("+psycopg", "")
        with psycopg.connect(url, user="pipeline", password="rotated") as connection:
            assert connection.execute(query).fetchone() == (0,)
    with another.connect(SUPERUSER, "raw") as connection:
        assert connection.execute("SELECT has_database_privilege('serving', 'raw', 'TEMPORARY')").fetchone() == (False,)


ONE = "postgresql+psycopg://postgres:p@one:5432/postgres"
TWO = "postgresql+psycopg://postgres:p@two:5432/postgres"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"": ONE}, {"one": ["raw", "clean", "ledger"]}),
        ({"_RAW": ONE, "_CLEAN": TWO, "_LEDGER": TWO}, {"one": ["raw"], "two": ["clean", "ledger"]}),
        ({"": ONE, "_CLEAN": TWO}, {"one": ["raw", "ledger"], "two": ["clean"]}),
        ({"": ONE, "_RAW": ""}, {"one": ["raw", "clean", "ledger"]}),
    ],
)
def test_databases_are_gathered_by_server(variables: dict[str, str], expected: dict[str, list[str]]) -> None:
    environment = {f"APPRAISER_SUPERUSER_URL{suffix}": url for suffix, url in variables.items()}
    found = servers(environment, ["raw", "clean", "ledger"])
    assert {url.host: databases for url, databases in found.items()} == expected


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "neither APPRAISER_SUPERUSER_URL_RAW nor APPRAISER_SUPERUSER_URL is set"),
        ({"_CLEAN": ONE}, "neither APPRAISER_SUPERUSER_URL_RAW"),
        ({"": ONE, "_RWA": TWO}, "APPRAISER_SUPERUSER_URL_RWA: there is no such database; there are raw, clean"),
    ],
)
def test_an_address_that_is_missing_or_misspelt_is_named(variables: dict[str, str], sentence: str) -> None:
    environment = {f"APPRAISER_SUPERUSER_URL{suffix}": url for suffix, url in variables.items()}
    with pytest.raises(SettingRefused, match=sentence):
        servers(environment, ["raw", "clean"])


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    port = free_loopback_port()
    done = upgrade("raw", APPRAISER_SUPERUSER_URL_RAW=f"postgresql+psycopg://postgres:hidden@127.0.0.1:{port}/postgres")
    assert done.returncode == 1
    assert f"the server of raw at 127.0.0.1:{port} cannot be reached" in done.stderr
    assert "hidden" not in done.stderr
