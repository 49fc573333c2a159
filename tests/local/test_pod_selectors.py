"""Label and field selectors."""

from __future__ import annotations

import pytest

from local.pod_selectors import SelectorInvalid, select

POD = {
    "metadata": {"name": "a", "labels": {"step": "fetch", "example.com/run": "1", "empty": ""}},
    "status": {"phase": "Running"},
}
EVENT = {
    "metadata": {"name": "a.1"},
    "involvedObject": {"name": "a", "kind": "Pod"},
    "source": {"component": "kubelet"},
    "type": "Normal",
}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("step=fetch", True),
        ("step==fetch", True),
        ("step = fetch , example.com/run=1", True),
        ("step=train", False),
        ("step!=train", True),
        ("none!=train", True),
        ("step!=fetch", False),
        ("empty=", True),
        ("empty", True),
        ("none", False),
        ("!none", True),
        ("! step", False),
        ("step in (fetch, train)", True),
        ("step in (train)", False),
        ("step notin (train),step", True),
        ("none notin (train)", True),
        ("step notin (fetch)", False),
    ],
)
def test_label_selectors(selector: str, matches: bool) -> None:
    assert select("pods", selector, "")(POD) is matches


@pytest.mark.parametrize("selector", ["=a", "a=b=c", "a in b", "a in (b", "a,,b", "a > 1", "!"])
def test_label_selectors_that_are_none(selector: str) -> None:
    with pytest.raises(SelectorInvalid):
        select("pods", selector, "")


def test_a_pod_without_labels_has_none() -> None:
    assert select("pods", "!step", "")({"metadata": {"name": "a", "labels": None}})


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("metadata.name=a", True),
        ("metadata.name!=a", False),
        ("metadata.name==a,status.phase=Running", True),
        ("status.phase=Failed", False),
        ("spec.nodeName=", True),
    ],
)
def test_field_selectors(selector: str, matches: bool) -> None:
    assert select("pods", "", selector)(POD) is matches


def test_field_selectors_of_events() -> None:
    assert select("events", "", "involvedObject.name=a,involvedObject.kind=Pod,type!=Warning,source=kubelet")(EVENT)
    assert not select("events", "", "source=scheduler")(EVENT)


@pytest.mark.parametrize("selector", ["spec.image=a", "involvedObject.name=a", "metadata.name", "a=b=c"])
def test_field_selectors_that_are_none(selector: str) -> None:
    with pytest.raises(SelectorInvalid):
        select("pods", "", selector)
