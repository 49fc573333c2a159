"""What a pod may ask for, in the forms it may be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from local.pod_environment import expand
from local.pod_spec import PodInvalid, admit, memory_limit, quality_of_service
from local.pod_table import human_duration

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("128Mi", 128 << 20), ("1.5Gi", 3 << 29), ("2G", 2_000_000_000), ("1500k", 1_500_000), ("1e3", 1000),
        ("1E3", 1000), (1048576, 1 << 20), ("128974848000m", 128_974_848), ("1E", 10**18), (None, None),
    ],
)  # fmt: skip
def test_quantities_of_memory(quantity: object, size: int | None) -> None:
    assert memory_limit({"resources": {"limits": {"memory": quantity}}}) == size


@pytest.mark.parametrize("quantity", ["", "Mi", "1 Gi", "-1", "1GiB", "1.2.3"])
def test_what_is_no_quantity(quantity: str) -> None:
    with pytest.raises(PodInvalid, match=r"limits\.memory"):
        memory_limit({"resources": {"limits": {"memory": quantity}}})


def test_no_limit_without_resources() -> None:
    assert memory_limit({}) is None
    assert memory_limit({"resources": {"limits": None}}) is None


def test_defaults_of_an_admitted_pod() -> None:
    body = {
        "metadata": {"name": "a"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": "x:1"}]},
    }
    pod = admit(body, MOMENT)
    assert pod["metadata"]["namespace"] == "appraiser"
    assert pod["metadata"]["creationTimestamp"] == "2026-03-01T12:00:00Z"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 30
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert body["metadata"] == {"name": "a"}, "the request is left as it was"


@pytest.mark.parametrize(
    ("limits", "requests", "quality"),
    [
        ({}, {}, "BestEffort"),
        ({"cpu": "1", "memory": "1Gi"}, {}, "Guaranteed"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "500m", "memory": "1Gi"}, "Burstable"),
        ({"memory": "1Gi"}, {}, "Burstable"),
    ],
)
def test_quality_of_service(limits: dict[str, str], requests: dict[str, str], quality: str) -> None:
    assert quality_of_service({"containers": [{"resources": {"limits": limits, "requests": requests}}]}) == quality


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"), ("-$(A)-$(B)-", "-1-2-"), ("$(C)", "$(C)"), ("$$(A)", "$(A)"), ("$$", "$"), ("$A", "$A"),
        ("$(A", "$(A"), ("$()", "$()"),
    ],
)  # fmt: skip
def test_references_to_variables(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


@pytest.mark.parametrize(
    ("age", "written"),
    [
        (timedelta(seconds=-1), "0s"), (timedelta(seconds=119), "119s"), (timedelta(seconds=125), "2m5s"),
        (timedelta(minutes=3), "3m"), (timedelta(minutes=12, seconds=5), "12m"),
        (timedelta(hours=3, minutes=5), "3h5m"),
        (timedelta(hours=9, minutes=5), "9h"), (timedelta(hours=47), "47h"), (timedelta(days=3, hours=4), "3d4h"),
        (timedelta(days=30, hours=4), "30d"), (timedelta(days=800), "2y"),
    ],
)  # fmt: skip
def test_durations_as_kubectl_writes_them(age: timedelta, written: str) -> None:
    assert human_duration(int(age.total_seconds())) == written
