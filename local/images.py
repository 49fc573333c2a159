"""What stands for the steps' images on one machine: for each an environment, and a folder with only its own code.

As a Dockerfile would, each folder gets a copy of `steps/common` and of `steps/<step>`, compiled: a start while code is
being edited runs what was there at its beginning. The map that the pod runner reads is written last.
"""

from __future__ import annotations

import compileall
import hashlib
import json
import py_compile
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from local.airflow import image_of
from steps.common.step import ORDER

_COMMON: Final = "common"
_GIT_SECONDS: Final = 10


class ImageMissing(Exception):
    """A step has no environment or no code here; the sentence says which."""


def build(repository: Path, folder: Path) -> Path:
    """Make the folder of every step's image that has changed and return the map's file; raise ImageMissing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "images.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    revision = revision_of(repository)
    images = {}
    for step in ORDER:
        reference = image_of(step)
        images[reference] = _build_one(repository, folder, step, revision, known.get(reference, {}))
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(images, indent=2) + "\n")
    draft.rename(path)
    return path


def _build_one(repository: Path, folder: Path, step: str, revision: str, known: dict[str, Any]) -> dict[str, Any]:
    python = repository / ".envs" / step / "bin" / "python"
    sources = [repository / "steps" / part for part in (_COMMON, step)]
    for needed in (python, *sources):
        if not needed.exists():
            raise ImageMissing(f"the image of {step} needs {needed}, which is not there; `make install` makes it")
    digest = _digest([repository / "requirements" / f"{step}.txt", *sources])
    root = folder / f"{step}-{digest[:12]}"
    built_at = known.get("env", {}).get("APPRAISER_BUILT_AT")
    if built_at is None or known.get("root") != str(root) or not root.is_dir():
        _copy(sources, root)
        built_at = datetime.now(UTC).isoformat(timespec="seconds")
    for old in folder.glob(f"{step}-*"):
        if old != root:
            shutil.rmtree(old)
    return {
        "python": str(python),
        "root": str(root),
        "entrypoint": ["python", "-m", f"steps.{step}"],
        "env": {
            "APPRAISER_GIT_SHA": revision,
            "APPRAISER_IMAGE_DIGEST": f"sha256:{digest}",
            "APPRAISER_BUILT_AT": built_at,
        },
    }


def _copy(sources: list[Path], root: Path) -> None:
    draft = root.with_name(f"draft-of-{root.name}")
    shutil.rmtree(draft, ignore_errors=True)
    for source in sources:
        shutil.copytree(source, draft / "steps" / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(root, ignore_errors=True)
    draft.rename(root)
    # Checked by nobody: the folder is made anew whenever its sources differ.
    compileall.compile_dir(root, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def _digest(sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(source.parent)} {content}\n".encode())
    return digest.hexdigest()


def revision_of(repository: Path) -> str:
    """Return git's name of the revision, `-dirty` where files differ from it; `unknown` outside git."""
    command = ["git", "-C", str(repository), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"
