"""Every manifest of ours is one that the cluster itself would take."""

import pytest
import yaml

from tests.argocd.deployment import ARGOCD, OURS, documents
from tests.cluster.world import NAMESPACE, World

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("release", OURS)
def test_the_server_accepts_a_release_of_our_chart(here: World, release: str) -> None:
    manifests = documents(here.rendered(release))
    for one in manifests:
        # Helm says only at the installation where it is.
        one["metadata"].setdefault("namespace", NAMESPACE)
    said = here.cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename=-",
        stdin=yaml.safe_dump_all(manifests),
    )  # fmt: skip
    assert "serverside-applied (server dry run)" in said


def test_the_server_accepts_our_namespaces(here: World) -> None:
    said = here.cluster.kubectl("apply", "--dry-run=server", f"--filename={ARGOCD / 'namespaces.yaml'}")
    assert said.count("(server dry run)") == 3
