"""Health and Prometheus metrics of the process that serves the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.errors import OperationalError
from tillstream.queries.queries import Queries
from tillstream.receipt.reasons import split_group
from tillstream.web.api import schemas
from tillstream.web.api.description import answered
from tillstream.web.api.routes import Answer, refusal
from tillstream.web.live.feed import LiveFeed

PREFIX = "tillstream_"


class _Gauges(Collector):
    """Figures that are read at the moment they are asked for."""

    def __init__(self, read: Callable[[], dict[str, float]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, value in self._read().items():
            yield GaugeMetricFamily(PREFIX + name, name.replace("_", " "), value)

    def describe(self) -> list[GaugeMetricFamily]:
        return []


class _Alerts(Collector):
    """How many alerts of each rule stand."""

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(PREFIX + "alerts", "alerts that stand, by rule", labels=["rule"])
        for rule, count in self._counts().items():
            family.add_metric([rule], count)
        yield family

    def describe(self) -> list[GaugeMetricFamily]:
        return []


class _Quarantine(Collector):
    """What was set aside so far: by reason and by source, of each a bounded number that stays the same."""

    def __init__(self, totals: Callable[[], dict[str, Any]]) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        totals = self._totals()
        name = PREFIX + "quarantine"
        by_reason = CounterMetricFamily(f"{name}_by_reason", "entries, by reason", labels=["path", "error"])
        for reason, entries in totals["reason"].items():
            by_reason.add_metric(list(split_group(reason)), entries)
        yield by_reason
        for family, text, label, counted in (
            ("by_source", "entries, by source", "source", totals["source"]),
            ("settled", "entries that somebody settled", "decision", totals["settled"]),
        ):
            counter = CounterMetricFamily(f"{name}_{family}", text, labels=[label])
            for value, entries in counted.items():
                counter.add_metric([value], entries)
            yield counter
        yield GaugeMetricFamily(f"{name}_waiting", "entries that nobody settled yet", totals["waiting"])
        yield GaugeMetricFamily(f"{name}_waiting_bytes", "bytes of their originals", totals["waiting_bytes"])

    def describe(self) -> list[Metric]:
        return []


def routes(
    queries: Queries, alerts: AlertEvaluator, live: LiveFeed, gauges: Callable[[], dict[str, float]]
) -> APIRouter:
    """`/health/live`, `/health/ready` and `/metrics`."""
    router = APIRouter(tags=["operations"])
    registry = CollectorRegistry()
    registry.register(_Gauges(lambda: {**gauges(), "live_viewers": live.viewers}))
    registry.register(_Alerts(alerts.counts))
    registry.register(_Quarantine(queries.quarantine_totals))
    ProcessCollector(registry=registry)

    @router.get("/health/live", responses=answered(schemas.record(status=schemas.TEXT)))
    def alive() -> Answer:
        """The process answers."""
        return Answer({"status": "live"})

    @router.get(
        "/health/ready",
        responses=answered(schemas.record(status=schemas.TEXT, lag=schemas.COUNT))
        | {503: {"description": "The figures cannot be read, or stand still"}},
    )
    def ready() -> Answer:
        """The database and the log can be read, and the engine goes on."""
        if (trouble := queries.trouble()) is not None:
            return refusal(503, "", f"the figures stand still: {trouble.because}", trouble.hint)
        try:
            lag = queries.lag()
            queries.summary()
        except OperationalError as error:
            return refusal(503, "", error.because, error.hint)
        return Answer({"status": "ready", "lag": lag})

    @router.get("/metrics", response_class=Response, responses=answered({"type": "string"}, "text/plain"))
    def metrics() -> Response:
        """Gauges in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
