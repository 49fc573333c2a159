"""A real cluster with the whole system in it, brought up once for all tests of this folder, part by part."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.airflow_client import AirflowClient
from local.postgres import Server
from tests.cluster import airflow, images, world
from tests.cluster.access import Cluster, ClusterMissing, forwarded, reached
from tests.cluster.story import Story
from tests.cluster.world import NAMESPACE, POSTGRES, SOURCE_SCALE, World
from tests.servers import ROOT

_STORY = Story()
_TOOLS_SECONDS = 1200
# Of a sweep; the fewest there can be.
TRIALS = 2


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what took how long, below pytest's own summary."""
    if _STORY.parts:
        terminalreporter.section("cluster test")
        terminalreporter.write_line(_STORY.summary())


@pytest.fixture(scope="session")
def story() -> Story:
    """Return what tells how far the tests are."""
    return _STORY


@pytest.fixture(scope="session")
def cluster(story: Story) -> Iterator[Cluster]:
    """Return the cluster that is asked for; without one nothing here can run, and that is said."""
    with ExitStack() as stack:
        try:
            with story.part("cluster up"):
                found = stack.enter_context(reached(os.environ))
        except ClusterMissing as missing:
            pytest.exit(f"the cluster tests did NOT run: {missing}", returncode=2)
        yield found
        with story.part("cluster down"):
            stack.close()


@pytest.fixture(scope="session")
def tools(cluster: Cluster, story: Story) -> Path:
    """Return the folder with helm and versitygw: the script's, or the one `make` compiles them into."""
    with story.part("tools"):
        if cluster.script:
            done = subprocess.run(
                [cluster.script, "tools"], capture_output=True, text=True, check=True, timeout=_TOOLS_SECONDS
            )
            return Path(done.stdout.split()[-1])
        folder = ROOT / ".tools" / "go"
        for name in ("helm", "versitygw"):
            subprocess.run(["make", f".tools/go/{name}"], cwd=ROOT, check=True, timeout=_TOOLS_SECONDS)
    return folder


@pytest.fixture(scope="session")
def loaded(cluster: Cluster, tools: Path, story: Story) -> Mapping[str, str]:
    """Return every image by its name, as `name@sha256:…` that the cluster's nodes know."""
    environment = cluster.building(os.environ)
    builder = images.builder(environment)
    with story.part("images built or found"):
        references = images.build(builder, environment)
        references["stand-ins"] = images.build_stand_ins(builder, tools / "versitygw", environment)
    with story.part("images loaded"):
        return {
            name: cluster.load(reference, images.identity(builder, reference)) for name, reference in references.items()
        }


@pytest.fixture(scope="session")
def here(cluster: Cluster, loaded: Mapping[str, str], tools: Path, story: Story) -> Iterator[World]:
    """Return the namespaces with databases, bucket and source in them, and our databases made by the release."""
    with ExitStack() as stack:
        with story.part("namespaces and Secrets"):
            made = stack.enter_context(world.made(cluster, loaded, tools / "helm"))
        with story.part("databases, bucket and source"):
            image = {"image": loaded["stand-ins"]}
            servers = [("postgres", {"name": name, **image}) for name in POSTGRES]
            made.start(*servers, ("bucket", image), ("source", {"scale": str(SOURCE_SCALE), **image}))
        with story.part("release migrations"):
            made.install("migrations")
        with story.part("MLflow"):
            made.start(("mlflow", {"image": loaded["registry"], "hosts": world.allowed_hosts()}))
        yield made
        with story.part("everything removed"):
            stack.close()


@pytest.fixture(scope="session")
def serving(here: World, story: Story) -> Iterator[str]:
    """Return the address of the API, installed before there is a model."""
    with story.part("release serving"):
        here.install("serving")
    with forwarded(here.cluster, NAMESPACE, "serving", 8000) as address:
        yield address


@pytest.fixture(scope="session")
def frontend(here: World, serving: str, story: Story) -> Iterator[str]:
    """Return the address of the page."""
    assert httpx.get(f"{serving}/health", timeout=30).is_success
    with story.part("release frontend"):
        here.install("frontend")
    with forwarded(here.cluster, NAMESPACE, "frontend", 8501) as address:
        yield address


@pytest.fixture(scope="session")
def scheduler(
    here: World, server: Server, story: Story, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowClient]:
    """Return a client of the Airflow whose pods go to the cluster."""
    folder = tmp_path_factory.mktemp("airflow") / "beside"
    with ExitStack() as stack:
        with story.part("Airflow"):
            client = stack.enter_context(airflow.running(here.cluster, here.images, server, folder))
        yield client


@dataclass(frozen=True)
class Batch:
    """A run that has ended: its id and the state of each of its steps."""

    run: str
    states: Mapping[str, str | None]


@pytest.fixture(scope="session")
def first(scheduler: AirflowClient, serving: str, story: Story) -> Batch:
    """Return the run of the first batch; the API was up, and without a model, before it."""
    assert httpx.get(f"{serving}/health", timeout=30).json()["model_version"] is None
    with story.part("first batch"):
        run = scheduler.trigger(trials=TRIALS)
        return Batch(run, airflow.follow(scheduler, run, story))


@pytest.fixture(scope="session")
def second(scheduler: AirflowClient, first: Batch, story: Story) -> Batch:
    """Return the run of the second batch, trained on whatever is in it, so that all seven pods run."""
    assert first.states["fetch"] == "success"
    with story.part("second batch"):
        run = scheduler.trigger(trials=TRIALS, force_train=True)
        return Batch(run, airflow.follow(scheduler, run, story))
