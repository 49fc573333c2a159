"""The step train as a process, on a real PostgreSQL and a real MLflow: one version of a run, whatever happens."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from steps.common import bundle, registry
from steps.common.bundle import Bundle
from steps.common.registry import MODEL
from steps.common.step import DONE, FAILED
from steps.common.store import clean, models
from steps.common.store.ledger import Claim
from steps.common.tracking import experiment, pipeline_run
from steps.train import __main__ as program
from steps.train import train as fitting
from tests.servers import ROOT
from tests.steps.common.listings import HOUSE, house
from tests.steps.deployment import SOURCE, Deployment
from tests.steps.train.test_train import TUNED
from tests.steps.training_data import cleaned, completion, spoil_test_part

_stated = re.search(r"Commit boundaries: ([a-z_, \n]+)\.", program.__doc__ or "")
assert _stated
BOUNDARIES = [name.strip() for name in _stated[1].split(",")]


def tuned(deployment: Deployment, run_id: str = "r", **data: Any) -> Claim:
    """Return the claim of a run whose sweep is done."""
    claim = cleaned(deployment, run_id, **data)
    deployment.complete(claim, "tune", summary=TUNED)
    return claim


def train(deployment: Deployment, run_id: str = "r", **named: Any) -> str:
    """Run the step, without the sweep's database as in its pod; it must end well, or be killed where wanted."""
    done = deployment.run("train", "--run-id", run_id, APPRAISER_OPTUNA_URL="", **named)
    assert done.returncode == (-signal.SIGKILL if named else DONE), done.stdout + done.stderr
    return done.stdout


def check_everything(deployment: Deployment, claim: Claim) -> Bundle:
    """Check the one version of a run whose sweep was made up; return its bundle."""
    read = check_version(deployment, claim)
    (registered,) = deployment.tracking.search_model_versions(f"name = '{MODEL}'")
    run = deployment.tracking.get_run(registered.run_id)
    assert read.booster.num_boosted_rounds() == read.card["trees"] == 30
    assert run.data.params["depth"] == "5"
    assert run.data.metrics["cv_rmse"] == TUNED["cv_rmse"]
    return read


def check_version(deployment: Deployment, claim: Claim) -> Bundle:
    """Check the one version of run `r` in registry, ledger and store; return its bundle."""
    (registered,) = deployment.tracking.search_model_versions(f"name = '{MODEL}'")
    (recorded,) = deployment.rows("model_versions")
    version = int(registered.version)
    assert (recorded["version"], recorded["claim_id"]) == (version, claim.claim_id)
    assert registered.run_id == recorded["mlflow_run_id"]
    done = completion(deployment, claim, "train")
    assert done is not None
    assert done.summary["version"] == version
    folder = registry.fetch_version(deployment.tracking, deployment.ledger, version, deployment.folder / "fetched")
    manifest = {row["path"]: row["sha256"] for row in deployment.rows("model_files")}
    bundle.verify(folder, manifest)
    stored = deployment.stored(version, "")
    assert {path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file()} == set(manifest)
    assert {f"{bundle.FOLDER}/{name}" for name in bundle.FILES} < set(manifest)
    read = bundle.load(folder / bundle.FOLDER)
    read.check_golden()
    assert read.card == recorded["card"]
    assert (read.card["run_id"], read.card["fingerprint"]) == ("r", recorded["fingerprint"])
    run = deployment.tracking.get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == pipeline_run(deployment.tracking, claim)
    return read


def logged_models(deployment: Deployment) -> list[str]:
    """Return the state of every model MLflow has files of."""
    found = deployment.tracking.search_logged_models([experiment(deployment.tracking)])
    return sorted(model.status.name for model in found)


def test_a_version_from_end_to_end_again_and_in_somebody_elses_notebook(deployment: Deployment) -> None:
    claim = tuned(deployment, rows=400)
    out = train(deployment)
    read = check_everything(deployment, claim)
    assert re.search(r"files +18 with [\d,]+ bytes", out)
    before = (completion(deployment, claim, "train"), deployment.rows("model_files"))
    assert "this step was done before" in train(deployment)
    assert (completion(deployment, claim, "train"), deployment.rows("model_files")) == before
    check_everything(deployment, claim)
    assert logged_models(deployment) == ["READY"]
    _check_elsewhere(deployment, read)


