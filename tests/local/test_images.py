"""What stands for a step's image: its own code, compiled, in an environment with only its own requirements."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.airflow import image_of
from local.images import ImageMissing, build
from steps.common.step import ORDER
from tests.servers import ROOT


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the map of the images of this repository, built once."""
    found: dict[str, Any] = json.loads(build(ROOT, tmp_path_factory.mktemp("images")).read_text())
    return found


def run_in(image: dict[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python as the image would: its interpreter, its folder, no variable of ours."""
    environment = {"PYTHONPATH": image["root"], "LANG": "C.UTF-8"} | image["env"]
    return subprocess.run(
        [image["python"], *words], env=environment, cwd=image["root"], capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip


def little_repository(folder: Path) -> Path:
    """Make a repository with a file of code a step, and this one's environments."""
    for part in ("common", *ORDER):
        (folder / "steps" / part).mkdir(parents=True)
        (folder / "steps" / part / "__main__.py").write_text(f"print('{part}')\n")
    (folder / "requirements").mkdir()
    for step in ORDER:
        (folder / "requirements" / f"{step}.txt").write_text("")
    (folder / ".envs").symlink_to(ROOT / ".envs")
    return folder


@pytest.mark.parametrize("step", ORDER)
def test_an_image_holds_common_and_its_own_step_compiled(images: dict[str, Any], step: str) -> None:
    root = Path(images[image_of(step)]["root"])
    assert {path.name for path in root.iterdir()} == {"steps"}
    assert {path.name for path in (root / "steps").iterdir()} == {"common", step}
    sources, compiled = list(root.rglob("*.py")), list(root.rglob("*.pyc"))
    assert sources
    assert len(compiled) == len(sources)


@pytest.mark.parametrize("step", ORDER)
def test_every_module_of_a_step_imports_with_its_own_requirements_only(images: dict[str, Any], step: str) -> None:
    image = images[image_of(step)]
    folder = Path(image["root"]) / "steps" / step
    modules = sorted(f"steps.{step}.{file.stem}" for file in folder.glob("*.py") if file.stem != "__main__")
    started = run_in(image, "-m", f"steps.{step}", "--help")
    assert started.returncode == 0, started.stderr
    imported = run_in(image, "-c", f"import importlib; [importlib.import_module(name) for name in {modules}]")
    assert imported.returncode == 0, imported.stderr


@pytest.mark.parametrize(
    ("step", "module"),
    [("fetch", "shap"), ("fetch", "mlflow"), ("clean", "xgboost"), ("promote", "sklearn"), ("tune", "steps.train")],
)
def test_what_is_not_an_images_own_is_not_in_it(images: dict[str, Any], step: str, module: str) -> None:
    ended = run_in(images[image_of(step)], "-c", f"import {module}")
    assert ended.returncode == 1
    assert f"No module named '{module}'" in ended.stderr


def test_an_image_knows_where_it_comes_from(images: dict[str, Any]) -> None:
    digests = set()
    for step in ORDER:
        variables = images[image_of(step)]["env"]
        assert set(variables) == {"APPRAISER_GIT_SHA", "APPRAISER_IMAGE_DIGEST", "APPRAISER_BUILT_AT"}
        digests.add(variables["APPRAISER_IMAGE_DIGEST"])
    assert len(digests) == len(ORDER)


def test_only_what_has_changed_is_built_again(tmp_path: Path) -> None:
    repository = little_repository(tmp_path / "repository")
    before = json.loads(build(repository, tmp_path / "images").read_text())
    assert json.loads(build(repository, tmp_path / "images").read_text()) == before

    (repository / "steps" / "tune" / "__main__.py").write_text("print('tune, better')\n")
    after = json.loads(build(repository, tmp_path / "images").read_text())
    assert [name for name in after if after[name] != before[name]] == [image_of("tune")]
    assert run_in(after[image_of("tune")], "-m", "steps.tune").stdout == "tune, better\n"
    assert not Path(before[image_of("tune")]["root"]).exists()


def test_outside_git_the_revision_is_unknown(tmp_path: Path) -> None:
    images = json.loads(build(little_repository(tmp_path / "repository"), tmp_path / "images").read_text())
    assert images[image_of("fetch")]["env"]["APPRAISER_GIT_SHA"] == "unknown"


def test_a_step_without_an_environment_is_a_sentence(tmp_path: Path) -> None:
    repository = little_repository(tmp_path / "repository")
    (repository / ".envs").unlink()
    with pytest.raises(ImageMissing, match=r"the image of fetch needs .*/\.envs/fetch/bin/python, which is not there"):
        build(repository, tmp_path / "images")
