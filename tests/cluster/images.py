"""The images of the cluster test: ours as `make images` builds them, and the one that holds what stands beside them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.container_images import IMAGES, REGISTRY
from local.image_builders import LABELS, Builder, find
from tests.servers import ROOT

# The test has no Airflow in the cluster: its pods are what is under test, and it reaches them from beside it.
USED: Final = tuple(name for name in IMAGES if name != "airflow")
STAND_INS: Final = "localhost/appraiser-stand-ins"
_HERE: Final = Path(__file__).parent / "images" / "stand_ins"
_BUILD_SECONDS: Final = 2400


def builder(environment: Mapping[str, str]) -> Builder:
    """Return the program that builds images here, as `make images` finds it."""
    return find(environment.get("BUILDER", ""), shlex.split(environment.get("BUILD_FLAGS", "")))


def build(by: Builder, environment: Mapping[str, str]) -> dict[str, str]:
    """Build those of our images that are not there or whose files have changed; return their names by image.

    With IMAGES=as-they-are nothing is built, and nothing asked of what is there.
    """
    tag, as_they_are = environment.get("TAG", "dev"), environment.get("IMAGES") == "as-they-are"
    references = {name: f"{REGISTRY}/{name}:{tag}" for name in USED}
    stale = [name for name, reference in references.items() if not (as_they_are or _is_current(by, name, reference))]
    if stale:
        subprocess.run(
            ["make", "images", f"IMAGES={' '.join(stale)}", f"TAG={tag}"],
            cwd=ROOT, check=True, timeout=_BUILD_SECONDS, stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    return references


def _is_current(by: Builder, name: str, reference: str) -> bool:
    """Tell whether an image was made from a committed revision that has its files as they are now."""
    try:
        labels = by.configuration(reference).get("Labels") or {}
    except subprocess.CalledProcessError:
        return False
    revision = labels.get(LABELS["REVISION"], "")
    files = [IMAGES[name].folder, "steps/common", f"requirements/{name}.txt"]
    same = ["git", "-C", str(ROOT), "diff", "--quiet", revision, "--", *files]
    return bool(revision) and subprocess.run(same, capture_output=True, check=False, timeout=60).returncode == 0


def identity(by: Builder, reference: str) -> str:
    """Return the builder's own id of an image."""
    asked = [by.program, "images", "--no-trunc", "--quiet", reference]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=600).stdout.strip()


def build_stand_ins(by: Builder, versitygw: Path, environment: Mapping[str, str]) -> str:
    """Build the image of what stands beside the system under test and return its name."""
    reference = f"{STAND_INS}:dev"
    with _context(versitygw) as folder:
        build_in(by, reference, folder, environment)
    return reference


def build_in(by: Builder, reference: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Build an image that nothing publishes from a folder with its Dockerfile and all it is made of."""
    # Not the revision: each commit would make another image of the same files, which then has to be loaded again.
    arguments = {"REVISION": "unknown", "BUILT_AT": "unknown", "VERSION": "dev"}
    subprocess.run(
        by.build(reference, Path("Dockerfile"), arguments),
        cwd=folder, check=True, timeout=_BUILD_SECONDS, stdin=subprocess.DEVNULL, capture_output=True,
        env=environment,
    )  # fmt: skip


@contextmanager
def _context(versitygw: Path) -> Iterator[Path]:
    """Gather what the image is made of: the repository's own context leaves tests and `local` out."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("programs", "requirements"):
            (folder / name).mkdir()
        shutil.copy(_HERE / "Dockerfile", folder)
        shutil.copy(_HERE / "start-postgres", folder / "programs")
        shutil.copy(versitygw, folder / "programs")
        for name in ("uv", "local"):
            shutil.copy(ROOT / "requirements" / f"{name}.txt", folder / "requirements")
        for code in ("local", "steps/common"):
            shutil.copytree(ROOT / code, folder / "code" / code, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder
