"""The repository as data: conventions nobody would remember are kept by tests that take a second."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from steps.common.step import ORDER

ROOT = Path(__file__).parents[2]
TOP = ("steps", "dags", "local", "serving", "frontend", "tests")

MAY_IMPORT = {
    "steps.common": ("steps.common",),
    **{f"steps.{step}": ("steps.common", f"steps.{step}") for step in ORDER},
    "serving": ("steps.common", "serving"),
    "dags": ("dags",),
    "frontend": ("frontend",),
    "local": ("steps.common", "local"),
}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def part_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "steps" else parts[0]


def imported(path: Path) -> set[str]:
    """Return the modules of ours a file imports, at its top or anywhere else."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.split(".")[0] in TOP}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_go_one_way(part: str) -> None:
    allowed = tuple(f"{name}." for name in MAY_IMPORT[part])
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in tracked("*.py")
        if part_of(path) == part
        for name in imported(path)
        if not f"{name}.".startswith(allowed)
    }
    assert wrong == set()


def test_every_group_of_an_image_has_its_locked_requirements() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    images = {*ORDER, "serving", "frontend", "airflow", "registry", "local", "dev"}
    assert images <= groups.keys()
    assert {path.stem for path in tracked("requirements/*.txt")} >= images


def versions(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+(?:\[[a-z,]+\])?)==([^ ;\\]+)", path.read_text(), re.MULTILINE))


def test_one_version_of_a_package_in_all_images() -> None:
    everything = versions(ROOT / "requirements/dev.txt")
    for path in tracked("requirements/*.txt"):
        if path.stem not in {"dev", "uv"}:
            assert versions(path).items() <= everything.items(), path.name


def test_requirements_name_hashes_and_no_addresses() -> None:
    for path in tracked("requirements/*.txt"):
        text = path.read_text()
        assert "://" not in text, path.name
        assert text.count("--hash=sha256:") >= len(versions(path)), path.name


def test_no_name_that_says_nothing() -> None:
    nothing = re.compile(r"(^|/)(utils?|helpers?|misc|lib|base|manager)(\.py$|/)")
    assert [str(path) for path in tracked() if nothing.search(str(path.relative_to(ROOT)))] == []


def test_files_and_functions_stay_readable() -> None:
    long = []
    for path in tracked("*.py"):
        lines = path.read_text().splitlines()
        if len(lines) > 300:
            long.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
        if path.relative_to(ROOT).parts[0] == "tests" or "migrations" in path.parts:
            continue
        long += [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            for node in ast.walk(ast.parse("\n".join(lines)))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (node.end_lineno or node.lineno) - node.lineno + 1 > 40
        ]
    assert long == []


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path in tracked("*.py") if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_moving_tags_swallowed_errors_or_work_left() -> None:
    forbidden = re.compile(
        r"except[^:\n]*:\s*pass\b|\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b|[\w}]:lat" + r"est\b|NotImplemented" + r"Error"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked("*.py", "*.yaml", "*.yml", "*Dockerfile", "Makefile")
        for match in forbidden.finditer(path.read_text())
    ]
    assert found == []


def test_each_step_states_its_commit_boundaries() -> None:
    for step in ORDER:
        text = (ROOT / "steps" / step / "__main__.py").read_text()
        stated = re.search(r"Commit boundaries: ([a-z_, \n]+)\.", ast.get_docstring(ast.parse(text)) or "")
        assert stated, f"steps/{step}/__main__.py"


def test_every_target_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named <= targets
