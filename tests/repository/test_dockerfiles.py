"""The eleven Dockerfiles: alike where they have to be, and none of them holds more than its image needs."""

import re
import tomllib
from pathlib import Path

import pytest

from local.container_images import IMAGES
from local.image_builders import LABELS, VARIABLES
from steps.common.step import ORDER
from tests.repository.test_conventions import ROOT, tracked

# Code of ours that an image is made of, as it is named in the repository.
CODE = {
    **{step: {"steps/common", f"steps/{step}"} for step in ORDER},
    "serving": {"steps/common", "serving"},
    "frontend": {"frontend"},
    "airflow": set(),
    "registry": set(),
}
BASES = {
    "PYTHON_IMAGE": "docker.io/library/python:3.13-slim",
    "AIRFLOW_IMAGE": "docker.io/apache/airflow:3.3.2-python3.13",
}


def dockerfile(name: str) -> Path:
    return ROOT / IMAGES[name].folder / "Dockerfile"


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return each instruction of a Dockerfile with its words, without comments and line breaks."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name.upper(), words) for name, words in lines]


def words_of(path: Path, instruction: str) -> list[str]:
    return [words for name, words in instructions(path) if name == instruction]


def test_every_image_has_a_dockerfile_and_every_dockerfile_an_image() -> None:
    stand_ins = ROOT / "tests"
    found = {path for path in tracked("*Dockerfile") if not path.is_relative_to(stand_ins)}
    assert found == {dockerfile(name) for name in IMAGES}
    assert IMAGES.keys() == CODE.keys()


def test_dockerfiles_of_steps_differ_in_the_name_only() -> None:
    texts = {dockerfile(step).read_text().replace(step, "<step>") for step in ORDER}
    assert len(texts) == 1


@pytest.mark.parametrize("name", CODE)
def test_an_image_holds_common_and_its_own_folder_and_requirements_only(name: str) -> None:
    copied = [words.split() for words in words_of(dockerfile(name), "COPY")]
    from_context = {source for words in copied if not words[0].startswith("--") for source in words[:-1]}
    environment = {"requirements/uv.txt", f"requirements/{name}.txt"} if name != "airflow" else set()
    assert from_context == CODE[name] | environment
    assert words_of(dockerfile(name), "ADD") == []


@pytest.mark.parametrize("name", CODE)
def test_bases_are_arguments_whose_default_names_a_version(name: str) -> None:
    bases = words_of(dockerfile(name), "FROM")
    [argument, default] = words_of(dockerfile(name), "ARG")[0].split("=")
    assert default == BASES[argument]
    assert {base.split()[0] for base in bases} == {f"${{{argument}}}"}


def test_the_base_of_airflow_is_the_airflow_and_the_python_we_lock() -> None:
    airflow, python = re.fullmatch(r".*:(.+)-python(.+)", BASES["AIRFLOW_IMAGE"]).groups()  # type: ignore[union-attr]
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["airflow"]
    assert f"apache-airflow=={airflow}" in group
    assert python == (ROOT / ".python-version").read_text().strip() == re.search(r":(3\.\d+)", BASES["PYTHON_IMAGE"])[1]  # type: ignore[index]


@pytest.mark.parametrize("name", CODE)
def test_what_is_installed_has_hashes_and_is_not_built(name: str) -> None:
    installs = [
        part
        for words in words_of(dockerfile(name), "RUN")
        for part in words.split("&&")
        if "install" in part or "sync" in part
    ]
    assert installs
    for part in installs:
        assert "--require-hashes --only-binary :all:" in part


@pytest.mark.parametrize("name", CODE)
def test_an_image_says_where_it_comes_from_and_runs_as_a_number(name: str) -> None:
    path = dockerfile(name)
    stated = " ".join([*words_of(path, "LABEL"), *words_of(path, "ENV")])
    for argument, key in [*LABELS.items(), *VARIABLES.items()]:
        assert f"{key}=${{{argument}}}" in stated
    assert "org.opencontainers.image.source=https://github.com/appraiser/appraiser" in stated
    assert words_of(path, "USER")[-1] == ("50000:0" if name == "airflow" else "10001:10001")


@pytest.mark.parametrize("name", [name for name, code in CODE.items() if code])
def test_an_image_starts_what_it_is_tried_out_with(name: str) -> None:
    [entry] = words_of(dockerfile(name), "ENTRYPOINT")
    assert entry == str(list(IMAGES[name].command[:3])).replace("'", '"')


def test_a_builder_is_sent_only_what_images_are_made_of() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    admitted = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert admitted == {"requirements", *(source.split("/")[0] for code in CODE.values() for source in code)}
