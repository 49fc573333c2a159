"""The infra check: a version is charged with what it takes itself, in a process of its own."""

from pathlib import Path

import numpy as np
import pytest

from steps.common import booster, bundle
from steps.common.columns import from_listings
from steps.evaluate import infrastructure
from tests.steps.common.listings import market
from tests.steps.evaluate.stages import PARAMETERS, card

HELD_MEGABYTES = 600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the files of a small model."""
    listings, price, bucket = market(400, 1)
    fitted = booster.fit(from_listings(listings), price, bucket, PARAMETERS, 5, 1, 1)
    bundle.write(tmp_path, fitted, listings[:5], card([0]))
    return tmp_path


def test_a_version_answers_as_training_did_within_the_budget(folder: Path) -> None:
    found = infrastructure.check(folder)
    assert (found.golden_equal, found.golden_rows, found.note) == (True, 5, None)
    assert found.milliseconds_per_1000_rows > 0
    assert 20 < found.megabytes < 512


def test_a_large_step_does_not_make_the_version_it_checks_large(folder: Path) -> None:
    alone = infrastructure.check(folder).megabytes
    held = np.ones(HELD_MEGABYTES << 17)
    assert infrastructure.check(folder).megabytes == pytest.approx(alone, rel=0.1)
    assert held[0] == 1


def test_a_golden_row_that_differs_is_said(folder: Path) -> None:
    golden = folder / bundle.GOLDEN
    golden.write_text(golden.read_text().replace('"price": ', '"price": 1', 1))
    found = infrastructure.check(folder)
    assert not found.golden_equal
    assert found.note is not None
    assert found.note.startswith("1 of 5 golden prices differ")


def test_files_that_make_no_model_fail_the_check_and_not_the_step(folder: Path) -> None:
    (folder / bundle.MODEL).write_bytes(b"nothing")
    found = infrastructure.check(folder)
    assert not found.golden_equal
    assert found.note is not None
    assert "BundleBroken" in found.note
