"""The process that evaluate starts has its image's environment, also where a test calls evaluate in its own."""

import sys

import pytest

from tests.servers import ROOT


@pytest.fixture(autouse=True)
def _in_the_environment_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(ROOT / ".envs" / "evaluate" / "bin" / "python"))
