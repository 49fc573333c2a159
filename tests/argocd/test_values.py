"""Every value has its reason, and every image of ours is named in a way that its workflow can pin."""

import json
import os
import re
import subprocess
import sys
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


# The options of Airflow's two commands, read as Airflow reads them: by argparse. The real ones need its database.
AIRFLOW = """#!{python}
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("group", choices=["users"])
commands = parser.add_subparsers(dest="command", required=True)
for name, options in {{
    "create": ("username", "password", "email", "firstname", "lastname", "role"),
    "reset-password": ("username", "password", "email"),
}}.items():
    command = commands.add_parser(name)
    for option in options:
        command.add_argument("--" + option)
with open(os.environ["TOLD"], "a") as told:
    print(json.dumps(vars(parser.parse_args())), file=told)
"""


@pytest.mark.parametrize("password", ["plain", "-begins-with-a-dash", "--help", "has 'quotes' and $(spaces)"])
def test_airflows_user_is_made_whatever_its_password_begins_with(password: str, tmp_path: Path) -> None:
    program, told = tmp_path / "airflow", tmp_path / "told"
    program.write_text(AIRFLOW.format(python=sys.executable))
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "TOLD": str(told)}
    done = subprocess.run(
        values("airflow")["createUserJob"]["args"],
        env={**environment, "ADMIN_USERNAME": "operator", "ADMIN_PASSWORD": password},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    created, reset = map(json.loads, told.read_text().splitlines())
    assert (created["command"], created["role"]) == ("create", "Admin")
    assert reset["command"] == "reset-password"
    assert {(one["username"], one["password"]) for one in (created, reset)} == {("operator", password)}
