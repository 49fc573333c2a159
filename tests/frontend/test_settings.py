"""What the page refuses to start with."""

import os
import subprocess
import sys

import pytest

from frontend.settings import SettingRefused, read
from tests.servers import ROOT


def test_where_the_api_is_and_nothing_else_has_to_be_said() -> None:
    found = read({"APPRAISER_API_URL": "http://api:8000/", "PATH": "/bin", "APPRAISER_API_KEY": ""})
    assert (found.api_url, found.host, found.api_key) == ("http://api:8000", "127.0.0.1", None)


@pytest.mark.parametrize(("variables", "named"), [
    ({}, "APPRAISER_API_URL"),
    ({"APPRAISER_API_URL": "api:8000"}, "APPRAISER_API_URL"),
    ({"APPRAISER_API_URL": "http://api", "APPRAISER_API_ULR": "x"}, "APPRAISER_API_ULR"),
    ({"APPRAISER_API_URL": "http://api", "APPRAISER_PORT": "70000"}, "APPRAISER_PORT"),
    ({"APPRAISER_API_URL": "http://api", "APPRAISER_API_SECONDS": "0"}, "APPRAISER_API_SECONDS"),
])  # fmt: skip
def test_a_wrong_setting_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(SettingRefused, match=named):
        read(variables)


def test_the_page_does_not_start_with_a_wrong_setting() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "frontend"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": os.defpath, "APPRAISER_API_URL": "nowhere"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("APPRAISER_API_URL: ")
    assert "Traceback" not in done.stderr
