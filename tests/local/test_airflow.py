"""The environment Airflow is started in: its own, whole, and in words that Airflow knows."""

import base64
from pathlib import Path

import pytest
import yaml

from local.airflow import Airflow, image_of
from local.credentials import Credentials
from tests.servers import ROOT

PROGRAMS = ROOT / ".envs" / "airflow" / "bin"


@pytest.fixture
def airflow(tmp_path: Path) -> Airflow:
    """Return an Airflow that is not started."""
    return Airflow(
        tmp_path / "airflow", 18080, PROGRAMS, ROOT / "dags", "postgresql+psycopg2://airflow:x@127.0.0.1:1/airflow",
        tmp_path / "kubeconfig", Credentials(tmp_path / "secrets"),
    )  # fmt: skip


def test_nothing_of_the_callers_environment_reaches_it(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    monkeypatch.setenv("HTTP_PROXY", "http://nowhere")
    environment = airflow.environment()
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not {"KUBECONFIG", "HTTP_PROXY", "VIRTUAL_ENV"} & environment.keys()


def test_airflow_knows_every_setting(airflow: Airflow) -> None:
    [described] = PROGRAMS.parent.glob("lib/*/site-packages/airflow/config_templates/config.yml")
    sections = yaml.safe_load(described.read_text())
    # Settings that providers, or a section of a file of their own, describe.
    elsewhere = {"usage_data_collection.enabled"}
    unknown = set()
    for name in airflow.environment():
        if name.startswith("AIRFLOW__"):
            _, section, option = name.lower().split("__")
            if option not in (sections.get(section, {}).get("options") or {}):
                unknown.add(f"{section}.{option}")
    assert unknown <= elsewhere


def test_secrets_are_made_once_and_kept(airflow: Airflow, tmp_path: Path) -> None:
    environment = airflow.environment()
    assert environment == airflow.environment()
    assert len(base64.urlsafe_b64decode(environment["AIRFLOW__CORE__FERNET_KEY"])) == 32
    secrets = {
        environment[f"AIRFLOW__{name}"] for name in ("CORE__FERNET_KEY", "API_AUTH__JWT_SECRET", "API__SECRET_KEY")
    }
    assert len(secrets) == 3
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o600}


def test_runs_are_started_by_hand_and_images_may_have_tags(airflow: Airflow) -> None:
    environment = airflow.environment()
    assert (environment["APPRAISER_SCHEDULE"], environment["APPRAISER_IMAGES_ALLOW_TAGS"]) == ("none", "true")
    assert image_of("fetch") == "localhost/appraiser-fetch:dev"


def test_a_setting_of_the_callers_own_comes_last(airflow: Airflow) -> None:
    differs = Airflow(**{**vars(airflow), "settings": {"CORE__PARALLELISM": "9"}})
    assert differs.environment()["AIRFLOW__CORE__PARALLELISM"] == "9"
