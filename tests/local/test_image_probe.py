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


def test_a_library_that_a_function_imports_is_missed_by_the_probe(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text("import inner\n")
    (tmp_path / "inner.py").write_text("def work():\n    from no_such_library import everything\n    everything()\n")
    done = probe(tmp_path, "step")
    assert done.returncode != 0
    assert "No module named 'no_such_library'" in done.stderr


def test_the_report_counts_our_modules_and_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text("import inner\nprint('a module that prints')\n")
    (tmp_path / "inner.py").write_text("def work():\n    import json\n    return json\n")
    done = probe(tmp_path, "step")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["ours"] == 2
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
