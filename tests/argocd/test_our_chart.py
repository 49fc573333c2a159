"""Our chart: what its programs are told they understand, what is refused, and what a switch changes."""

import json
from typing import Any

import pytest
import yaml

from frontend import settings as frontend_settings
from serving import settings as serving_settings
from steps.common import settings as steps_settings
from steps.common.tables.rights import DATABASES
from steps.common.tables.upgrade import servers
from tests.argocd.deployment import ARGOCD, values
from tests.argocd.rendering import containers, helm, pod_of, render, rendered
from tests.servers import ROOT

pytestmark = pytest.mark.charts
DIGEST = f"sha256:{'0' * 64}"
URL = "postgresql+psycopg://role:p@server/database"
BOTH = "serving.enabled=true,frontend.enabled=true"


def only(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def variables(name: str) -> dict[str, str]:
    """Return what the one container of a release is told; what comes from a Secret as an address or a long word."""
    starters = [one for one in rendered(name) if pod_of(one) and one["kind"] != "CronJob"]
    (container,) = containers(only(starters, starters[0]["kind"]))
    return {
        one["name"]: one.get("value", URL if "_URL" in one["name"] else "long enough to be taken")
        for one in container["env"]
    }


def test_the_programs_understand_what_they_are_told() -> None:
    serving = serving_settings.read(variables("serving"))
    assert (serving.host, serving.port, str(serving.state_folder)) == ("0.0.0.0", 8000, "/state")  # noqa: S104
    assert all(getattr(serving, name) for name in ("raw_url", "ledger_url", "mlflow_url", "token", "image_digest"))
    page = frontend_settings.read({k: v for k, v in variables("frontend").items() if k != "HOME"})
    assert (page.api_url, page.port) == ("http://serving:8000", 8501)
    assert steps_settings.read(only(_of("ConfigMap", "appraiser"), "ConfigMap")["data"]).mlflow_url


@pytest.mark.parametrize(
    ("said", "identity"),
    [
        ({"source_url": "http://data.example:8000/api/"}, "http-data.example-8000-api-group-1"),
        ({"source_url": "http://data.example", "source_group": 0}, "http-data.example-group-0"),
        ({"source_url": "http://data.example", "source_group": 12}, "http-data.example-group-12"),
        ({"source_url": "http://data.example", "source_id": "houses"}, "houses"),
        ({}, None),
    ],
)
def test_the_source_has_an_identity_as_soon_as_it_has_an_address(
    said: dict[str, str | int], identity: str | None
) -> None:
    options = [word for name, value in said.items() for word in ("--set", f"steps.settings.{name}={value}")]
    told = [one for one in render("migrations", *options) if one["metadata"]["name"] == "appraiser"]
    assert steps_settings.read(only(told, "ConfigMap")["data"]).source_id == identity


def _of(kind: str, name: str) -> list[dict[str, Any]]:
    return [one for one in rendered("migrations") if (one["kind"], one["metadata"]["name"]) == (kind, name)]


def test_migrations_know_a_server_for_every_database_and_a_password_for_every_role() -> None:
    told = variables("migrations")
    assert sum(map(len, servers(told, list(DATABASES)).values())) == len(DATABASES)
    assert {name for name in told if "PASSWORD" in name} == {
        f"APPRAISER_PASSWORD_{role}" for role in ("PIPELINE", "SERVING", "MLFLOW", "AIRFLOW")
    }


@pytest.mark.parametrize("name", ["serving", "frontend"])
def test_a_service_leads_to_the_pods_and_the_policy_guards_them(name: str) -> None:
    objects = rendered(name)
    workload = only(objects, "StatefulSet" if name == "serving" else "Deployment")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    service, policy = only(objects, "Service"), only(objects, "NetworkPolicy")
    for selector in (service["spec"]["selector"], policy["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {one["name"] for container in containers(workload) for one in container["ports"]}


def test_serving_drains_and_keeps_its_volume() -> None:
    stateful = only(rendered("serving"), "StatefulSet")["spec"]
    (container,) = stateful["template"]["spec"]["containers"]
    leaving = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    # Twenty seconds for requests and twenty for the spool's last try are serving's own.
    assert stateful["template"]["spec"]["terminationGracePeriodSeconds"] >= leaving + 40
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (claim,) = stateful["volumeClaimTemplates"]
    assert claim["metadata"]["name"] in {mount["name"] for mount in container["volumeMounts"]}


def test_a_digest_is_what_the_pod_runs_and_is_told() -> None:
    (container,) = containers(only(render("serving", "--set", f"image.digest={DIGEST}"), "StatefulSet"))
    assert container["image"] == f"docker.io/appraiser/serving@{DIGEST}"
    assert {"name": "APPRAISER_IMAGE_DIGEST", "value": DIGEST} in container["env"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("serving.enabled=true,image.repository=docker.io/x/y", "docker.io/x/y has no digest"),
        ("serving.enabled=true,image.repository=docker.io/x/y,image.tag=dev", "docker.io/x/y has no digest"),
        ("serving.enabled=true,image.digest=sha256:short", "at '/image/digest'"),
        ("serving.enabeld=true", "additional properties 'enabeld' not allowed"),
        ("servings.enabled=true", "additional properties 'servings' not allowed"),
        (
            f"serving.enabled=true,frontend.enabled=true,image.repository=x,image.digest={DIGEST}",
            "serving and frontend are switched on together",
        ),
        ("serving.replicas=0", "at '/serving/replicas'"),
        ("load.users=1000", "at '/load/users'"),
        ("image.tag=late" + "st", "at '/image/tag'"),
    ],
)
def test_what_is_refused(options: str, sentence: str) -> None:
    done = helm("template", "x", str(ARGOCD / "chart"), "--set", options)
    assert done.returncode != 0
    assert sentence in done.stderr


@pytest.mark.parametrize(("version", "taken"), [("1.29.15", False), ("1.30.0", True), ("1.30.4-eks-a737599", True)])
def test_a_kubernetes_without_a_sleep_before_the_end_is_refused(version: str, taken: bool) -> None:
    on = f"serving.enabled=true,image.repository=x/y,image.digest={DIGEST}"
    done = helm("template", "x", str(ARGOCD / "chart"), "--set", on, "--kube-version", version)
    assert (done.returncode == 0) is taken, done.stderr
    assert ("incompatible with Kubernetes" in done.stderr) is not taken


def test_the_readme_asks_for_the_kubernetes_that_the_chart_takes() -> None:
    oldest = yaml.safe_load((ARGOCD / "chart/Chart.yaml").read_text())["kubeVersion"].removeprefix(">=")
    assert f"cluster ({oldest.removesuffix('.0-0')} or newer)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "option", "kind"),
    [
        ("serving", "serving.replicas=2", "PodDisruptionBudget"),
        ("serving", "ingress.enabled=true,ingress.host=houses.example", "Ingress"),
        ("frontend", "ingress.enabled=true,ingress.host=houses.example", "Ingress"),
        ("migrations", "steps.quota.pods=20", "ResourceQuota"),
    ],
)
def test_a_switch_adds_what_is_off_by_default(name: str, option: str, kind: str) -> None:
    assert kind not in {one["kind"] for one in rendered(name)}
    assert kind in {one["kind"] for one in render(name, "--set", option)}


def test_monitoring_is_left_out_where_its_definitions_are_not_installed() -> None:
    done = helm("template", "serving", str(ARGOCD / "chart"), "--set", "serving.enabled=true,image.repository=x/y",
                "--set", f"image.digest={DIGEST}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ServiceMonitor" not in done.stdout


def test_the_load_is_a_job_of_its_own_and_ends() -> None:
    objects = render("serving", "--set", "serving.enabled=false,load.enabled=true")
    assert {one["kind"] for one in objects} == {"ConfigMap", "Job"}
    job = only(objects, "Job")["spec"]
    assert job["activeDeadlineSeconds"] < 1000
    assert job["ttlSecondsAfterFinished"] > 0


def test_the_schema_knows_every_default_and_the_other_way_round() -> None:
    schema = json.loads((ARGOCD / "chart/values.schema.json").read_text())
    defaults = yaml.safe_load((ARGOCD / "chart/values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == defaults.keys()
    for part, about in schema["properties"].items():
        assert set(about.get("properties", {})) <= defaults.get(part, {}).keys(), part


def test_values_of_ours_switch_on_one_part() -> None:
    for name in ("serving", "frontend", "migrations"):
        assert values(name)[name]["enabled"] is True
    assert helm("lint", str(ARGOCD / "chart")).returncode == 0
