"""What Prometheus is told, in base units: requests, predictions, the model, the spool; the pipeline's is beside it.

Labels have few values, whatever is asked and whoever asks. A counter starts at 0 for each of them: one that first shows
as 1 has, to Prometheus, never grown.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving import pipeline
from serving.champion import Champions, Outcome
from serving.predictions import Shipper
from serving.spool import Spool
from steps.common.columns import CATEGORIES
from steps.common.store.figures import Figures

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_PRICE_ROUTES: Final = ("/predict", "/predict-batch", "/explain")
_CARD_LABELS: Final = ("fingerprint", "features_version", "split_version", "scope_version", "git_sha", "trained_at")


class Metrics:
    """Counters of this process, in a registry of their own."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began, that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it says nothing of its types
        self.registry = CollectorRegistry(auto_describe=True)
        requests = Counter("api_requests_total", "Requests answered", ["route", "status"], registry=self.registry)
        durations = Histogram(
            "api_request_duration_seconds", "Time from the end of a request's headers to its answer's end", ["route"],
            registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip
        predictions = Counter(
            "predictions_total", "Listings priced or refused", ["route", "outcome"], registry=self.registry
        )
        unseen = Counter(
            "predictions_unseen_total", "Listings priced with a value of the field that the model has never seen",
            ["field"], registry=self.registry,
        )  # fmt: skip
        # Looking a label up takes longer than counting; routes and statuses are few.
        self._request = cache(requests.labels)
        self._duration = cache(durations.labels)
        self._prediction = cache(predictions.labels)
        self._unseen = {field: unseen.labels(field) for field in CATEGORIES}
        for route in _PRICE_ROUTES:
            for outcome in ("priced", "refused"):
                self._prediction(route, outcome)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._request(route, status).inc()
        self._duration(route).observe(seconds)

    def predicted(
        self, route: str, *, priced: int = 0, refused: int = 0, unseen: Mapping[str, int] | None = None
    ) -> None:
        """Count listings; `unseen` by field are those whose value the model has never seen."""
        if priced:
            self._prediction(route, "priced").inc(priced)
        if refused:
            self._prediction(route, "refused").inc(refused)
        for field, listings in (unseen or {}).items():
            self._unseen[field].inc(listings)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class Observed(Collector):
    """What is read off the other parts whenever somebody asks: model, spool, pipeline."""

    def __init__(
        self, champions: Champions, spool: Spool, shipper: Shipper, figures: Callable[[], Figures | None]
    ) -> None:
        self._champions = champions
        self._spool = spool
        self._shipper = shipper
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        """Describe nothing beforehand: the ledger would be asked at the start."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        yield from self._model()
        yield from self._log()
        figures = self._figures()
        yield GaugeMetricFamily("ledger_up", "Whether the ledger answers", float(figures is not None))
        if figures is not None:
            yield from pipeline.families(figures)

    def _model(self) -> Iterable[Metric]:
        champion, outcomes = self._champions.current, self._champions.outcomes
        yield GaugeMetricFamily("model_version", "Version that is served, 0 without a model",
                                champion.version if champion else 0)  # fmt: skip
        look = self._champions.newest
        if look is not None and look.outcome not in (Outcome.UNREACHABLE, Outcome.UNSTORED):
            yield GaugeMetricFamily("model_alias_version", "Version the alias named at the newest look, 0 for none",
                                    look.version or 0)  # fmt: skip
        failures = CounterMetricFamily("model_load_failures_total", "Looks at the alias that failed", labels=["reason"])
        for outcome in (Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.UNSTORED, Outcome.NO_ALIAS):
            failures.add_metric([outcome.value], outcomes[outcome])
        yield failures
        yield CounterMetricFamily("model_swaps_total", "Champions put to use", outcomes[Outcome.SWAPPED])
        if champion is None:
            return
        card = champion.bundle.card
        info = GaugeMetricFamily("model_info", "The version that is served", labels=["version", *_CARD_LABELS])
        info.add_metric([str(champion.version), *(str(card.get(name, "")) for name in _CARD_LABELS)], 1)
        yield info
        trained = _moment(card.get("trained_at"))
        if trained is not None:
            age = time.time() - trained
            yield GaugeMetricFamily("champion_age_seconds", "Time since the champion was trained", age)

    def _log(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "predictions_spool_bytes", "Predictions that wait to be shipped", self._spool.held_bytes
        )
        yield GaugeMetricFamily(
            "predictions_spool_limit_bytes", "Bytes at which predictions are refused", self._spool.most_bytes
        )
        yield GaugeMetricFamily(
            "predictions_spool_oldest_seconds", "Age of the oldest segment that waits", self._spool.oldest_seconds
        )
        yield CounterMetricFamily("predictions_shipped_total", "Predictions shipped to RAW", self._shipper.shipped)
        yield CounterMetricFamily("predictions_ship_failures_total", "Shipments that failed", self._shipper.failures)
        yield CounterMetricFamily(
            "predictions_unreadable_total", "Lines of the spool that were cut off or damaged", self._shipper.unreadable
        )


def _moment(text: object) -> float | None:
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