def _check_elsewhere(deployment: Deployment, read: Bundle) -> None:
    """Load the version in an interpreter that knows nothing of the repository, and price raw listings with it."""
    deployment.set_alias(1)
    raw = [
        {**HOUSE, "zip_code": 1007.0, "brokered_by": 12.0, "street": 77.0, "price": 1.0, "bed": 3.0},
        {**HOUSE, "zip_code": "01007", "state": "state 0", "city": "city 0", "prev_sold_date": None},
        {**HOUSE, "acre_lot": None, "city": None, "brokered_by": None, "street": None},
        {**HOUSE, "bed": 444},
        {**HOUSE, "acre_lot": " ", "city": "\t", "brokered_by": "", "street": "NaN"},
    ]
    listings = deployment.folder / "raw.json"
    listings.write_text(json.dumps(raw))
    script = Path(__file__).with_name("elsewhere.py").read_text()
    (deployment.folder / "notebook.py").write_text(script)
    done = subprocess.run(
        [str(ROOT / ".envs/train/bin/python"), "notebook.py", deployment.mlflow.url, str(listings)],
        cwd=deployment.folder, env={"PATH": "", "HOME": str(deployment.folder)}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    known = [house(**{name: value for name, value in row.items() if name != "price"}) for row in raw[:3]]
    assert answer["price"][:3] == read.prices(known).tolist()
    assert answer["price"][3] != answer["price"][3], "what is no listing has no price"
    assert answer["price"][4] == answer["price"][2], "a blank text is a gap as None is"
    assert answer["refused"] == ["", "", "", "bed: Input should be less than or equal to 50", ""]
    assert str(ROOT) not in answer["code"]


def test_the_test_part_is_not_read(deployment: Deployment) -> None:
    claim = tuned(deployment, rows=400)
    with deployment.clean.connect() as connection:
        rows = clean.read(connection, SOURCE, [0], range(20, 100))
    assert spoil_test_part(deployment) > 50
    train(deployment)
    read = check_everything(deployment, claim)
    wanted = fitting.fit(rows, TUNED["parameters"], 30, 1)  # type: ignore[arg-type]
    assert read.booster.save_raw("ubj") == wanted.booster.save_raw("ubj")
    assert read.encodings == wanted.encodings
    assert read.card["rows"] == len(rows)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at_a_commit_boundary_and_run_again(deployment: Deployment, boundary: str) -> None:
    claim = tuned(deployment, rows=300)
    train(deployment, killed_at=boundary)
    train(deployment)
    check_everything(deployment, claim)
    # Killed before the version was registered it is trained anew; the files nobody refers to stay complete.
    assert logged_models(deployment) == (["READY"] * 2 if boundary == "logged" else ["READY"])


def test_what_a_killed_upload_left_is_marked_as_failed(deployment: Deployment) -> None:
    claim = tuned(deployment, rows=300)
    train(deployment, killed_at="logged")
    (left,) = deployment.tracking.search_logged_models([experiment(deployment.tracking)])
    pending = deployment.tracking.create_logged_model(experiment(deployment.tracking), MODEL, left.source_run_id)
    train(deployment)
    check_everything(deployment, claim)
    assert deployment.tracking.get_logged_model(pending.model_id).status.name == "FAILED"


def test_the_next_attempt_adopts_the_version_and_tells_so(deployment: Deployment) -> None:
    first = tuned(deployment, rows=300)
    train(deployment)
    second = deployment.claim("r2", 0, done="tune", adopting=first)
    assert "adopted from an earlier attempt" in train(deployment, "r2")
    check_version(deployment, first)
    tags = deployment.tracking.get_run(pipeline_run(deployment.tracking, second)).data.tags
    assert (tags["appraiser.train.version"], tags["appraiser.train.adopted_from"]) == ("1", "r")


def test_two_at_once_register_one_version(deployment: Deployment) -> None:
    claim = tuned(deployment, rows=300)
    both = [deployment.start("train", "--run-id", "r") for _ in range(2)]
    outs = [one.communicate(timeout=280)[0] for one in both]
    assert [one.returncode for one in both] == [DONE, DONE], outs
    assert sum("this step was done before" in out for out in outs) == 1
    check_everything(deployment, claim)


def test_a_file_changed_before_it_was_written_down_is_found(deployment: Deployment) -> None:
    tuned(deployment, rows=300)
    train(deployment, killed_at="registered")
    (registered,) = deployment.tracking.search_model_versions(f"name = '{MODEL}'")
    address = deployment.tracking.get_model_version_download_uri(MODEL, registered.version)
    place = deployment.mlflow.folder / "artifacts" / address.removeprefix("mlflow-artifacts:/") / bundle.FOLDER
    model = place / bundle.MODEL
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    done = deployment.run("train", "--run-id", "r")
    assert done.returncode == FAILED
    assert "model.ubj is not the file" in done.stdout
    assert deployment.rows("model_versions") == []


def test_a_version_that_was_deleted_is_not_registered_again(deployment: Deployment) -> None:
    claim = tuned(deployment, rows=300)
    train(deployment)
    deployment.tracking.delete_model_version(MODEL, "1")
    done = deployment.run("train", "--run-id", "r")
    assert done.returncode == FAILED
    assert "VersionGone: version 1 of house-price is in the ledger and not in the registry any more" in done.stdout
    with deployment.ledger.connect() as connection:
        assert models.version_of_claim(connection, claim) is not None
    assert deployment.tracking.search_model_versions(f"name = '{MODEL}'") == []
