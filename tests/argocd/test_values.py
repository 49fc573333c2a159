"""Every value has its reason, and every image of ours is named in a way that its workflow can pin."""

import re
from pathlib import Path

import pytest

from tests.argocd.deployment import APPLICATIONS, ARGOCD, VALUES, keys_without_a_sentence, leaves, values

FILES = [*sorted(VALUES.glob("*.yaml")), ARGOCD / "chart" / "values.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_value_has_a_sentence_above_it(path: Path) -> None:
    assert keys_without_a_sentence(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("# why\na: 1\nb: 2\n", ["b"]),
        ("a:\n  # why\n  b: 1\n", []),
        ("a:\n  b: 1\n", ["b"]),
        ("a:\n  - b: 1\n", ["a"]),
        ("# why\na:\n  - b: 1\n    c: 2\nd: 3\n", ["d"]),
        ("# why\na: |\n  b: 1\n", []),
        ("# why\nresources:\n  requests: {cpu: 1}\n", []),
    ],
)
def test_a_value_without_one_is_found(text: str, missing: list[str]) -> None:
    assert keys_without_a_sentence(text) == missing


@pytest.mark.parametrize("name", APPLICATIONS)
def test_images_of_ours_come_from_dockerhub_with_a_place_for_the_digest(name: str) -> None:
    found = values(name)
    image = found.get("images", {}).get("airflow") or found.get("image", {})
    repositories = {value for path, value in leaves(found) if path[-1] == "repository" and "appraiser/" in str(value)}
    if not repositories:
        return
    assert repositories == {image["repository"]}
    assert re.fullmatch(r"docker\.io/appraiser/[a-z]+", image["repository"])
    assert re.fullmatch(r"(sha256:[0-9a-f]{64})?", image["digest"])


def test_mlflow_migrates_with_the_image_it_runs() -> None:
    found = values("mlflow")
    tag, digest = found["image"]["tag"], found["image"]["digest"]
    assert found["initImages"]["mlflowDbMigration"]["tag"] == (f"{tag}@{digest}" if digest else tag)
