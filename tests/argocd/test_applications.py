"""Applications and values pair up, come in their order, are pinned, and may do no more than their project says."""

import pytest

from local.cluster_secrets import NAMESPACES
from tests.argocd.deployment import APPLICATIONS, ARGOCD, OURS, REPOSITORY, VALUES, application, documents
from tests.servers import ROOT

DATA = {"postgres-raw", "postgres-clean", "postgres-mlflow", "postgres-airflow", "bucket"}
WAVES = {
    **dict.fromkeys([*DATA, "monitoring"], "0"),
    "migrations": "1", "mlflow": "2", "airflow": "3", "serving": "4", "frontend": "5",
}  # fmt: skip
# Design's table of versions; a chart is raised on purpose and seen on a cluster first.
CHARTS = {
    "airflow": ("airflow", "1.22.0"),
    "mlflow": ("mlflow", "1.11.5"),
    "bucket": ("seaweedfs", "4.44.0"),
    "monitoring": ("kube-prometheus-stack", "88.5.3"),
    **{name: ("postgres", "1.6.7") for name in DATA if name.startswith("postgres")},
}
(PROJECT,) = documents((ARGOCD / "project.yaml").read_text())
(ROOT_APPLICATION,) = documents((ARGOCD / "root.yaml").read_text())


def test_each_application_has_its_values_and_the_other_way_round() -> None:
    assert {path.stem for path in VALUES.iterdir()} == set(APPLICATIONS) == set(WAVES)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_its_file_its_release_and_its_values(name: str) -> None:
    found = application(name)
    assert found["metadata"]["name"] == name
    assert found["metadata"]["namespace"] == "argocd"
    assert found["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == WAVES[name]
    chart, own, *more = found["spec"]["sources"]
    assert chart["helm"] == {"releaseName": name, "valueFiles": [f"$values/helm-values/{name}.yaml"]}
    assert own == {"repoURL": REPOSITORY, "targetRevision": "main", "ref": "values"}
    if name in OURS:
        assert (chart["repoURL"], chart["targetRevision"], chart["path"]) == (REPOSITORY, "main", "argocd/chart")
    else:
        assert (chart["chart"], chart["targetRevision"]) == CHARTS[name]
    assert all((ROOT / source["path"]).parent == ARGOCD for source in more)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_everything_heals_itself_and_nothing_prunes_data(name: str) -> None:
    automated = application(name)["spec"]["syncPolicy"]["automated"]
    assert automated == {"selfHeal": True, "prune": name not in DATA}


def test_large_definitions_are_applied_by_the_server() -> None:
    assert "ServerSideApply=true" in application("monitoring")["spec"]["syncPolicy"]["syncOptions"]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_project_lets_in_what_is_used(name: str) -> None:
    spec = application(name)["spec"]
    assert spec["project"] == PROJECT["metadata"]["name"]
    assert {source["repoURL"] for source in spec["sources"]} <= set(PROJECT["spec"]["sourceRepos"])
    assert spec["destination"] in PROJECT["spec"]["destinations"]


def test_the_project_lets_in_nothing_that_is_not_used() -> None:
    used = {source["repoURL"] for name in APPLICATIONS for source in application(name)["spec"]["sources"]}
    assert set(PROJECT["spec"]["sourceRepos"]) == used
    assert not any("*" in str(value) for value in (*used, *PROJECT["spec"]["destinations"]))


def test_the_root_brings_project_namespaces_and_applications_and_prunes_nothing() -> None:
    spec = ROOT_APPLICATION["spec"]
    assert spec["source"]["repoURL"] == REPOSITORY
    assert spec["source"]["directory"]["include"] == "{project.yaml,namespaces.yaml,applications/*.yaml}"
    assert spec["syncPolicy"]["automated"] == {"prune": False, "selfHeal": True}


def test_every_destination_has_its_namespace() -> None:
    made = {one["metadata"]["name"] for one in documents(NAMESPACES.read_text())}
    # Somebody else's, where one Service is put.
    assert {destination["namespace"] for destination in PROJECT["spec"]["destinations"]} - made == {"kube-system"}
