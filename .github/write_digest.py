"""Write the digest of an image that was just pushed to wherever it is deployed from, while others do the same.

    python .github/write_digest.py docker.io/appraiser/fetch@sha256:… --revision <commit it was built from>

Run in a clone of the repository. The places are found, not listed: the line of the image in dags/images.yaml, and in
helm-values/*.yaml every `repository` that names the image, with the `digest` (or, where a chart knows none, the `tag`)
beside it. Only those values change, so comments and the order of keys stay.

Eleven workflows may do this in the same second. Each takes the branch's newest commit, makes its edit on that and
pushes; git takes the first and refuses the others, who begin again. The edit is made anew instead of rebased: two
images stand on neighbouring lines, which git calls a conflict. Neither work tree nor index of the clone is touched.

An image of a later commit is not replaced by an older one: a job that failed can be run again days after.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

_STEPS: Final = "dags/images.yaml"
_VALUES: Final = "helm-values/"
# Each round takes one writer's push, so eleven writers need eleven rounds; the rest is for a network that fails.
_ROUNDS: Final = 30
_PAUSE_SECONDS: Final = 2.0
_GIT_SECONDS: Final = 60
_AUTHOR: Final = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


class DigestHasNoPlace(Exception):
    """Nothing deploys this image, or not by digest; the sentence says which file wants what."""


class NewerIsDeployed(Exception):
    """An image of a later commit is in place and stays there."""


class GitRefused(Exception):
    """Git did not do what it was asked to, as when the branch has moved on; the sentence is git's own."""


def rewritten(path: str, text: str, reference: str) -> str | None:
    """Return a file's text with the image's reference in each of its places, None where it has none.

    Raises DigestHasNoPlace where the file is no YAML, or names the image in a way that takes no digest.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise DigestHasNoPlace(f"{path} is not YAML: {error}") from error
    places = list((_step_places if path == _STEPS else _chart_places)(node, reference))
    if not places:
        return None
    # From the end, so that the positions before stay true.
    for scalar, value in sorted(places, key=lambda place: place[0].start_mark.index, reverse=True):
        start, end = scalar.start_mark.index, scalar.end_mark.index
        quote = scalar.style if scalar.style in {"'", '"'} else ""
        # An empty value begins right behind its colon.
        space = "" if start < end else " "
        text = f"{text[:start]}{space}{quote}{value}{quote}{text[end:]}"
    return text


def _step_places(node: yaml.Node | None, reference: str) -> Iterator[tuple[yaml.ScalarNode, str]]:
    step = reference.partition("@")[0].rpartition("/")[2]
    for key, value in _pairs(node):
        if key == step and isinstance(value, yaml.ScalarNode):
            yield value, reference


def _chart_places(node: yaml.Node | None, reference: str) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """Yield the values to set; a key may carry a prefix, as in Airflow's chart (`defaultAirflowRepository`)."""
    image, digest = reference.split("@")
    pairs = dict(_pairs(node))
    for key, value in pairs.items():
        prefix, said, rest = key.lower().rpartition("repository")
        if said and not rest and isinstance(value, yaml.ScalarNode) and value.value == image:
            beside = {name.lower(): found for name, found in pairs.items() if isinstance(found, yaml.ScalarNode)}
            tag = beside.get(f"{prefix}tag")
            if f"{prefix}digest" in beside:
                yield beside[f"{prefix}digest"], digest
            elif tag is not None and tag.value:
                yield tag, f"{tag.value.partition('@')[0]}@{digest}"
            else:
                raise DigestHasNoPlace(
                    f"{image} has neither digest nor tag beside it, line {value.start_mark.line + 1}"
                )
    children = node.value if isinstance(node, yaml.SequenceNode) else pairs.values()
    for child in children:
        yield from _chart_places(child, reference)


def _pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))


