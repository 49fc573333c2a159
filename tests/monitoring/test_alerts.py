"""The alert rules as data, and by promtool: each fires when it must, and does not when it must not."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.prometheus import alert_rules, promtool, write_rules

# Those over days are evaluated less often: a day of minutes takes seconds.
TESTS = sorted(Path(__file__).parent.glob("alerts_in_*.yaml"))
CASES = [case for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]]
RULES = {rule["alert"]: rule for group in alert_rules()["spec"]["groups"] for rule in group["rules"]}


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    checked = promtool("check", "rules", write_rules(tmp_path))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout, "two alerts of one name"


def test_each_alert_fires_when_it_must_and_only_then(tmp_path: Path) -> None:
    write_rules(tmp_path)
    tested = promtool("test", "rules", *(shutil.copy(path, tmp_path) for path in TESTS))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", RULES)
def test_the_tests_have_a_moment_with_and_one_without_each_alert(alert: str) -> None:
    for case in CASES:
        moments = [str(one["exp_samples"]) for one in case["promql_expr_test"]]
        if any(alert in one for one in moments) and not all(alert in one for one in moments):
            return
    pytest.fail(f"no test in which {alert} both fires and does not")


@pytest.mark.parametrize(("alert", "rule"), RULES.items())
def test_an_alert_says_what_is_wrong_and_what_to_run(alert: str, rule: dict[str, Any]) -> None:
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook"}, alert
    assert "\n" not in told["summary"].strip()
    assert len(told["description"]) > len(told["summary"]) / 2
    assert re.search(r"kubectl|curl|python -m|As for \w+", told["runbook"]), alert
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    for other in re.findall(r"As for (\w+)", told["runbook"]):
        assert other in RULES


def test_the_operator_of_our_release_reads_the_rules() -> None:
    manifest = alert_rules()
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["metadata"]["labels"]["release"] == "monitoring"
