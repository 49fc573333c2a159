"""Nothing in the tree looks like a secret, and a look that finds none would be no look."""

import pytest

from local.cluster_secrets import MAKERS
from tests.repository.secret_looking import secret_looking
from tests.repository.test_conventions import ROOT, tracked

# Hashes of packages, and a picture.
NO_TEXT = (".txt", ".png", ".lock")


@pytest.mark.parametrize("kind", ["token", "fernet"])
def test_what_make_secrets_makes_is_found(kind: str) -> None:
    values = [MAKERS[kind]() for _ in range(200)]
    # By chance one in fifty has as much order as a name.
    assert sum(bool(secret_looking(f"  key: {value}\n")) for value in values) > 170


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://postgres:correct" + "horse@db/raw",
        "-----BEGIN OPENSSH PRIVATE" + " KEY-----",
        "aws_access_key_id = AKIA" + "ABCDEFGHIJKLMNOP",
        "token: ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8",
    ],
)
def test_what_others_make_is_found(text: str) -> None:
    assert secret_looking(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "0123456789abcdef" * 4,
        "persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
        "postgresql+psycopg://pipeline:${pipeline}@postgres-raw:5432/raw",
        "test_what_others_make_is_found_2026_11_26",
    ],
)
def test_what_is_none_is_not_found(text: str) -> None:
    assert secret_looking(text) == []


def test_nothing_in_the_tree_looks_like_a_secret() -> None:
    found = {
        str(path.relative_to(ROOT)): words
        for path in tracked()
        if path.suffix not in NO_TEXT and (words := secret_looking(path.read_text(encoding="utf-8")))
    }
    assert found == {}
