"""What the service refuses to start with."""

import subprocess
from pathlib import Path

import pytest

from serving.settings import read
from serving.spool import Spool
from steps.common.settings import SettingRefused
from tests.servers import ROOT
from tests.serving.running import TOKEN


def test_defaults_ask_for_nothing() -> None:
    found = read({})
    assert (found.token, found.api_key, found.cors_origins, found.batch_rows) == (None, None, [], 10_000)


def test_a_setting_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    token = read({"APPRAISER_TOKEN_FILE": str(tmp_path / "token")}).token
    assert token is not None
    assert token.get_secret_value() == TOKEN
    assert TOKEN not in repr(token)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"APPRAISER_TOKEN": ""}, "APPRAISER_TOKEN is empty"),
        ({"APPRAISER_API_KEY": ""}, "APPRAISER_API_KEY is empty"),
        ({"APPRAISER_TOKEN": "short"}, "APPRAISER_TOKEN is too short or a placeholder"),
        ({"APPRAISER_TOKEN": "please-change-me-soon"}, "APPRAISER_TOKEN is too short or a placeholder"),
        ({"APPRAISER_API_KEY": "my-secret-is-my-secret"}, "APPRAISER_API_KEY is too short or a placeholder"),
        ({"APPRAISER_TOKEN_FILE": "/not/there"}, "APPRAISER_TOKEN_FILE: /not/there cannot be read"),
        ({"APPRAISER_TOKNE": "x"}, "APPRAISER_TOKNE: Extra inputs are not permitted"),
        ({"APPRAISER_BATCH_ROWS": "10001"}, "APPRAISER_BATCH_ROWS: Input should be less than or equal to 10000"),
        ({"APPRAISER_CORS_ORIGINS": "*"}, "APPRAISER_CORS_ORIGINS: Invalid JSON"),
    ],
)
def test_what_is_refused_and_why(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingRefused, match=sentence):
        read(variables)


def test_an_empty_file_is_an_empty_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SettingRefused, match="APPRAISER_TOKEN is empty"):
        read({"APPRAISER_TOKEN_FILE": str(tmp_path / "token")})


@pytest.mark.parametrize("token", ["", "token"])
def test_one_machine_may_have_any_token(token: str) -> None:
    assert read({"APPRAISER_LOCAL": "true", "APPRAISER_TOKEN": token}).local


def refused(variables: dict[str, str]) -> str:
    """Start the service, which must end by itself and not with a traceback; return what it says."""
    python = str(ROOT / ".envs" / "serving" / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "serving"], env={"PYTHONPATH": str(ROOT), **variables}, cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [({"APPRAISER_TOKEN": ""}, "APPRAISER_TOKEN is empty"), ({}, "APPRAISER_LEDGER_URL is not set")],
)
def test_the_process_ends_with_a_sentence(variables: dict[str, str], sentence: str) -> None:
    assert sentence in refused(variables)


def test_a_state_folder_of_another_process_or_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("APPRAISER_RAW_URL", "APPRAISER_LEDGER_URL"), "postgresql+psycopg://nobody@127.0.0.1/x")
    variables = {**nowhere, "APPRAISER_MLFLOW_URL": "http://127.0.0.1:1", "APPRAISER_STATE_FOLDER": str(tmp_path)}
    spool = Spool(tmp_path / "spool", 1000)
    assert "each needs a volume of its own" in refused(variables)
    spool.close()
    (tmp_path / "file").touch()
    said = refused({**variables, "APPRAISER_STATE_FOLDER": str(tmp_path / "file")})
    assert said.startswith("APPRAISER_STATE_FOLDER: ")
    assert str(tmp_path / "file") in said
