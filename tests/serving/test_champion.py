"""Which model is served: what the alias names once it is proven right, else the one before, else the copy on disk."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from serving.champion import Champions, Outcome
from steps.common import bundle, registry
from tests.serving.running import MARKET, card, register, write_model
from tests.steps.deployment import Deployment, change_a_byte

FOLDER = bundle.FOLDER


def test_no_alias_is_no_model(champions: Champions) -> None:
    look = champions.look()
    assert (look.outcome, champions.current) == (Outcome.NO_ALIAS, None)
    assert look.reason == "no version of house-price is in production yet"


def test_the_alias_is_followed(deployment: Deployment, champions: Champions) -> None:
    one, first = register(deployment, "run 0", 0, 20)
    two, second = register(deployment, "run 1", 1, 25)
    for version, model in ((one, first), (two, second), (one, first)):
        deployment.set_alias(version)
        assert champions.look().outcome is Outcome.SWAPPED
        assert champions.current is not None
        assert champions.current.version == version
        assert champions.current.bundle.prices(MARKET).tolist() == model.prices(MARKET).tolist()
        assert champions.look().outcome is Outcome.UNCHANGED
    assert [path.name for path in (deployment.folder / "models").iterdir() if path.is_dir()] == [str(one)]


def test_an_alias_that_is_gone_changes_nothing(deployment: Deployment, champions: Champions) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    champions.look()
    deployment.tracking.delete_registered_model_alias(registry.MODEL, registry.PRODUCTION)
    look = champions.look()
    assert (look.outcome, look.trouble) == (
        Outcome.NO_ALIAS, f"the alias Production is gone; version {version} goes on serving until it names another",
    )  # fmt: skip
    assert champions.current is not None


def changed_byte(stored: Path) -> None:
    change_a_byte(stored / FOLDER / "model.ubj")


def missing_file(stored: Path) -> None:
    (stored / FOLDER / "encodings.json").unlink()


def whole_folder_gone(stored: Path) -> None:
    shutil.rmtree(stored)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (changed_byte, "model.ubj is not the file the ledger knows"),
        (missing_file, "encodings.json is not in the artifact store, though the ledger knows it"),
        (whole_folder_gone, "is not in the artifact store, though the ledger knows it"),
    ],
)
def test_a_store_that_has_other_files_is_not_believed(
    deployment: Deployment, champions: Champions, spoil: Callable[[Path], None], sentence: str
) -> None:
    one, _ = register(deployment, "run 0", 0, 20)
    two, _ = register(deployment, "run 1", 1, 25)
    deployment.set_alias(one)
    champions.look()
    spoil(deployment.stored(two, ""))
    deployment.set_alias(two)
    check_refused(champions, one, sentence)


def check_refused(champions: Champions, before: int, sentence: str) -> None:
    look = champions.look()
    assert look.outcome is Outcome.REFUSED
    assert f"version {before} goes on serving" in look.reason
    assert sentence in look.reason
    assert champions.current is not None
    assert champions.current.version == before


def other_features(folder: Path) -> None:
    path = folder / FOLDER / "features.json"
    listed = json.loads(path.read_text())
    listed[0]["name"] = "price_per_sqft"
    path.write_text(json.dumps(listed))


def other_encodings(folder: Path) -> None:
    path = folder / FOLDER / "encodings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "features_v0"}))


def golden_off(folder: Path) -> None:
    path = folder / FOLDER / "golden.json"
    golden = json.loads(path.read_text())
    golden[2]["price"] = round(golden[2]["price"] + 0.01, 2)
    path.write_text(json.dumps(golden))


def no_model(folder: Path) -> None:
    (folder / FOLDER / "model.ubj").write_bytes(b"not a model")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (other_features, "the model takes price_per_sqft"),
        (other_encodings, "encodings of 'features_v0'"),
        (golden_off, "1 of 5 golden prices differ"),
        (no_model, "XGBoostError"),
    ],
)
def test_a_version_that_was_registered_wrong_is_refused(
    deployment: Deployment, champions: Champions, spoil: Callable[[Path], None], sentence: str
) -> None:
    one, _ = register(deployment, "run 0")
    folder = deployment.folder / "wrong"
    write_model(folder, 25)
    spoil(folder)
    two = deployment.version(deployment.claim("run 1", 1, done="tune"), folder, card(25))
    deployment.set_alias(one)
    champions.look()
    deployment.set_alias(two)
    check_refused(champions, one, sentence)


class Bomb:
    """What a pickle can do to whoever opens it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.target,)


def test_nothing_in_a_model_directory_is_executed(deployment: Deployment, champions: Champions) -> None:
    folder, proof = deployment.folder / "trapped", deployment.folder / "boom"
    write_model(folder, 20)
    trap = pickle.dumps(Bomb(proof))
    pickle.loads(trap)  # noqa: S301  # it goes off where it is opened
    proof.unlink()
    code = f"from pathlib import Path\nPath({str(proof)!r}).touch()\n"
    for name in ("python_model.pkl", "artifacts/bundle/extra.pkl"):
        (folder / name).write_bytes(trap)
    for name in ("code/steps/common/bundle.py", "pyfunc_model.py", "sitecustomize.py", "conftest.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
    version = deployment.version(deployment.claim("r", done="tune"), folder, card(20))
    deployment.set_alias(version)
    assert champions.look().outcome is Outcome.SWAPPED
    assert not proof.exists()


def test_a_file_that_is_in_no_manifest_is_refused(deployment: Deployment, champions: Champions) -> None:
    version, _ = register(deployment, "run 0")
    deployment.set_alias(version)
    planted = deployment.folder / "models" / str(version) / FOLDER / "more.pkl"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"x")
    look = champions.look()
    assert (look.outcome, champions.current) == (Outcome.REFUSED, None)
    assert "more.pkl is in no manifest" in look.reason


def test_a_version_the_ledger_does_not_know_is_refused(deployment: Deployment, champions: Champions) -> None:
    register(deployment, "run 0")
    run = deployment.tracking.get_model_version(registry.MODEL, "1").run_id
    deployment.tracking.create_model_version(registry.MODEL, f"runs:/{run}/model", run)
    deployment.set_alias(2)
    look = champions.look()
    assert look.outcome is Outcome.REFUSED
    assert "the ledger has no files of version 2" in look.reason


def test_a_refused_version_is_said_once_left_alone_and_taken_once_repaired(
    deployment: Deployment, champions: Champions
) -> None:
    version, _ = register(deployment, "run 0")
    path = deployment.stored(version, f"{FOLDER}/card.json")
    content = path.read_bytes()
    change_a_byte(path)
    deployment.set_alias(version)
    champions._poll_seconds = 1000.0
    # Not what is printed: whichever test ran a step in this process before has sent its events elsewhere.
    with capture_logs() as events:
        first = champions.look()
        for _ in range(4):
            assert champions.look().outcome is Outcome.REFUSED
    assert champions.outcomes[Outcome.REFUSED] == 5
    assert [event["event"] for event in events].count("champion_refused") == 1
    path.write_bytes(content)
    look = champions.look()
    assert (look.outcome, champions.newest) == (Outcome.REFUSED, look)
    assert first.at < look.at
    assert champions.look(patient=False).outcome is Outcome.SWAPPED
