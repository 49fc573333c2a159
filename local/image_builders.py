"""The programs that build images and try them out: docker, podman, or buildah with the runc it depends on.

A trial is what a pod is at its strictest: some user or other, a root file system nobody can write to, a /tmp of its
own, no capability, no network.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PROGRAMS: Final = ("docker", "podman", "buildah")
# What a build argument of every image becomes.
_LABEL: Final = "org.opencontainers.image"
LABELS: Final = {"REVISION": f"{_LABEL}.revision", "VERSION": f"{_LABEL}.version", "BUILT_AT": f"{_LABEL}.created"}
VARIABLES: Final = {"REVISION": "APPRAISER_GIT_SHA", "BUILT_AT": "APPRAISER_BUILT_AT"}
_ASK_SECONDS: Final = 60
_TRIAL_SECONDS: Final = 600
_NOBODYS_MEGABYTES: Final = 512


class BuilderMissing(Exception):
    """No program is here that could build an image; the sentence names what was looked for."""


@dataclass(frozen=True)
class Trial:
    """What to run in an image: the command, as whom (`uid:gid`), variables beside the image's, folders to be seen."""

    argv: Sequence[str]
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Builder:
    """One of the programs; `flags` are given to every build."""

    program: str
    flags: Sequence[str] = ()

    def build(self, reference: str, dockerfile: Path, arguments: Mapping[str, str]) -> list[str]:
        """Return the command that builds an image, with its build arguments, from the folder it is run in."""
        named = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        if self.program == "buildah":
            named += _beside_layers(arguments)
        return [self.program, "build", "--file", str(dockerfile), "--tag", reference, *named, *self.flags, "."]

    def configuration(self, reference: str) -> dict[str, Any]:
        """Return an image's configuration, as OCI names it: User, Env, Labels, WorkingDir, Entrypoint, Cmd."""
        if self.program == "buildah":
            whole: dict[str, Any] = json.loads(_ask(["buildah", "inspect", "--type", "image", reference]))
            found: dict[str, Any] = whole["OCIv1"]["config"]
        else:
            found = json.loads(_ask([self.program, "image", "inspect", "--format", "{{json .Config}}", reference]))
        return found

    def run(self, reference: str, trial: Trial) -> subprocess.CompletedProcess[str]:
        """Try an image out and return what came of it."""
        if self.program == "buildah":
            with _unpacked(reference, trial, self.configuration(reference)) as command:
                return _tried(command)
        return _tried(engine_command(self.program, reference, trial))


def _beside_layers(arguments: Mapping[str, str]) -> list[str]:
    """Return what buildah has to be told besides.

    It keeps no layers unless asked to, and makes every environment anew. Asked to, it (1.28) takes a layer that was
    made with other arguments for the same, and an image would tell the revision of the one before: so what is made of
    the arguments is said once more, behind everything.
    """
    labels = [word for name, label in LABELS.items() for word in ("--label", f"{label}={arguments[name]}")]
    variables = [word for name, key in VARIABLES.items() for word in ("--env", f"{key}={arguments[name]}")]
    return ["--layers", *labels, *variables]


def find(wanted: str, flags: Sequence[str]) -> Builder:
    """Return the builder that is wanted, or the first that answers; raise BuilderMissing."""
    for program in (wanted,) if wanted else PROGRAMS:
        # A docker without its daemon is often there, and answers with an error.
        try:
            _ask([program, "version"])
        except (OSError, subprocess.SubprocessError):
            continue
        return Builder(program, flags)
    raise BuilderMissing(f"no {wanted or ', '.join(PROGRAMS)} answers here: images cannot be built")


def engine_command(program: str, reference: str, trial: Trial) -> list[str]:
    """Return the command that tries an image out with docker or podman."""
    variables = [word for name, value in trial.environment.items() for word in ("--env", f"{name}={value}")]
    volumes = [word for folder, place in trial.folders.items() for word in ("--volume", f"{folder}:{place}:ro")]
    program_name, *words = trial.argv
    return [
        program, "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL",  # noqa: S108  the container's own
        "--security-opt", "no-new-privileges", "--user", trial.user, *variables, *volumes,
        "--entrypoint", program_name, reference, *words,
    ]  # fmt: skip


def bundle(root: str, trial: Trial, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what runc is told (OCI runtime specification 1.0) to try an image out that is unpacked at `root`."""
    uid, gid = (int(number) for number in trial.user.split(":"))
    variables = [*configuration.get("Env", []), *(f"{name}={value}" for name, value in trial.environment.items())]
    temporary = ["nosuid", "nodev", "mode=1777", f"size={_NOBODYS_MEGABYTES}m"]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": root, "readonly": True},
        "process": {
            "terminal": False, "user": {"uid": uid, "gid": gid}, "args": list(trial.argv), "env": variables,
            "cwd": configuration.get("WorkingDir") or "/", "capabilities": {}, "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": temporary},  # noqa: S108  the container's own
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": temporary},  # noqa: S108  the container's own
            *(
                {"destination": place, "type": "bind", "source": str(folder), "options": ["rbind", "ro"]}
                for folder, place in trial.folders.items()
            ),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
    }  # fmt: skip


@contextmanager
def _unpacked(reference: str, trial: Trial, configuration: Mapping[str, Any]) -> Iterator[list[str]]:
    """Unpack an image with buildah, and give the command that runs a trial in it."""
    container = _ask(["buildah", "from", "--pull-never", reference])
    try:
        root = _ask(["buildah", "mount", container])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "config.json")
            path.write_text(json.dumps(bundle(root, trial, configuration)))
            yield ["runc", "--root", f"{folder}/state", "run", "--bundle", folder, f"trial-{uuid.uuid4().hex}"]
    finally:
        _ask(["buildah", "rm", container])


def _ask(argv: Sequence[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=_ASK_SECONDS).stdout.strip()


def _tried(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=_TRIAL_SECONDS, stdin=subprocess.DEVNULL,
        env=os.environ,
    )  # fmt: skip
