"""The repository that Argo CD follows in the test: its files as committed, and on top what the test commits."""

from __future__ import annotations

import os
import runpy
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tests.cluster.access import Cluster
from tests.servers import ROOT

_SECONDS: Final = 120
_PEOPLE: Final = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "cluster test"), ("EMAIL", "cluster-test@localhost"))
}


class Repository:
    """A clone of the repository in the cluster's own git server, which is reached through `kubectl exec`."""

    def __init__(self, cluster: Cluster, namespace: str, path: str, folder: Path) -> None:
        self._folder = folder
        server = f"kubectl --kubeconfig={cluster.kubeconfig} --namespace={namespace} exec --stdin deployment/sources"
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")
        # Nobody else may name a program as the other side.
        self._git("config", "protocol.ext.allow", "always")
        self._git("remote", "add", "origin", f"ext::{server} -- git %s {path}")
        # The tree alone, since the clone that is tested may itself be without history, as in CI.
        self._git("fetch", "--quiet", "--depth=1", f"file://{ROOT}", "HEAD")
        first = self._git("commit-tree", "FETCH_HEAD^{tree}", "-m", "As committed")
        self._git("reset", "--quiet", "--hard", first)
        self._git("push", "--quiet", "origin", "main")

    def deploy(self, references: Iterable[str]) -> str:
        """Commit images' digests wherever they are deployed from, by the workflows' own program; return the commit."""
        program = runpy.run_path(str(ROOT / ".github" / "write_digest.py"))
        branch = program["Branch"](self._folder, "origin", "main")
        texts = branch.texts(branch.head())
        for reference in references:
            texts = {path: program["rewritten"](path, text, reference) or text for path, text in texts.items()}
        return self.commit("Deploy what was loaded", texts)

    def text(self, path: str) -> str:
        """Return a file's text as of the newest commit."""
        return (self._folder / path).read_text()

    def commit(self, message: str, texts: Mapping[str, str | None]) -> str:
        """Give files new texts, or remove them, in a commit, push that, and return it."""
        for path, text in texts.items():
            if text is None:
                (self._folder / path).unlink()
            else:
                (self._folder / path).write_text(text)
        self._git("commit", "--quiet", "--all", "--message", message)
        self._git("push", "--quiet", "origin", "main")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self._folder, env={**os.environ, **_PEOPLE},
            capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout.strip()
