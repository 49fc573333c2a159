"""The copy of the champion on disk: it serves where nobody answers, unless it is damaged, and may be missing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.champion import Champions, Outcome
from steps.common.bundle import FOLDER
from tests.serving.looking import looking, nowhere
from tests.serving.running import MARKET, register
from tests.steps.deployment import Deployment, change_a_byte


def test_the_copy_on_disk_serves_while_nobody_answers(deployment: Deployment, champions: Champions) -> None:
    version, model = register(deployment, "run 0")
    deployment.set_alias(version)
    champions.look()
    away = looking(deployment, f"http://{nowhere()}", f"postgresql+psycopg://serving:x@{nowhere()}/ledger")
    away.start_from_disk()
    look = away.look()
    assert look.outcome is Outcome.UNREACHABLE
    assert "APPRAISER_MLFLOW_URL" in look.reason
    assert away.current is not None
    assert (away.current.version, away.current.loaded_from) == (version, "disk")
    assert away.current.bundle.prices(MARKET).tolist() == model.prices(MARKET).tolist()
    away.close()
    back = looking(deployment)
    back.start_from_disk()
    assert back.look().outcome is Outcome.SWAPPED
    assert back.current is not None
    assert back.current.loaded_from == "registry"
    back.close()


def test_with_the_ledger_down_nothing_new_is_believed(deployment: Deployment, champions: Champions) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    away = looking(deployment, ledger_url=f"postgresql+psycopg://serving:x@{nowhere()}/ledger")
    look = away.look()
    assert (look.outcome, away.current) == (Outcome.UNREACHABLE, None)
    away.close()
    assert champions.look().outcome is Outcome.SWAPPED


def test_a_folder_that_takes_no_copy_is_not_said_to_be_mlflow(deployment: Deployment, champions: Champions) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    in_the_way = deployment.folder / "models" / str(version)
    in_the_way.write_text("")
    look = champions.look()
    assert (look.outcome, champions.current) == (Outcome.UNSTORED, None)
    assert look.reason.startswith(f"APPRAISER_STATE_FOLDER at {deployment.folder}: ")
    in_the_way.unlink()
    assert champions.look().outcome is Outcome.SWAPPED


def test_a_version_that_cannot_be_noted_is_served_all_the_same(deployment: Deployment, champions: Champions) -> None:
    one, _ = register(deployment, "run 0")
    two, _ = register(deployment, "run 1", 1, 25)
    deployment.set_alias(one)
    champions.look()
    in_the_way = deployment.folder / "models" / ".champion.json"
    in_the_way.mkdir()
    deployment.set_alias(two)
    assert champions.look().outcome is Outcome.SWAPPED
    assert started_anew(deployment) == one
    in_the_way.rmdir()
    assert champions.look().outcome is Outcome.UNCHANGED
    assert started_anew(deployment) == two
    assert not (deployment.folder / "models" / str(one)).exists()


def started_anew(deployment: Deployment) -> int | None:
    """Return the version that a service serves which starts while nobody answers."""
    away = looking(deployment, f"http://{nowhere()}")
    away.start_from_disk()
    found = away.current.version if away.current else None
    away.close()
    return found


def damaged_model(models: Path) -> None:
    change_a_byte(models / "1" / FOLDER / "model.ubj")


def damaged_memory(models: Path) -> None:
    (models / "champion.json").write_text('{"version": 1}')


def cut_memory(models: Path) -> None:
    (models / "champion.json").write_text('{"version"')


def missing_model(models: Path) -> None:
    shutil.rmtree(models / "1")


@pytest.mark.parametrize("damage", [damaged_model, damaged_memory, cut_memory, missing_model])
def test_a_damaged_copy_is_not_served_and_is_fetched_again(
    deployment: Deployment, champions: Champions, damage: Callable[[Path], None]
) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    champions.look()
    damage(deployment.folder / "models")
    again = looking(deployment)
    again.start_from_disk()
    assert again.current is None
    assert again.look().outcome is Outcome.SWAPPED
    again.close()
