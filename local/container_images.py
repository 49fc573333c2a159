"""`make images`: build the images with whatever builder is here, try each of them out, and say how large they are.

An image is tried out as its strictest pod would run it: all its code and each import in it, its program without any
setting, which has to say in a sentence what is missing, and its labels. IMAGES names the images, TAG their tag, BUILDER
the program, BUILD_FLAGS what is special about this machine. Ends with 1 when an image fails, or is larger than allowed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from local.image_builders import LABELS, VARIABLES, Builder, BuilderMissing, Trial, find
from local.images import revision_of

REPOSITORY: Final = Path(__file__).parents[1]
REGISTRY: Final = "docker.io/appraiser"
_PROBE: Final = Path(__file__).with_name("image_probe.py")
_MEGABYTE: Final = 1_000_000
_LINES_SHOWN: Final = 15
# Nobody an image could know.
_ANYBODY: Final = "54321:54321"
# Where the page is drawn: to import it outside of Streamlit is to draw it.
_NOT_IMPORTED: Final = {"frontend.app"}


class ImageUnfit(Exception):
    """An image could not be built, or is not what a pod could run; the sentence says why."""


@dataclass(frozen=True)
class Image:
    """One image: its folder, the largest its site-packages may be in MB, and what its program says without settings.

    `modules` are what the probe imports; `user` is who runs it in the trial.
    """

    name: str
    folder: str
    megabytes: int | None
    command: Sequence[str]
    exit_code: int
    says: str
    modules: Sequence[str] = ()
    user: str = _ANYBODY
    environment: Sequence[tuple[str, str]] = ()
    folders: Sequence[tuple[str, str]] = ()


def _step(name: str, megabytes: int) -> Image:
    command = ("python", "-m", f"steps.{name}", "--run-id", "trial")
    return Image(name, f"steps/{name}", megabytes, command, 100, "APPRAISER_LEDGER_URL is not set")


IMAGES: Final = {
    image.name: image
    for image in (
        _step("fetch", 45),
        _step("validate", 350),
        _step("clean", 350),
        _step("tune", 380),
        _step("train", 380),
        _step("evaluate", 480),
        _step("promote", 110),
        Image("serving", "serving", 350, ("python", "-m", "serving"), 2, "APPRAISER_LEDGER_URL is not set"),
        Image("frontend", "frontend", 600, ("python", "-m", "frontend"), 2, "APPRAISER_API_URL: Field required"),
        Image(
            "airflow", "dags", None, ("airflow", "version"), 0, "3.3.2", ("dags.training",),
            # As everywhere with the official image: any user, as long as its group is root's.
            user="54321:0",
            environment=(("AIRFLOW_HOME", "/tmp"), ("APPRAISER_IMAGES_ALLOW_TAGS", "true")),  # noqa: S108  the container's own
            folders=(("dags", "/opt/airflow/dags/repo/dags"),),
        ),
        Image(
            "registry", "registry", 680, ("mlflow", "--version"), 0, "3.17.2",
            ("mlflow.server.fastapi_app", "boto3", "psycopg2", "prometheus_flask_exporter.multiprocess"),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Built:
    """What is known of an image that was built and tried out; sizes in bytes."""

    image: Image
    reference: str
    site_packages: int
    whole: int
    seconds: float

    @property
    def too_large(self) -> bool:
        """Tell whether its site-packages are larger than allowed."""
        return self.image.megabytes is not None and self.site_packages > self.image.megabytes * _MEGABYTE


def main(environment: Mapping[str, str]) -> int:
    """Build and try out the images that are asked for; return the exit code."""
    wanted = environment.get("IMAGES", "").replace(",", " ").split() or list(IMAGES)
    if unknown := sorted(set(wanted) - IMAGES.keys()):
        sys.stderr.write(f"there is no image {', '.join(unknown)}; the images are {', '.join(IMAGES)}\n")
        return 2
    try:
        builder = find(environment.get("BUILDER", ""), shlex.split(environment.get("BUILD_FLAGS", "")))
    except BuilderMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    built, failed = [], False
    for name in wanted:
        try:
            built.append(make(IMAGES[name], environment.get("TAG") or "dev", builder))
        except (ImageUnfit, subprocess.SubprocessError) as error:
            failed = True
            sys.stderr.write(f"{name}: {error}\n")
    Console(width=100).print(table_of(built))
    return int(failed or any(one.too_large for one in built))


def make(image: Image, tag: str, builder: Builder) -> Built:
    """Build an image and try it out; raise ImageUnfit."""
    reference = f"{REGISTRY}/{image.name}:{tag}"
    sys.stdout.write(f"building {reference} with {builder.program}\n")
    sys.stdout.flush()
    arguments = {
        "REVISION": revision_of(REPOSITORY),
        "BUILT_AT": datetime.now(UTC).isoformat(timespec="seconds"),
        "VERSION": tag,
    }
    began = time.monotonic()
    done = subprocess.run(
        builder.build(reference, Path(image.folder, "Dockerfile"), arguments), cwd=REPOSITORY, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise ImageUnfit(f"its build failed with {done.returncode}\n{end_of(done.stdout)}")
    seconds = time.monotonic() - began
    refuse_bad_configuration(builder.configuration(reference), arguments)
    report = try_out(image, reference, builder)
    return Built(image, reference, report["site_packages"], report["whole"], seconds)


def refuse_bad_configuration(configuration: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Raise ImageUnfit where an image does not say what it is, or would run as root or as a name."""
    labels = configuration.get("Labels") or {}
    variables = dict(text.split("=", 1) for text in configuration.get("Env") or [])
    for kind, names, found in (("label", LABELS, labels), ("variable", VARIABLES, variables)):
        for argument, name in names.items():
            if found.get(name) != arguments[argument]:
                raise ImageUnfit(f"its {kind} {name} is {found.get(name)!r}, built with {arguments[argument]!r}")
    if not labels.get("org.opencontainers.image.source"):
        raise ImageUnfit("its label org.opencontainers.image.source is empty")
    user, _, group = str(configuration.get("User")).partition(":")
    if not (user.isdecimal() and group.isdecimal() and int(user)):
        raise ImageUnfit(f"its user is {configuration.get('User')!r}; a pod that must not run as root needs a number")


