"""Our root Application, unchanged, in a real Argo CD: waves, values from Git, self-heal, an upgrade, what is pruned.

Third parties' charts are stubs of their names and versions; our own chart and its images are the real ones.
"""

import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.argocd.deployment import APPLICATIONS, ARGOCD, OURS, application, documents, values
from tests.cluster import argocd, argocd_build, charts, images
from tests.cluster.access import Cluster, eventually
from tests.cluster.argocd import SERVICES, applications, refresh, state
from tests.cluster.charts import GIVEN, THIRD_PARTIES
from tests.cluster.repository import Repository
from tests.cluster.story import Story
from tests.servers import ROOT

pytestmark = pytest.mark.cluster
BROUGHT_UP_SECONDS = 600
ROOT_APP = documents((ARGOCD / "root.yaml").read_text())[0]["metadata"]["name"]
HEALTHY = ("Healthy", "Synced", "Succeeded")
WAVES = {
    name: int(application(name)["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for name in APPLICATIONS
}


@dataclass(frozen=True)
class Installed:
    """Argo CD in a cluster, the repository it follows, and the images that were deployed by their digests."""

    cluster: Cluster
    repository: Repository
    images: Mapping[str, str]

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what there is in the namespace of services."""
        return self.cluster.get(*arguments, f"--namespace={SERVICES}")

    def given(self, release: str) -> dict[str, Any]:
        """Return the ConfigMaps by their names in which a stub keeps what values it was given."""
        namespace = application(release)["spec"]["destination"]["namespace"]
        found = self.cluster.get("configmaps", f"--namespace={namespace}", f"--selector={GIVEN}={release}")["items"]
        return {one["metadata"]["name"]: json.loads(one["data"]["values"]) for one in found}

    def change(self, release: str, edit: Callable[[dict[str, Any]], None]) -> str:
        """Commit other values of a release, and return the commit."""
        path = f"helm-values/{release}.yaml"
        changed = yaml.safe_load(self.repository.text(path))
        edit(changed)
        return self.repository.commit(f"Change {release}", {path: yaml.safe_dump(changed)})

    def followed(self, name: str, commit: str) -> bool:
        """Tell whether an Application is at a commit and as it says there."""
        found = applications(self.cluster)[name]
        return commit in found["status"]["sync"].get("revisions", []) and state(found) == HEALTHY


@dataclass
class Sights:
    """In which look each Application was there for the first time, and in which it had become healthy."""

    appeared: dict[str, int] = field(default_factory=dict)
    healthy: dict[str, int] = field(default_factory=dict)

    def look(self, number: int, found: Mapping[str, Mapping[str, Any]], story: Story) -> None:
        """Note what is new."""
        for name, one in found.items():
            self.appeared.setdefault(name, number)
            health, _, ended = state(one)
            if (health, ended) == ("Healthy", "Succeeded") and name not in self.healthy:
                self.healthy[name] = number
                story.say(f"{name} is healthy")


def _in_the_readme(beginning: str) -> list[str]:
    """Return what follows `kubectl` in the one command of the README that begins so."""
    (command,) = re.findall(rf"kubectl ({re.escape(beginning)}[^`\n]*)", (ROOT / "README.md").read_text())
    return shlex.split(command, comments=True)


@pytest.fixture(scope="module")
def installed(
    cluster: Cluster, loaded: Mapping[str, str], tools: Path, story: Story, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Return Argo CD with everything in it that the README tells a person to apply, but the root."""
    with ExitStack() as stack:
        with story.part("Argo CD's program found, or compiled in some ten minutes"):
            argo = argocd_build.found_or_built(cluster, tools)
        with story.part("Argo CD's image built and loaded"):
            environment = cluster.building(os.environ)
            builder = images.builder(environment)
            reference = argocd.build(builder, argo, tools / "helm", environment)
            image = cluster.load(reference, images.identity(builder, reference))
        with story.part("Argo CD"):
            archives = charts.archives(tools / "helm", loaded, argocd.LABELS)
            folder = tmp_path_factory.mktemp("argocd")
            repository = stack.enter_context(argocd.running(cluster, argo, image, archives, folder))
            repository.deploy(reference for name, reference in loaded.items() if name != "stand-ins")
            cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={ARGOCD / 'argocd-cm.yaml'}")
        yield Installed(cluster, repository, loaded)
        with story.part("Argo CD and all it made removed"):
            stack.close()


@pytest.fixture(scope="module")
def sights(installed: Installed, story: Story) -> Sights:
    """Return what was seen from the moment the root was applied until everything is as in Git and healthy."""
    seen = Sights()
    deadline = time.monotonic() + BROUGHT_UP_SECONDS
    with story.part("everything brought up, wave by wave"):
        installed.cluster.kubectl("apply", f"--filename={ARGOCD / 'root.yaml'}")
        number = 0
        while True:
            found = applications(installed.cluster)
            number += 1
            seen.look(number, found, story)
            if {name: state(one) for name, one in found.items()} == dict.fromkeys([ROOT_APP, *APPLICATIONS], HEALTHY):
                return seen
            assert time.monotonic() < deadline, argocd.diagnosis(installed.cluster)
            time.sleep(0.5)


def test_a_wave_comes_when_the_one_before_is_healthy(sights: Sights) -> None:
    for name, wave in WAVES.items():
        before = [other for other in APPLICATIONS if WAVES[other] < wave]
        late = [other for other in before if sights.healthy[other] > sights.appeared[name]]
        assert not late, f"{name} was there before {late} were healthy"
    assert len({sights.appeared[name] for name in APPLICATIONS}) >= len(set(WAVES.values()))


@pytest.mark.parametrize("release", THIRD_PARTIES)
def test_a_third_party_s_release_is_given_our_values(installed: Installed, sights: Sights, release: str) -> None:
    assert sights.healthy[release]
    (given,) = installed.given(release).values()
    assert given == yaml.safe_load(installed.repository.text(f"helm-values/{release}.yaml"))
    assert values(release).keys() == given.keys()


def test_our_releases_run_the_images_whose_digests_are_committed(installed: Installed, sights: Sights) -> None:
    assert set(OURS) <= set(sights.healthy)
    pods = installed.get("pods", "--selector=app.kubernetes.io/part-of=appraiser")["items"]
    running = {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for pod in pods}
    for part, image in (("migrations", "fetch"), ("serving", "serving"), ("frontend", "frontend")):
        assert running[part]["spec"]["containers"][0]["image"] == installed.images[image]
        assert running[part]["status"]["phase"] in {"Running", "Succeeded"}


def test_a_change_by_hand_is_taken_back(installed: Installed, sights: Sights) -> None:
    assert sights.healthy["frontend"]
    installed.cluster.kubectl("scale", "deployment/frontend", "--replicas=3", f"--namespace={SERVICES}")
    eventually(lambda: installed.get("deployment", "frontend")["spec"]["replicas"] == 1)


def test_migrations_run_again_when_somebody_asks_for_it(installed: Installed, sights: Sights) -> None:
    """By the README's command for a server that has lost its databases, which Argo CD cannot see."""
    assert sights.healthy["migrations"]

    def jobs() -> dict[str, int]:
        found = installed.get("jobs", "--selector=app.kubernetes.io/component=migrations")["items"]
        return {job["metadata"]["uid"]: job["status"].get("succeeded", 0) for job in found}

    before = jobs()
    installed.cluster.kubectl(*_in_the_readme("-n argocd patch application migrations"))
    eventually(lambda: 1 in {uid: done for uid, done in jobs().items() if uid not in before}.values())
    eventually(lambda: state(applications(installed.cluster)["migrations"]) == HEALTHY)


def test_a_commit_is_an_upgrade(installed: Installed, sights: Sights) -> None:
    assert sights.healthy["frontend"]

    def another(changed: dict[str, Any]) -> None:
        changed["frontend"]["replicas"] = 2

    commit = installed.change("frontend", another)
    refresh(installed.cluster, "frontend")
    eventually(lambda: installed.followed("frontend", commit))
    assert installed.get("deployment", "frontend")["status"]["readyReplicas"] == 2
    history = applications(installed.cluster)["frontend"]["status"]["history"]
    assert commit in history[-1]["revisions"]
    assert commit not in history[-2]["revisions"]


def test_what_is_no_longer_in_git_is_removed_from_the_page(installed: Installed, sights: Sights) -> None:
    assert sights.healthy["frontend"]
    assert installed.get("networkpolicy", "frontend")

    def open_to_all(changed: dict[str, Any]) -> None:
        changed["networkPolicy"] = {"enabled": False}

    commit = installed.change("frontend", open_to_all)
    refresh(installed.cluster, "frontend")
    eventually(lambda: installed.followed("frontend", commit))
    left = installed.get("networkpolicies", "--selector=app.kubernetes.io/instance=frontend")["items"]
    assert not left


def test_what_is_no_longer_in_git_stays_in_a_database(installed: Installed, sights: Sights) -> None:
    """A value changed, so the stub's ConfigMap has a new name; MLflow's old one, of the same kind, goes."""
    assert sights.healthy["postgres-raw"]
    before = {release: installed.given(release) for release in ("postgres-raw", "mlflow")}
    for release in before:
        commit = installed.change(release, lambda changed: changed.update({"nameOverride": "another"}))
    refresh(installed.cluster, *before)
    eventually(lambda: installed.followed("mlflow", commit))
    eventually(lambda: before["postgres-raw"].keys() < installed.given("postgres-raw").keys())
    assert len(installed.given("mlflow")) == 1
    assert not before["mlflow"].keys() & installed.given("mlflow").keys()


def test_a_database_whose_application_vanished_from_git_stays(installed: Installed, sights: Sights) -> None:
    assert sights.healthy["postgres-clean"]
    server = installed.get("deployment", "postgres-clean")["metadata"]["uid"]
    commit = installed.repository.commit("Lose a database", {"argocd/applications/postgres-clean.yaml": None})
    refresh(installed.cluster, ROOT_APP)

    def noticed() -> bool:
        status = applications(installed.cluster)[ROOT_APP]["status"]
        gone = [one["name"] for one in status["resources"] if one.get("requiresPruning")]
        return status["sync"]["revision"] == commit and gone == ["postgres-clean"]

    eventually(noticed)
    assert state(applications(installed.cluster)["postgres-clean"]) == HEALTHY
    found = installed.get("deployment", "postgres-clean")
    assert (found["metadata"]["uid"], found["status"]["readyReplicas"]) == (server, 1)
