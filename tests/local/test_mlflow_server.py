"""MLflow as the stack runs it: artifacts in a folder and in a bucket, and a bucket that is down."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import httpx
import psutil
import psycopg
import pytest
from psycopg import sql

from local.mlflow_server import Bucket, MlflowServer
from local.postgres import SUPERUSER, Server
from local.processes import Command, Processes, serves
from tests.servers import free_loopback_port
from tests.tracking import serving

KEY_ID, KEY = "a-key-id", "a-key-of-the-bucket"
# The client's own limit, and what the test allows for an answer: far above the two tries of a second each.
BOUND_SECONDS = 60


class Store:
    """An S3 endpoint that a test can take down: moto's server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_loopback_port()
        self._processes = Processes(folder)
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the endpoint with an empty bucket `models`; moto keeps nothing over a restart."""
        program = str(Path(sys.executable).with_name("moto_server"))
        command = Command("moto", [program, "-H", "127.0.0.1", "-p", str(self._port)], {}, self._folder)
        self._processes.start(command)
        self._processes.serve({"moto": lambda: serves(f"{self.url}/moto-api/")}, 60)
        client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=KEY_ID, aws_secret_access_key=KEY, region_name="us-east-1"
        )
        client.create_bucket(Bucket="models")

    def stop(self) -> None:
        """Take the endpoint down."""
        self._processes.stop_all()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("store"))
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="module")
def on_bucket(server: Server, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with server.connect(SUPERUSER, "postgres") as connection:
        connection.autocommit = True
        connection.execute(sql.SQL("CREATE DATABASE mlflow_on_bucket OWNER mlflow"))
    bucket = Bucket("s3://models/appraiser", store.url, KEY_ID, KEY)
    with serving(tmp_path_factory.mktemp("mlflow"), server, "mlflow_on_bucket", bucket) as mlflow:
        yield mlflow


def artifact(mlflow: MlflowServer, path: str) -> str:
    return f"{mlflow.url}/api/2.0/mlflow-artifacts/artifacts/{path}"


def new_experiment(mlflow: MlflowServer, name: str) -> httpx.Response:
    return httpx.post(f"{mlflow.url}/api/2.0/mlflow/experiments/create", json={"name": name}, timeout=BOUND_SECONDS)


def test_artifacts_go_through_the_server_into_its_folder(mlflow_server: MlflowServer) -> None:
    httpx.put(artifact(mlflow_server, "a/model.ubj"), content=b"trees", timeout=BOUND_SECONDS).raise_for_status()
    assert httpx.get(artifact(mlflow_server, "a/model.ubj"), timeout=BOUND_SECONDS).content == b"trees"
    assert (mlflow_server.folder / "artifacts" / "a" / "model.ubj").read_bytes() == b"trees"


def test_new_experiments_get_the_servers_own_artifacts(mlflow_server: MlflowServer) -> None:
    made = new_experiment(mlflow_server, "artifacts of whom")
    identifier = made.raise_for_status().json()["experiment_id"]
    found = httpx.get(
        f"{mlflow_server.url}/api/2.0/mlflow/experiments/get",
        params={"experiment_id": identifier},
        timeout=BOUND_SECONDS,
    )
    assert urlsplit(found.json()["experiment"]["artifact_location"]).scheme == "mlflow-artifacts"


def test_runs_are_in_postgresql(mlflow_server: MlflowServer, server: Server) -> None:
    new_experiment(mlflow_server, "kept in postgresql").raise_for_status()
    with psycopg.connect(server.url("mlflow", "mlflow", driver="psycopg").replace("+psycopg", "")) as connection:
        names = connection.execute("SELECT name FROM experiments").fetchall()
    assert ("kept in postgresql",) in names


def test_another_hosts_name_is_refused(mlflow_server: MlflowServer) -> None:
    answer = httpx.get(f"{mlflow_server.url}/api/2.0/mlflow/experiments/search?max_results=1",
                       headers={"Host": "elsewhere.example"}, timeout=BOUND_SECONDS)  # fmt: skip
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_the_databases_password_is_on_no_command_line(mlflow_server: MlflowServer, server: Server) -> None:
    password = server.credentials.read("postgres-mlflow")
    serving_here = [p for p in psutil.Process().children(recursive=True) if str(mlflow_server.port) in p.cmdline()]
    assert serving_here
    for process in psutil.Process().children(recursive=True):
        assert password not in " ".join(process.cmdline())


def test_artifacts_go_into_a_bucket(on_bucket: MlflowServer, store: Store) -> None:
    httpx.put(artifact(on_bucket, "b/model.ubj"), content=b"trees", timeout=BOUND_SECONDS).raise_for_status()
    assert httpx.get(artifact(on_bucket, "b/model.ubj"), timeout=BOUND_SECONDS).content == b"trees"
    client = boto3.client(
        "s3", endpoint_url=store.url, aws_access_key_id=KEY_ID, aws_secret_access_key=KEY, region_name="us-east-1"
    )
    kept = client.get_object(Bucket="models", Key="appraiser/b/model.ubj")
    assert kept["Body"].read() == b"trees"


def test_a_bucket_that_is_down_is_named_in_bounded_time_and_comes_back(on_bucket: MlflowServer, store: Store) -> None:
    store.stop()
    started = time.monotonic()
    answer = httpx.put(artifact(on_bucket, "c/model.ubj"), content=b"trees", timeout=BOUND_SECONDS)
    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert time.monotonic() - started < BOUND_SECONDS
    # MLflow's answer says no more than its status; the reason stands in its log, written after the answer.
    reason = f'Could not connect to the endpoint URL: "{store.url}/models/appraiser/c/model.ubj"'
    log = on_bucket.folder.parent / "logs" / "mlflow.log"
    while reason not in log.read_text():
        assert time.monotonic() - started < BOUND_SECONDS
        time.sleep(0.1)
    # What needs no artifact goes on.
    new_experiment(on_bucket, "while the bucket is down").raise_for_status()

    store.start()
    httpx.put(artifact(on_bucket, "c/model.ubj"), content=b"trees", timeout=BOUND_SECONDS).raise_for_status()
