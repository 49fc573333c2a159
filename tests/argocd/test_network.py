"""Who is given the address of a database is let in by that server's policy, and nobody else is named there.

A cluster whose network plugin enforces no policies shows none of this.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import pytest

from dags.step_spec import DATABASES, pod_of
from local.cluster_secrets import describe
from tests.argocd.deployment import APPLICATIONS, values
from tests.argocd.rendering import references, rendered, template_of

pytestmark = pytest.mark.charts
SERVERS: Final = [name for name in APPLICATIONS if name.startswith("postgres-")]
PORT: Final = 5432


@dataclass(frozen=True)
class Client:
    """A pod that is given addresses: whose it is, where it runs, its labels, and the servers."""

    name: str
    namespace: str
    labels: dict[str, str]
    servers: frozenset[str]


def server_of(namespace: str, secret: str, key: str | None) -> set[str]:
    """Return the servers that the addresses in a Secret, or in one key of it, lead to."""
    if secret == values("mlflow")["backendStore"]["existingDatabaseSecret"]["name"]:
        # Role and password alone; the chart puts the address together.
        return {values("mlflow")["backendStore"]["postgres"]["host"]}
    return {
        found[1]
        for one in describe()["secrets"]
        if (one["namespace"], one["name"]) == (namespace, secret)
        for name, about in one["keys"].items()
        if key in (None, name) and (found := re.search(r"@(postgres-[a-z]+)[.:]", about.get("value", "")))
    }


def services() -> Iterator[Client]:
    """Yield the pods of the releases."""
    for one in (one for name in APPLICATIONS for one in rendered(name)):
        if template := template_of(one):
            namespace = one["metadata"]["namespace"]
            servers = [server_of(namespace, *reference) for reference in references(template["spec"])]
            name = f"{one['kind']}/{one['metadata']['name']}"
            yield Client(name, namespace, template["metadata"]["labels"], frozenset().union(*servers))


def steps() -> Iterator[Client]:
    """Yield the pods that Airflow makes of the steps."""
    (namespace,) = (one["value"] for one in values("airflow")["env"] if one["name"] == "APPRAISER_NAMESPACE")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPRAISER_IMAGES_ALLOW_TAGS", "true")
        for step in DATABASES:
            pod = pod_of(step, "small")
            servers = [server_of(namespace, secret.secret, secret.key) for secret in pod["secrets"]]
            yield Client(f"step {step}", namespace, pod["labels"], frozenset().union(*servers))


@cache
def clients() -> list[Client]:
    return [one for one in (*services(), *steps()) if one.servers]


def peers(server: str) -> list[tuple[str, dict[str, Any]]]:
    """Return whom a server's policy lets in to its port, each with the policy's namespace."""
    (policy,) = (one for one in rendered(server) if one["kind"] == "NetworkPolicy")
    (stateful,) = (one for one in rendered(server) if one["kind"] == "StatefulSet")
    assert chosen(policy["spec"]["podSelector"], stateful["spec"]["template"]["metadata"]["labels"])
    assert "Ingress" in policy["spec"]["policyTypes"]
    return [
        (policy["metadata"]["namespace"], peer)
        for rule in policy["spec"]["ingress"]
        if PORT in {port["port"] for port in rule["ports"]}
        for peer in rule["from"]
    ]


def lets_in(peer: dict[str, Any], own: str, client: Client) -> bool:
    """Tell whether a peer of a policy in the namespace `own` is this client."""
    namespace = {"kubernetes.io/metadata.name": client.namespace}
    where = chosen(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else own == client.namespace
    return where and chosen(peer.get("podSelector", {}), client.labels)


def chosen(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Tell whether a selector chooses what has these labels; it may ask what is equal and what is among others."""
    expressions = selector.get("matchExpressions", [])
    assert {one["operator"] for one in expressions} <= {"In"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


@pytest.mark.parametrize("server", SERVERS)
def test_whoever_is_given_a_servers_address_is_let_in(server: str) -> None:
    wanted = [one for one in clients() if server in one.servers]
    assert wanted
    assert [one.name for one in wanted if not any(lets_in(peer, own, one) for own, peer in peers(server))] == []


@pytest.mark.parametrize("server", SERVERS)
def test_nobody_is_let_in_who_has_no_address(server: str) -> None:
    wanted = [one for one in clients() if server in one.servers]
    assert [peer for own, peer in peers(server) if not any(lets_in(peer, own, one) for one in wanted)] == []


def test_the_clients_are_all_that_are_known_to_use_a_database() -> None:
    known = {"Job/migrations", "CronJob/retention", "StatefulSet/serving", "Deployment/mlflow"}
    known |= {"StatefulSet/airflow-scheduler", *(f"step {step}" for step in DATABASES)}
    assert known <= {one.name for one in clients()}
