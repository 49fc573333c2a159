"""`python -m steps.train --reproduce`: a version made again from RAW, and every cause of a difference named."""

import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import create_engine

from local.postgres import SUPERUSER
from steps.common import bundle
from steps.common.listing import SCOPE_VERSION
from steps.common.step import DONE, FAILED
from steps.common.store import ledger, models, raw
from steps.common.store.ledger import Claim, Completion, Verdict
from tests.steps.batches import ODD, Row, claimed, finish, leave_behind, rows, store
from tests.steps.deployment import SOURCE, Deployment, change_a_byte
from tests.steps.train.test_train import TUNED

# Texts that servers sort each in their way, numbers that each writes in its way, and rows that are refused.
STRANGE: list[Row] = [
    {"acre_lot": "0.00001"}, {"acre_lot": "1e-7"}, {"acre_lot": "-0.0"}, {"bath": "2.25"}, {"city": "São Tomé_x"},
    {"city": "a\\b"}, {"city": "a B-c"}, {"brokered_by": "1e3"}, {"street": "x\ty"}, {"prev_sold_date": None}, *ODD,
]  # fmt: skip


def tuned(deployment: Deployment, run_id: str, batch: int, found: list[Row]) -> Claim:
    """Return the claim of a run that has come as far as tune, its batch in RAW with the sha of its rows and cleaned."""
    store(deployment, batch, found)
    engine = create_engine(deployment.databases.url("raw"))
    with engine.connect() as connection:
        sha = raw.content_sha(connection, SOURCE, batch)
    engine.dispose()
    with deployment.ledger.begin() as connection:
        ledger.append_run(connection, run_id, SOURCE, force_train=False)
        claim = ledger.claim_batch(connection, run_id, SOURCE, batch, sha, force_train=False)
    deployment.complete(claim, "fetch")
    with deployment.ledger.begin() as connection:
        judged = Completion(claim.claim_id, "validate", 0, "d", {"scope_version": SCOPE_VERSION}, None, 0.0)
        ledger.append_completion(connection, judged, Verdict("TRAIN", [], {}, {}), None)
        finished = ledger.finished_batches(connection, SOURCE)
        ledger.freeze_dataset(connection, claim.claim_id, {**finished, batch: sha})
    cleaned = deployment.run("clean", "--run-id", run_id)
    assert cleaned.returncode == DONE, cleaned.stdout
    deployment.complete(claim, "tune", summary=TUNED)
    return claim


def trained(deployment: Deployment) -> int:
    """Return a version that the step itself trained, on two batches with every kind of odd row."""
    finish(deployment, tuned(deployment, "r0", 0, rows(200)), "SKIP")
    odd = [{**row, **STRANGE[number]} for number, row in enumerate(rows(len(STRANGE), seed=2))]
    tuned(deployment, "r1", 1, [*rows(200, seed=1), *odd])
    done = deployment.run("train", "--run-id", "r1")
    assert done.returncode == DONE, done.stdout
    return 1


def reproduce(deployment: Deployment, version: int = 1, **settings: str) -> subprocess.CompletedProcess[str]:
    return deployment.run("train", "--reproduce", str(version), **settings)


