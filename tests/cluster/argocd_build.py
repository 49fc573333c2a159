"""Argo CD compiled from its Go module, since where no registry is reached its image cannot be had.

Once: some ten minutes and, until it is done, 5 GB in a folder of its own. The program and the manifests of the core
installation stay in the folder of tools.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.access import Cluster

MODULE: Final = "github.com/argoproj/argo-cd/v3"
# v3.2.12's module does not compile; from 3.3 on it replaces a module by a folder that a module cannot hold.
VERSION: Final = "v3.2.11"
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "appraiser"
_MANIFESTS: Final = "manifests/core-install.yaml"
_SECONDS: Final = 2400


class ArgoMissing(Exception):
    """Argo CD is not there and cannot be compiled here; the sentence says what a person can do."""


@dataclass(frozen=True)
class Argo:
    """Argo CD's one program, which does what it is called by, and the manifests of its core installation."""

    program: Path
    core: Path


def found_or_built(cluster: Cluster, tools: Path) -> Argo:
    """Return Argo CD, compiled if need be; raise ArgoMissing.

    It is kept beside the tools of the cluster's script, or else in the user's own cache: ten minutes are too dear for
    a folder that `make clean` empties.
    """
    tools = tools if cluster.script else _CACHE
    tools.mkdir(parents=True, exist_ok=True)
    argo = Argo(tools / f"argocd-{VERSION}", tools / f"argocd-{VERSION}-core.yaml")
    if not (argo.program.exists() and argo.core.exists()):
        if shutil.which("go") is None:
            raise ArgoMissing(
                f"Argo CD {VERSION} is not in {tools} and is compiled with Go (https://go.dev), which is not here"
            )
        _build(argo)
    return argo


def _build(argo: Argo) -> None:
    with tempfile.TemporaryDirectory(prefix="appraiser-argocd-", dir=os.environ.get("GOTMPDIR")) as place:
        folder = Path(place)
        # Of no use to anybody afterwards, and a nuisance as files that only root may delete.
        environment = {"GOMODCACHE": f"{place}/modules", "GOCACHE": f"{place}/objects", "GOFLAGS": "-modcacherw"}
        environment |= {"CGO_ENABLED": "0", "GOWORK": "off"}
        told = _go(folder, environment, "mod", "download", "-json", f"{MODULE}@{VERSION}")
        # As the main module, for what its go.mod replaces counts only there.
        source = folder / "source"
        shutil.copytree(json.loads(told)["Dir"], source)
        program = folder / "argocd"
        _go(source, environment, "build", "-trimpath", "-ldflags=-s -w", f"-o={program}", "./cmd")
        shutil.copy(source / _MANIFESTS, argo.core)
        # Beside its place first: a copy that was interrupted is not taken for the program.
        unfinished = argo.program.with_suffix(".part")
        shutil.copy(program, unfinished)
        unfinished.rename(argo.program)


def _go(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=folder, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise ArgoMissing(f"go {' '.join(arguments)}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    return done.stdout