def try_out(image: Image, reference: str, builder: Builder) -> dict[str, Any]:
    """Run an image's imports and its program and return the probe's report; raise ImageUnfit."""
    folders = {REPOSITORY / folder: place for folder, place in image.folders}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return builder.run(reference, Trial(argv, image.user, dict(image.environment), folders))

    probed = run("python", "-c", _PROBE.read_text(), "/", *(image.modules or modules_of(REPOSITORY / image.folder)))
    if probed.returncode:
        raise ImageUnfit(f"not everything it needs is in it\n{end_of(probed.stdout + probed.stderr)}")
    report: dict[str, Any] = json.loads(probed.stdout.splitlines()[-1])
    if report["writable"] or report["user"] != image.user:
        can = "can write to itself" if report["writable"] else "cannot write to itself"
        raise ImageUnfit(f"it ran as {report['user']}, asked for {image.user}, and {can}")
    ended = run(*image.command)
    said = ended.stdout + ended.stderr
    if ended.returncode != image.exit_code or image.says not in said:
        raise ImageUnfit(
            f"{' '.join(image.command)} ended with {ended.returncode} instead of {image.exit_code}, or without "
            f"saying {image.says!r}\n{end_of(said)}"
        )
    return report


def modules_of(folder: Path) -> list[str]:
    """Return the modules of an image's own folder, as Python imports them."""
    package = ".".join(folder.relative_to(REPOSITORY).parts)
    found = sorted(f"{package}.{file.stem}" for file in folder.glob("*.py"))
    return [name for name in found if name not in _NOT_IMPORTED]


def end_of(text: str) -> str:
    """Return the last lines of an output."""
    return "\n".join(text.strip().splitlines()[-_LINES_SHOWN:])


def table_of(built: Sequence[Built]) -> Table:
    """Return the sizes as a table: MB are 10⁶ bytes of files, site-packages without bytecode."""
    table = Table("image", "site-packages, MB", "allowed", "whole, MB", "built in, s", "")
    for one in built:
        table.add_row(
            one.reference, f"{one.site_packages / _MEGABYTE:.0f}", str(one.image.megabytes or "any"),
            f"{one.whole / _MEGABYTE:.0f}", f"{one.seconds:.0f}", "TOO LARGE" if one.too_large else "runs",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main(os.environ))
