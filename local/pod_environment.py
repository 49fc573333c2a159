"""What a pod's process is started with: the command, its folder, and an environment of exactly what the pod says.

An image is an entry of a JSON file: `{"<reference>": {"python": "<python of an environment>", "root": "<folder with
that image's code>", "entrypoint": ["python", "-m", …], "env": {…}}}`; the last two stand for ENTRYPOINT and ENV of a
Dockerfile and may be left out. The file is read again for every pod. ConfigMaps and Secrets are folders with a file a
key; one line break at the end of a file does not count.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.pod_spec import NAMESPACE, Object, memory_limit
from local.pod_status import ADDRESS

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_FILE_NAME = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]*")
_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ContainerWaits(Exception):
    """A container cannot be started yet; `reason` is what Kubernetes calls it, the sentence says what is missing."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ProgramMissing(Exception):
    """The image is there, the program to start is not in it: such a container has failed for good."""


@dataclass(frozen=True)
class Image:
    """An environment and a folder of code that stand for a container image."""

    python: Path
    root: Path
    entrypoint: tuple[str, ...]
    env: dict[str, str]


@dataclass(frozen=True)
class Command:
    """A process to start; the memory limit in bytes."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    memory_limit: int | None


@dataclass(frozen=True)
class Configuration:
    """The folders `configmaps` and `secrets`, which hold a folder for each object."""

    root: Path

    def read(self, kind: str, name: str, *, optional: bool) -> dict[str, str]:
        """Return the keys of a ConfigMap or Secret; raise ContainerWaits where there is no such object."""
        folder = self.root / f"{kind.lower()}s" / name
        if not _FILE_NAME.fullmatch(name) or not folder.is_dir():
            if optional:
                return {}
            raise ContainerWaits("CreateContainerConfigError", f'{kind.lower()} "{name}" not found')
        files = [file for file in sorted(folder.iterdir()) if _FILE_NAME.fullmatch(file.name) and file.is_file()]
        return {file.name: file.read_text().removesuffix("\n") for file in files}

    def value(self, kind: str, reference: Object) -> str | None:
        """Return the value a key reference names, None for an optional one that is missing; raise ContainerWaits."""
        optional = bool(reference.get("optional"))
        name, key = reference.get("name", ""), reference.get("key", "")
        value = self.read(kind, name, optional=optional).get(key)
        if value is None and not optional:
            raise ContainerWaits("CreateContainerConfigError", f"couldn't find key {key} in {kind} {NAMESPACE}/{name}")
        return value


def load_image(images: Path, reference: str, pull_policy: str) -> Image:
    """Look an image up; raise ContainerWaits, as after a failed pull, where it is not there."""
    try:
        entry = json.loads(images.read_text()).get(reference)
        if entry is None:
            raise ContainerWaits(*_not_pulled(reference, pull_policy))
        image = Image(
            Path(entry["python"]), Path(entry["root"]), tuple(entry.get("entrypoint", ())), entry.get("env", {})
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContainerWaits("ErrImagePull", f"the image file {images} cannot be used: {error!r}") from error
    if not image.python.is_file() or not image.root.is_dir():
        raise ContainerWaits("ErrImagePull", f"image {reference} stands for {image.python} and {image.root}: not there")
    return image


def _not_pulled(reference: str, pull_policy: str) -> tuple[str, str]:
    if pull_policy == "Never":
        return "ErrImageNeverPull", f'Container image "{reference}" is not present with pull policy of Never'
    return "ErrImagePull", f'failed to pull image "{reference}": not found'


def command_of(pod: Object, image: Image, configuration: Configuration, temporary: Path) -> Command:
    """Return what to start for a pod.

    Raises ContainerWaits where a ConfigMap, Secret or key is missing, ProgramMissing where the image lacks the program.
    """
    container = pod["spec"]["containers"][0]
    environment = {
        "PATH": f"{image.python.parent}:{_SYSTEM_PATH}",
        "PYTHONPATH": str(image.root),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "HOSTNAME": pod["metadata"]["name"],
    }
    environment |= image.env | _environment_of(pod, container, configuration)
    words = [*(container.get("command") or image.entrypoint), *(container.get("args") or ())]
    argv = [expand(word, environment) for word in words]
    if not argv:
        raise ProgramMissing("no command specified")
    program = shutil.which(argv[0], path=environment["PATH"])
    if program is None:
        raise ProgramMissing(f'exec: "{argv[0]}": executable file not found in $PATH')
    return Command([program, *argv[1:]], environment, str(image.root), memory_limit(container))


def _environment_of(pod: Object, container: Object, configuration: Configuration) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if reference := source.get(field):
                keys = configuration.read(kind, reference.get("name", ""), optional=bool(reference.get("optional")))
                found |= {f"{source.get('prefix') or ''}{key}": value for key, value in keys.items()}
    for variable in container.get("env") or []:
        value = _value_of(variable, pod, configuration, found)
        if value is not None:
            found[variable["name"]] = value
    return found


def _value_of(variable: Object, pod: Object, configuration: Configuration, known: dict[str, str]) -> str | None:
    source = variable.get("valueFrom") or {}
    if reference := source.get("secretKeyRef"):
        return configuration.value("Secret", reference)
    if reference := source.get("configMapKeyRef"):
        return configuration.value("ConfigMap", reference)
    if reference := source.get("fieldRef"):
        return _field(pod, reference.get("fieldPath", ""))
    return expand(variable.get("value") or "", known)


def _field(pod: Object, path: str) -> str:
    metadata, spec = pod["metadata"], pod["spec"]
    fields = {f"metadata.{key}": metadata[key] for key in ("name", "namespace", "uid")}
    fields |= {f"spec.{key}": spec[key] for key in ("nodeName", "serviceAccountName")}
    fields |= {f"status.{key}": ADDRESS for key in ("hostIP", "podIP")}
    if match := _FIELD.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    if path not in fields:
        raise ContainerWaits("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return str(fields[path])


def expand(text: str, environment: dict[str, str]) -> str:
    """Replace `$(NAME)` by the variable, where there is one, and `$$` by `$`, as Kubernetes does."""
    return _REFERENCE.sub(lambda match: "$" if match[1] is None else environment.get(match[1], match[0]), text)