def told(ended: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the lines of the closing block by what they are about."""
    block = ended.stdout.split("─\n")[-2]
    return dict(re.findall(r"^  (\S.*?)  +(.*)$", block, re.MULTILINE))


def forged(deployment: Deployment, **changes: Any) -> int:
    """Return a version with the files of the first one and another card in the ledger."""
    claim = claimed(deployment, "forged", 9)
    with deployment.ledger.begin() as connection:
        known = models.model_version(connection, 1)
        assert known is not None
        card = {**known.card, **changes}
        row = models.ModelVersion(2, claim.claim_id, "other", known.artifact_uri, known.fingerprint, card)
        models.append_version(connection, row, models.model_files(connection, 1))
    return 2


def test_a_version_is_made_again_bit_for_bit_and_nothing_is_written(deployment: Deployment) -> None:
    trained(deployment)
    before = deployment.everything()
    ended = reproduce(deployment)
    assert ended.returncode == DONE, ended.stdout
    said = told(ended)
    assert said["result"] == "reproduced"
    assert said["prices"].startswith("at most 0 apart")
    assert (said["model.ubj"], said["encodings.json"]) == ("the same, bit for bit",) * 2
    assert said["not known"] == "git sha, image digest"
    assert not any(what.startswith("differs") for what in said)
    assert deployment.everything() == before


def test_what_differs_around_the_fit_is_named_though_the_prices_are_the_same(deployment: Deployment) -> None:
    trained(deployment)
    # A card of before cleaned digests were on it is checked by its fingerprint.
    here = forged(deployment, clean_digests=[], libraries={"python": "3.12.0", "numpy": "1.0"}, machine="riscv64")
    ended = reproduce(deployment, here, APPRAISER_THREADS="2", APPRAISER_GIT_SHA="abc")
    assert ended.returncode == DONE, ended.stdout
    said = told(ended)
    assert said["differs: threads"] == "recorded 1, now 2"
    assert ("OpenMP thread 1 of 2" in ended.stderr) == (os.process_cpu_count() != 1)
    assert said["differs: git sha"] == "recorded unknown, now abc"
    assert said["differs: python"].startswith("recorded 3.12.0, now 3.13")
    assert said["differs: numpy"].startswith("recorded 1.0, now ")
    assert said["differs: xgboost-cpu"].startswith("recorded not recorded, now ")
    assert said["differs: machine"].startswith("recorded riscv64")
    assert said["model.ubj"] == "the same, bit for bit"


def test_a_version_trained_after_a_change_of_scope_is_of_one_scope_and_made_again(deployment: Deployment) -> None:
    finish(deployment, tuned(deployment, "r0", 0, rows(200)), "SKIP")
    leave_behind(deployment, 0)
    tuned(deployment, "r1", 1, rows(200, seed=1))
    done = deployment.run("train", "--run-id", "r1")
    assert done.returncode == DONE, done.stdout
    ended = reproduce(deployment)
    assert ended.returncode == DONE, ended.stdout
    assert told(ended)["result"] == "reproduced"


def test_a_changed_row_is_found_by_the_sha_of_its_batch(deployment: Deployment) -> None:
    trained(deployment)
    with deployment.databases.connect("raw", SUPERUSER) as connection:
        connection.execute("UPDATE listings SET price = '123456.0' WHERE batch_number = 1 AND row_number = 7")
    ended = reproduce(deployment)
    assert ended.returncode == FAILED, ended.stdout
    said = told(ended)
    assert said["result"] == "not reproduced"
    assert {"differs: fingerprint", "differs: batch 1 as received", "differs: batch 1 as cleaned"} <= said.keys()
    assert "differs: batch 0 as received" not in said


CARDS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "features": ({"features_version": "features_v0"}, "differs: features version", "recorded features_v0, now "),
    "scope": ({"scope_version": "scope_v0"}, "differs: scope version", "recorded scope_v0, now "),
    "seed": ({"seed": 7}, "model.ubj", "not the same bits"),
    "trees": ({"trees": 29}, "model.ubj", "not the same bits"),
}


@pytest.mark.parametrize("changed", CARDS)
def test_another_card_is_another_model(deployment: Deployment, changed: str) -> None:
    trained(deployment)
    changes, what, sentence = CARDS[changed]
    ended = reproduce(deployment, forged(deployment, **changes))
    assert ended.returncode == FAILED, ended.stdout
    said = told(ended)
    assert said[what].startswith(sentence)
    assert said["result"] == "not reproduced"


def test_what_cannot_be_made_again_is_refused_with_a_sentence(deployment: Deployment) -> None:
    trained(deployment)
    cases = [
        (reproduce(deployment, 7), "the ledger has no version 7 of house-price"),
        (reproduce(deployment, APPRAISER_RAW_URL=""), "APPRAISER_RAW_URL is not set"),
        (reproduce(deployment, forged(deployment, batches=[0, 5])), "RAW has no batch 5"),
    ]
    change_a_byte(deployment.stored(1, f"{bundle.FOLDER}/{bundle.MODEL}"))
    cases.append((reproduce(deployment), "model.ubj is not the file the ledger knows"))
    for ended, sentence in cases:
        assert ended.returncode == FAILED, ended.stdout
        assert sentence in ended.stdout


def test_rows_that_are_gone_are_missed(deployment: Deployment) -> None:
    trained(deployment)
    with deployment.databases.connect("raw", SUPERUSER) as connection:
        connection.execute("DELETE FROM listings WHERE batch_number = 0 AND row_number = 3")
    ended = reproduce(deployment)
    assert ended.returncode == FAILED
    assert "RAW has 199 rows of batch 0; it was stored with 200" in ended.stdout


@pytest.mark.parametrize("options", [["--reproduce", "0"], ["--reproduce", "x"], []])
def test_wrong_options_are_argparses_error(deployment: Deployment, options: list[str]) -> None:
    ended = deployment.run("train", *options)
    assert ended.returncode == 2
    assert "error:" in ended.stderr
