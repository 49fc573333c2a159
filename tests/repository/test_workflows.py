"""The workflows as data: a caller for each image and all of them alike, nothing that a stranger's change could use."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.common.step import ORDER

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
FOLDERS = {**{step: f"steps/{step}" for step in ORDER}, "serving": "serving", "frontend": "frontend", "airflow": "dags"}
FOLDERS["registry"] = "registry"
BUILD = ".github/workflows/_build-image.yml"
MAIN = "github.ref == 'refs/heads/main'"
ALL = sorted(path.name for path in WORKFLOWS.iterdir())


def read(name: str) -> dict[str, Any]:
    # Nothing but strings: YAML 1.1 takes the key `on` for a truth value.
    found: dict[str, Any] = yaml.load((WORKFLOWS / name).read_text(), Loader=yaml.BaseLoader)  # noqa: S506
    return found


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(name)["jobs"]
    return found


def steps(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each step with its job."""
    for job in jobs(name).values():
        yield from ((job, step) for step in job.get("steps", []))


def test_a_caller_for_each_image_and_nothing_else() -> None:
    assert set(ALL) == {"_build-image.yml", "ci.yml", *(f"{image}.yml" for image in FOLDERS)}


def test_callers_differ_in_names_and_paths_alone() -> None:
    own = re.compile(r'^(      - ".*"|      (image|dockerfile|tests): .*)\n', re.MULTILINE)
    texts = {own.sub("", (WORKFLOWS / f"{image}.yml").read_text()).replace(image, "NAME") for image in FOLDERS}
    assert len(texts) == 1


@pytest.mark.parametrize("image", FOLDERS)
def test_a_caller_asks_for_its_own_image_when_what_is_in_it_changes(image: str) -> None:
    caller = read(f"{image}.yml")
    given = caller["jobs"]["image"]["with"]
    assert (caller["name"], given["image"], given["dockerfile"]) == (image, image, f"{FOLDERS[image]}/Dockerfile")
    expected = {f"{FOLDERS[image]}/**", f"requirements/{image}.txt", BUILD, f".github/workflows/{image}.yml"}
    if image in {*ORDER, "serving"}:
        expected.add("steps/common/**")
    paths = caller["on"]["push"]["paths"]
    assert {path for path in paths if not path.startswith("!")} == expected
    assert caller["on"]["pull_request"]["paths"] == paths
    assert caller["on"]["push"]["branches"] == ["main"]
    assert [path for path in given["tests"].split() if not (ROOT / path).exists()] == []


@pytest.mark.skipif(not (ROOT / "registry").exists(), reason="the Dockerfiles are not in this tree")
@pytest.mark.parametrize("image", FOLDERS)
def test_filters_and_dockerfiles_name_what_is_there(image: str) -> None:
    paths = [path.removeprefix("!").removesuffix("/**") for path in read(f"{image}.yml")["on"]["push"]["paths"]]
    dockerfile = read(f"{image}.yml")["jobs"]["image"]["with"]["dockerfile"]
    assert [path for path in (*paths, dockerfile) if not (ROOT / path).exists()] == []
    # What the workflow resolves to a digest: one argument, which names a tag.
    bases = re.findall(r"^ARG [A-Z]+_IMAGE=\S+:\S+$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    assert len(bases) == 1


@pytest.mark.skipif(not (ROOT / "helm-values").exists(), reason="the charts' values are not in this tree")
@pytest.mark.parametrize("image", FOLDERS)
def test_a_digest_has_a_place_to_be_written_to(image: str) -> None:
    rewritten = runpy.run_path(str(ROOT / ".github" / "write_digest.py"))["rewritten"]
    reference = f"docker.io/appraiser/{image}@sha256:{'0' * 64}"
    files = ["dags/images.yaml", *(str(path.relative_to(ROOT)) for path in (ROOT / "helm-values").glob("*.yaml"))]
    assert [path for path in files if rewritten(path, (ROOT / path).read_text(), reference) is not None]


@pytest.mark.parametrize("name", ALL)
def test_every_action_is_pinned_to_the_commit_of_a_release(name: str) -> None:
    used = re.findall(r"^ +(?:- )?uses: (.*)$", (WORKFLOWS / name).read_text(), re.MULTILINE)
    pinned = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [use for use in used if use != f"./{BUILD}" and not pinned.fullmatch(use)] == []


def test_an_action_is_used_in_one_version() -> None:
    used = re.findall(r"uses: ([\w.-]+/[\w.-]+)@(.*)", "".join((WORKFLOWS / name).read_text() for name in ALL))
    assert len(set(used)) == len({action for action, _ in used})


@pytest.mark.parametrize("name", ALL)
def test_rights_are_none_until_a_job_asks_for_its_own(name: str) -> None:
    assert read(name)["permissions"] == {}
    assert [job for job, asked in jobs(name).items() if not isinstance(asked.get("permissions"), dict)] == []
    assert "write-all" not in (WORKFLOWS / name).read_text()


@pytest.mark.parametrize("name", ALL)
def test_no_strangers_change_runs_with_our_rights(name: str) -> None:
    triggers = set(read(name)["on"])
    assert triggers <= {"pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}
    assert [job for job, asked in jobs(name).items() if asked.get("secrets") == "inherit"] == []


@pytest.mark.parametrize("name", ["_build-image.yml", "ci.yml"])
def test_secrets_and_rights_to_write_are_for_main_alone(name: str) -> None:
    for asked in jobs(name).values():
        rights = set(asked["permissions"].values())
        assert rights == {"read"} or MAIN in asked["if"]
    for job, step in steps(name):
        assert "secrets." not in str(step) or MAIN in step.get("if", job.get("if", ""))


@pytest.mark.parametrize("name", ALL)
def test_no_expression_becomes_a_part_of_a_script(name: str) -> None:
    assert [step["run"] for _, step in steps(name) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("name", ALL)
def test_a_checkout_keeps_its_token_only_where_it_pushes(name: str) -> None:
    for job, step in steps(name):
        if step.get("uses", "").startswith("actions/checkout@"):
            pushes = job["permissions"].get("contents") == "write"
            assert step["with"]["persist-credentials"] == str(pushes).lower()


@pytest.mark.parametrize("name", ALL)
def test_every_job_ends_some_time(name: str) -> None:
    assert [job for job, asked in jobs(name).items() if "uses" not in asked and "timeout-minutes" not in asked] == []


def test_workflows_run_commands_of_the_makefile() -> None:
    run = "\n".join(step.get("run", "") for name in ALL for _, step in steps(name))
    makefile = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", run)) <= known
