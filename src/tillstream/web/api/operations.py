"""API routes for alerts, the live feed, the check of the figures, health and Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Literal

from msgspec import Struct, to_builtins
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from tillstream.alerts.evaluator import Alert, AlertEvaluator, Alerts
from tillstream.errors import OperationalError
from tillstream.http.openapi import Body
from tillstream.queries.overview.answers import Overview
from tillstream.queries.quarantine import QuarantineTotals
from tillstream.queries.queries import Queries
from tillstream.receipt.reasons import split_group
from tillstream.verification.check import Report
from tillstream.web.api.routing import NO_QUERY, Api, Query, Refused, refusal
from tillstream.web.live.feed import EVENT_STREAM, LiveFeed

FULL_RETRY_S = "10"
"""If the live feed is full, a viewer may try again after this number of seconds."""

PREFIX = "tillstream_"
"""The prefix of the names of the Prometheus metrics."""

Gauges = Callable[[], dict[str, float]]
Recount = Callable[[], Report]

_EXAMPLE = Alerts(
    [
        Alert(
            "silent_shop",
            "bad",
            since="2026-11-24T14:06:00",
            subject="12",
            title="Rennes Sainte-Anne",
            values={"minutes": 26},
            link="/shops/12?day=2026-11-24",
        )
    ],
    more=0,
)


class LiveOverview(Overview, frozen=True):
    """The overview of today with the active alerts: the data of the live feed."""

    alerts: list[Alert]


class LiveEvent(Struct, frozen=True):
    """An event of the live feed. `data` is JSON text: the overview of today with `alerts`, or an `error`."""

    id: str
    event: Literal["overview", "trouble"]
    data: str


class Live(Struct, frozen=True):
    """The status of a process that responds."""

    status: Literal["live"]


class Ready(Struct, frozen=True):
    """The status if figures can be read. `lag` is the number of records that are not in the figures yet."""

    status: Literal["ready"]
    lag: int


def api(alerts: AlertEvaluator, live: LiveFeed, recount: Recount | None) -> Api:
    """Return the routes `/api/v1/alerts` and `/api/v1/live`. If `recount` is not None, add `/api/v1/check`."""
    routes = Api(tag="operations")

    @routes.get("/alerts", query=NO_QUERY, body=Body(Alerts, example=to_builtins(_EXAMPLE)))
    def active_alerts(_request: Request, _query: Query) -> Alerts:
        """List the worst active alerts, and count the other active alerts. `docs/alerts.md` describes the rules."""
        return alerts.current()

    @routes.get("/live", tag="live", body=Body(LiveEvent, EVENT_STREAM))
    async def feed(_request: Request, _query: Query) -> Response:
        """Stream the overview of today as Server-Sent Events.

        An event follows within a second of a new receipt, and at least every 5 s. While the figures cannot be read,
        the event is `trouble` instead of `overview`. The id of an event is its time in milliseconds since 1970. Each
        event contains the complete overview, so missed events are not sent again.
        """
        if live.full:
            hint = f"try again in {FULL_RETRY_S} s"
            error = "the live feed has reached its viewer limit"
            return refusal(503, "", error, hint, {"Retry-After": FULL_RETRY_S})
        return live.response()

    if recount is not None:
        one_at_a_time = Lock()

        @routes.get("/check")
        def check(_request: Request, _query: Query) -> Report:
            """Compare every metric and summary with a recount of the stored receipts, like `tillstream check`."""
            with one_at_a_time:
                return recount()

    return routes


def monitoring(queries: Queries, alerts: AlertEvaluator, live: LiveFeed, gauges: Gauges) -> Api:
    """Return the routes `/health/live`, `/health/ready` and `/metrics`."""
    routes = Api("", tag="operations", secured=False)
    collectors = CollectorRegistry()
    collectors.register(_Metrics(queries, alerts, lambda: {**gauges(), "live_viewers": live.viewers}))
    ProcessCollector(registry=collectors)

    @routes.get("/health/live")
    def health_live(_request: Request, _query: Query) -> Live:
        """Report that the process responds."""
        return Live("live")

    @routes.get("/health/ready", refusals={503: "The figures cannot be read, or are not updated"})
    def health_ready(_request: Request, _query: Query) -> Ready:
        """Report whether the figures and the log can be read and the engine makes progress."""
        if (stop := queries.engine_error()) is not None:
            raise Refused(503, "", f"the figures are not updated: {stop.because}", stop.hint)
        try:
            lag = queries.lag()
            queries.summary()
        except OperationalError as error:
            raise Refused(503, "", error.because, error.hint) from error
        return Ready("ready", lag)

    @routes.get("/metrics", body=Body(str, "text/plain"))
    def prometheus(_request: Request, _query: Query) -> Response:
        """Return all gauges and counters in the text format of Prometheus."""
        return Response(generate_latest(collectors), media_type=CONTENT_TYPE_LATEST)

    return routes


class _Metrics(Collector):
    """The Prometheus metrics. Each scrape reads their current values."""

    def __init__(self, queries: Queries, alerts: AlertEvaluator, gauges: Gauges) -> None:
        self._queries = queries
        self._alerts = alerts
        self._gauges = gauges

    def describe(self) -> list[Metric]:
        """Return an empty list, so that registering the collector does not read any values."""
        return []

    def collect(self) -> Iterator[Metric]:
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(PREFIX + name, name.replace("_", " "), value)
        by_rule = GaugeMetricFamily(f"{PREFIX}alerts", "active alerts by rule", labels=["rule"])
        for rule, count in self._alerts.counts().items():
            by_rule.add_metric([rule], count)
        yield by_rule
        yield from _quarantine(self._queries.quarantine_totals())


def _quarantine(totals: QuarantineTotals) -> Iterator[Metric]:
    """Yield the metrics of the quarantine.

    Rare reasons and sources are counted together, which limits the number of label values.
    """
    name = f"{PREFIX}quarantine"
    by_reason = CounterMetricFamily(f"{name}_by_reason", "quarantine entries by reason", labels=["path", "error"])
    for reason, entries in totals.reason.items():
        by_reason.add_metric(list(split_group(reason)), entries)
    yield by_reason
    for family, text, label, counts in (
        ("by_source", "quarantine entries by source", "source", totals.source),
        ("settled", "quarantine entries by decision", "decision", totals.settled),
    ):
        counter = CounterMetricFamily(f"{name}_{family}", text, labels=[label])
        for value, entries in counts.items():
            counter.add_metric([value], entries)
        yield counter
    yield GaugeMetricFamily(f"{name}_waiting", "quarantine entries without a decision", totals.waiting)
    yield GaugeMetricFamily(
        f"{name}_waiting_bytes", "size of the quarantine entries without a decision", totals.waiting_bytes
    )
