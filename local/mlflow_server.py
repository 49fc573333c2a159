"""MLflow's tracking server: runs and versions in PostgreSQL, artifacts through the server from a folder or a bucket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from local.processes import Command, Processes, serves

# libpq's: how long to try to connect, how long a statement or a dead connection may take.
_DATABASE_TIMEOUTS: Final = "?connect_timeout=5&tcp_user_timeout=30000&options=-cstatement_timeout%3D60000"


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket that artifacts are kept in: `s3://name/prefix`, its endpoint, and a key for it."""

    destination: str
    endpoint: str
    key_id: str
    key: str
    region: str = "us-east-1"

    def environment(self) -> Mapping[str, str]:
        """Return the variables that lead MLflow there; two tries, so that an endpoint that is down fails soon."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_MAX_ATTEMPTS": "2",
            "AWS_RETRY_MODE": "standard",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True)
class MlflowServer:
    """An MLflow server: its state folder, where it listens, its programs, its database, and where artifacts go.

    `database_url` is written `postgresql+psycopg2://…` without a query; `programs` is the environment's bin folder.
    """

    folder: Path
    port: int
    programs: Path
    database_url: str = field(repr=False)
    bucket: Bucket | None = None

    @property
    def url(self) -> str:
        """Where the page and the API are."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, processes: Processes) -> None:
        """Start the server; it serves when `answers` says so, after some 20 s on an empty database."""
        artifacts = self.folder / "artifacts"
        artifacts.mkdir(parents=True, exist_ok=True)
        destination = self.bucket.destination if self.bucket else artifacts.resolve().as_uri()
        processes.start(Command(
            "mlflow",
            # One worker: each is a process of 250 MB. The address of the database is in the environment, since the
            # command line is everybody's to read.
            [str(self.programs / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port),
             "--workers", "1", "--serve-artifacts", "--artifacts-destination", destination,
             "--allowed-hosts", f"127.0.0.1:{self.port},localhost:{self.port}"],
            self._environment(), self.folder, stop_order=1,
        ))  # fmt: skip

    def answers(self) -> bool:
        """Tell whether the server answers."""
        return serves(f"{self.url}/health")

    def _environment(self) -> Mapping[str, str]:
        return {
            "PATH": os.pathsep.join([str(self.programs), os.defpath]),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "MLFLOW_BACKEND_STORE_URI": f"{self.database_url}{_DATABASE_TIMEOUTS}",
            # Job execution is for evaluating language models: three more processes, 240 MB.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "5",
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "10",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            **(self.bucket.environment() if self.bucket else {}),
        }
