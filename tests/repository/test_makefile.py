"""The Makefile by running it: what a command answers can be sent to a file, on a fresh clone too."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 300


def test_installing_says_what_it_does_beside_the_answer(tmp_path: Path) -> None:
    # A clone whose images need nothing, so that nothing is downloaded.
    for name in ("Makefile", ".python-version"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("uv", "local"):
        (tmp_path / "requirements" / f"{name}.txt").touch()
    uv = make(tmp_path, ".tools/bin/uv")
    shutil.copyfile(ROOT / ".tools/bin/uv", tmp_path / ".tools/bin/uv")
    (tmp_path / ".tools/bin/uv").chmod(0o755)
    environment = make(tmp_path, ".envs/local/.installed")
    # `make secrets > secrets.yaml` is the first command of a new deployment: these would be the file's first lines.
    assert (uv.stdout, environment.stdout) == ("", "")
    assert "installing uv with Python 3" in uv.stderr
    assert "installing the environment of local" in environment.stderr


def make(folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    # What a make around this one says to those within it is not meant for this one.
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", target], cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