class Branch:
    """A branch of a remote repository, seen from a clone."""

    def __init__(self, clone: Path, remote: str, name: str) -> None:
        self._clone = clone
        self._remote = remote
        self._name = name

    def head(self) -> str:
        """Fetch the branch with all its history, which a workflow's clone lacks, and return its newest commit."""
        here = f"refs/remotes/{self._remote}/{self._name}"
        shallow = self._git("rev-parse", "--is-shallow-repository").strip() == "true"
        deeper = ("--unshallow",) if shallow else ()
        self._git("fetch", "--quiet", *deeper, self._remote, f"+refs/heads/{self._name}:{here}")
        return self._git("rev-parse", here).strip()

    def deployed(self, head: str, name: str) -> str | None:
        """Return the commit that the image of a name was last deployed of, None where it never was."""
        title = f"--grep=^Deploy {name} of [0-9a-f]{{12}}$"
        said = self._git("log", "-1", "--extended-regexp", title, "--format=%b", head)
        found = re.search(r"^built from ([0-9a-f]{40})\.$", said, re.MULTILINE)
        return found[1] if found else None

    def came_after(self, head: str, commit: str, earlier: str) -> bool:
        """Tell whether a commit descends from an earlier one; not where it is gone from the branch's history."""
        return commit in self._git("rev-list", "--ancestry-path", f"{earlier}..{head}").split()

    def texts(self, commit: str) -> dict[str, str]:
        """Return the files of a commit in which images stand."""
        listed = self._git("ls-tree", "--name-only", "-z", commit, _STEPS, _VALUES).split("\0")
        return {path: self._git("show", f"{commit}:{path}") for path in listed if path.endswith(".yaml")}

    def commit(self, parent: str, texts: dict[str, str], message: str) -> str:
        """Return a new commit on `parent` with these files, which no branch names yet."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._git("read-tree", parent, environment=index)
            for path, text in texts.items():
                blob = self._git("hash-object", "-w", "--stdin", given=text).strip()
                self._git("update-index", "--cacheinfo", f"100644,{blob},{path}", environment=index)
            tree = self._git("write-tree", environment=index).strip()
        name, email = _AUTHOR
        people = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", email))
        }
        return self._git("commit-tree", tree, "-p", parent, given=message, environment=people).strip()

    def push(self, commit: str) -> None:
        """Make a commit the branch's newest; raise GitRefused where it has moved on meanwhile."""
        self._git("push", "--quiet", self._remote, f"{commit}:refs/heads/{self._name}")

    def _git(self, *arguments: str, given: str | None = None, environment: dict[str, str] | None = None) -> str:
        try:
            ended = subprocess.run(
                ["git", *arguments],
                cwd=self._clone,
                input=given,
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
                capture_output=True,
                text=True,
                timeout=_GIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise GitRefused(f"git {arguments[0]} gave no answer in {_GIT_SECONDS} s") from late
        if ended.returncode:
            raise GitRefused(f"git {arguments[0]}: {ended.stderr.strip()}")
        return ended.stdout


def deploy(branch: Branch, reference: str, revision: str) -> list[str]:
    """Put a reference into every file that deploys its image, as one commit; return the files that had to change.

    Raises DigestHasNoPlace, NewerIsDeployed, and GitRefused where another was quicker: nothing is changed then.
    """
    image, digest = reference.split("@")
    name = image.rpartition("/")[2]
    head = branch.head()
    deployed = branch.deployed(head, name)
    if deployed and deployed != revision and branch.came_after(head, deployed, revision):
        raise NewerIsDeployed(
            f"{name} of {deployed[:12]} is deployed, which came after {revision[:12]}: "
            "start the workflow again, it builds the newest commit"
        )
    texts = branch.texts(head)
    wanted = {path: rewritten(path, text, reference) for path, text in texts.items()}
    if all(text is None for text in wanted.values()):
        raise DigestHasNoPlace(f"neither {_STEPS} nor a file of {_VALUES} deploys {image}")
    changed = {path: text for path, text in wanted.items() if text is not None and text != texts[path]}
    if changed:
        message = f"Deploy {name} of {revision[:12]}\n\n{image} is {digest},\nbuilt from {revision}.\n"
        branch.push(branch.commit(head, changed, message))
    return sorted(changed)


def main() -> int:
    """Write the digest, again and again until it is there; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", help="the image as pushed, name@sha256:…")
    parser.add_argument("--revision", required=True, help="the commit it was built from")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--remote", default="origin")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="how often to begin again (default: %(default)s)")
    options = parser.parse_args()
    if not re.fullmatch(r"[a-z0-9./-]+@sha256:[0-9a-f]{64}", options.reference):
        parser.error(f"{options.reference!r} is not an image by digest (name@sha256:…)")
    branch = Branch(Path.cwd(), options.remote, options.branch)
    for left in reversed(range(options.rounds)):
        try:
            changed = deploy(branch, options.reference, options.revision)
        except GitRefused as refused:
            sys.stderr.write(f"{refused}\n")
            if not left:
                sys.exit(f"{options.reference} was not written in {options.rounds} rounds")
            # Not all at the same moment again.
            time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  no secret hangs on it
        else:
            sys.stdout.write(f"{options.reference}: {', '.join(changed) or 'was there already'}\n")
            break
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DigestHasNoPlace, NewerIsDeployed) as refused:
        sys.exit(str(refused))
