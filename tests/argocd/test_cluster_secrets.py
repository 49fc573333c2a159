"""`make secrets` makes everything that is described, fresh each time, and what belongs together fits together."""

import base64
import json
import subprocess
import sys

import pytest
from sqlalchemy import make_url

from local.cluster_secrets import DescriptionRefused, describe, make_values, manifest
from serving import settings as serving_settings
from tests.argocd.deployment import APPLICATIONS, described, documents, leaves, values
from tests.servers import ROOT

Secrets = dict[str, dict[str, str]]


def made() -> Secrets:
    done = subprocess.run(
        [sys.executable, "-m", "local.cluster_secrets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {one["metadata"]["name"]: one["stringData"] for one in documents(done.stdout) if one["kind"] == "Secret"}


@pytest.fixture(scope="module")
def secrets() -> Secrets:
    return made()


def test_every_described_key_is_made_but_the_optional_ones(secrets: Secrets) -> None:
    wanted = {
        one["name"]: {key for key, about in one["keys"].items() if not about.get("optional")}
        for one in describe()["secrets"]
    }
    assert {name: set(data) for name, data in secrets.items()} == wanted


def test_nothing_is_made_twice_the_same(secrets: Secrets) -> None:
    fixed = {"mlflow-database": {"username"}, "airflow-admin": {"username"}, "grafana-admin": {"admin-user"}}
    again = made()
    same = {
        name: {key for key, value in data.items() if again[name][key] == value} for name, data in secrets.items()
    }  # fmt: skip
    assert {name: keys for name, keys in same.items() if keys} == fixed


def test_addresses_hold_the_passwords_that_migrations_set(secrets: Secrets) -> None:
    migrations = secrets["appraiser-migrations"]
    for key, url in {
        **secrets["appraiser-databases"],
        **{f"serving {k}": v for k, v in secrets["appraiser-serving"].items()},
    }.items():
        if key.endswith("-url"):
            address = make_url(url)
            assert address.password == migrations[f"{address.username}-password"]
    for server in ("raw", "clean", "mlflow", "airflow"):
        password = make_url(migrations[f"{server}-superuser-url"]).password
        assert password == secrets[f"postgres-{server}"]["superuser-password"]
    assert secrets["mlflow-database"]["password"] == migrations["mlflow-password"]
    assert make_url(secrets["airflow-metadata"]["connection"]).password == migrations["airflow-password"]


def test_the_bucket_knows_the_keys_its_users_have(secrets: Secrets) -> None:
    identities = json.loads(secrets["bucket-s3"]["seaweedfs_s3_config"])["identities"]
    known = {
        one["name"]: (one["credentials"][0]["accessKey"], one["credentials"][0]["secretKey"]) for one in identities
    }
    logs = json.loads(secrets["airflow-logs"]["connection"])
    assert known == {
        "operator": (secrets["bucket-s3"]["operator-id"], secrets["bucket-s3"]["operator-key"]),
        "mlflow": tuple(secrets["mlflow-bucket"].values()),
        "airflow-logs": (logs["login"], logs["password"]),
    }
    assert all("Admin" not in one["actions"] for one in identities if one["name"] != "operator")


def test_the_keys_are_what_their_readers_take(secrets: Secrets) -> None:
    assert len(base64.urlsafe_b64decode(secrets["airflow-fernet"]["fernet-key"])) == 32
    data = secrets["appraiser-serving"]
    serving_settings.read({"APPRAISER_TOKEN": data["token"], "APPRAISER_RAW_URL": data["raw-url"]})


@pytest.mark.parametrize("name", APPLICATIONS)
def test_values_name_no_secret_that_is_not_described(name: str) -> None:
    known = {secret for _, secret in described()}
    named = {
        str(value)
        for path, value in leaves(values(name))
        if any("secret" in key.lower() for key in path) and path[-1].lower().endswith(("secret", "secretname", "name"))
    }
    # The chart makes one where no name is given, and nobody reads it.
    assert named - {"AIRFLOW_CONN_AIRFLOW_LOGS", "there-is-no-queue"} <= known


@pytest.mark.parametrize(
    ("kinds", "value", "sentence"),
    [({"a": "tokn"}, "x", "there is no kind 'tokn'"), ({"a": "token"}, "${b}", "s uses 'b', which is not random")],
)
def test_a_description_that_does_not_fit_is_refused(kinds: dict[str, str], value: str, sentence: str) -> None:
    secret = {"name": "s", "namespace": "n", "keys": {"k": {"value": value}}}
    with pytest.raises(DescriptionRefused, match=sentence):
        manifest(secret, make_values(kinds))


def test_every_secret_says_what_it_is_for_and_when_it_is_rotated() -> None:
    assert [one["name"] for one in describe()["secrets"] if not (one.get("for") and one.get("rotate"))] == []
