"""What the probe says of the Python it is run by: its imports, also the late ones, its sizes, what it may write to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from local import image_probe

SOURCE = Path(image_probe.__file__).read_text()


def probe(folder: Path, *modules: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SOURCE, str(folder), *modules], cwd=folder, env={"PATH": os.defpath},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


LATE = "def work():\n    from no_such_library import everything\n    everything()\n"


def test_a_library_that_a_function_imports_is_missed_by_the_probe(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(LATE)
    done = probe(tmp_path, "step")
    assert done.returncode != 0
    assert "No module named 'no_such_library'" in done.stderr


def test_what_a_shared_module_imports_late_may_be_for_another_image(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text("import shared\n")
    (tmp_path / "shared.py").write_text(LATE)
    assert probe(tmp_path, "step").returncode == 0


def test_the_report_is_the_last_line_whatever_a_module_prints(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text("print('a module that prints')\n")
    done = probe(tmp_path, "step")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["modules"] > 1
    assert report["user"] == f"{os.getuid()}:{os.getgid()}"
    assert report["site_packages"] > report["whole"] > 0
    assert report["writable"] is True


def test_bytecode_and_second_names_of_a_file_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x" * 100)
    (tmp_path / "b.py").hardlink_to(tmp_path / "a.py")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"x" * 1000)
    assert image_probe.size(tmp_path, bytecode=False) == 100
    assert image_probe.size(tmp_path, bytecode=True) == 1100
