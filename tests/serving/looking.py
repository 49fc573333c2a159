"""The service's own view of the alias, in the process of a test."""

from sqlalchemy import create_engine

from serving.champion import Champions
from steps.common.settings import Settings
from steps.common.tracking import Tracking
from tests.servers import free_loopback_port
from tests.steps.deployment import Deployment


class Looking(Champions):
    """Champions that can be let go of."""

    def close(self) -> None:
        """Close the connections."""
        self._ledger.dispose()


def looking(deployment: Deployment, mlflow_url: str | None = None, ledger_url: str | None = None) -> Looking:
    engine = create_engine(
        ledger_url or deployment.databases.url("ledger", "serving"), connect_args={"connect_timeout": 2}
    )
    tracking = Tracking(Settings(mlflow_url=mlflow_url or deployment.mlflow.url))
    return Looking(tracking, engine, deployment.folder / "models", 0.0)


def nowhere() -> str:
    return f"127.0.0.1:{free_loopback_port()}"
