"""What a real Prometheus has of the running service after a small history: every expression finds something."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.mlflow_server import MlflowServer
from local.postgres import Server
from steps.common.store import ledger
from steps.common.store.ledger import Alert
from tests.frontend import history
from tests.monitoring.prometheus import Prometheus, alert_rules, dashboards, promtool, scraping
from tests.serving.running import Service, body
from tests.steps.deployment import SOURCE, Deployment

PRICES = '{route="/predict-batch"}'
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{name} {panel['title']} {target['legendFormat']}")
    for name, board in dashboards().items()
    for panel in board["panels"]
    for target in panel["targets"]
]
RULES = [rule for group in alert_rules()["spec"]["groups"] for rule in group["rules"]]
# Of Prometheus itself.
OWN = {"up"}


@dataclass
class Scraped:
    """The service, and the Prometheus that has scraped it."""

    api: Service
    prometheus: Prometheus


@pytest.fixture(scope="module")
def scraped(server: Server, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """Return a service with promotions, refusals, failures and alerts behind it, asked for prices, and scraped."""
    folder = tmp_path_factory.mktemp("scraped")
    with history.served(server, mlflow_server, folder) as (deployment, api):
        _fail(deployment)
        with scraping(api.url.removeprefix("http://"), folder) as prometheus:
            prometheus.wait_until(lambda: prometheus.series('model_info{job="serving"}'))
            _ask(api)
            prometheus.wait_until(lambda: prometheus.series('increase(predictions_total{outcome="refused"}[30m]) > 0'))
            # A histogram is there from its first request on; its rate takes a second look.
            prometheus.wait_until(lambda: prometheus.series(f"rate(api_request_duration_seconds_count{PRICES}[30m])"))
            prometheus.wait_until(lambda: prometheus.series('ALERTS{alertstate="firing", alertname="StepFailing"}'))
            yield Scraped(api, prometheus)


def _fail(deployment: Deployment) -> None:
    """Let one batch be abandoned, one run find nothing, and one die at train while the next is at fetch."""
    given_up = deployment.claim("given up", 4, done="validate")
    deployment.claim("killed", 5, done="tune")
    with deployment.ledger.begin() as connection:
        assert ledger.abandon(connection, given_up)
        ledger.raise_alert(connection, Alert("ABANDONED", "batch 4 is abandoned"), "given up", 4)
        for run in ("idle", "at work"):
            ledger.append_run(connection, run, SOURCE, force_train=False)
        ledger.append_idle_run(connection, "idle", "the source is at its end")


def _ask(api: Service) -> None:
    for sent in (body(), body(state="Nowhere"), body(bed=99)):
        api.post("/predict", sent)
        api.post("/explain", sent)
    api.post("/predict-batch", {"listings": [body(), body(bed=99)]})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_of_a_dashboard_finds_a_series(scraped: Scraped, expression: str) -> None:
    # Grafana's interval covers four looks; on a busy machine these are far apart.
    assert scraped.prometheus.series(expression.replace("$__rate_interval", "30m"))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_asks_for_what_serving_tells(scraped: Scraped, rule: dict[str, str]) -> None:
    asked = set(re.findall(r"(\w+)\{", rule["expr"]))
    assert asked
    assert asked <= set(scraped.prometheus.asked("label/__name__/values")) | OWN


def test_prometheus_evaluates_every_rule_and_fills_in_its_texts(scraped: Scraped) -> None:
    found = [rule for group in scraped.prometheus.asked("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in found} == {
        rule["alert"]: ("ok", None) for rule in RULES
    }
    firing = {alert["labels"]["alertname"]: alert for rule in found for alert in rule["alerts"]}
    assert {"StepFailing", "BatchAbandonedOrQuarantined"} <= set(firing)
    assert firing["StepFailing"]["annotations"]["summary"].startswith("A run ended at the step ")
    assert "error expanding" not in str(firing)


def test_names_and_units_are_as_prometheus_wants_them(scraped: Scraped) -> None:
    linted = promtool("check", "metrics", given=scraped.api.get("/metrics").text)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_what_the_history_left_is_told(scraped: Scraped) -> None:
    def value(expression: str) -> float:
        (found,) = scraped.prometheus.series(expression)
        return float(found["value"][1])

    assert value('pipeline_failed_runs{step="train"}') == 1
    assert value('pipeline_batches_total{outcome="ABANDONED"}') == 1
    assert value('pipeline_batches_total{outcome="QUARANTINE"}') == 0
    assert value('pipeline_verdicts_total{step="promote", verdict="PROMOTE"}') == 2
    assert value("model_rmse_dollars{version='2'}") == value("model_rmse_dollars{version='3'}")
    assert value('predictions_unseen_total{field="state"}') == 2
    assert value("model_alias_version - pipeline_alias_version") == 0
    assert value("predictions_spool_limit_bytes") == 1 << 30
