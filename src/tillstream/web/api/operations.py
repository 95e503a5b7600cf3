"""Alerts, the live feed, the check, health and metrics over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from msgspec import convert
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.errors import OperationalError
from tillstream.http.openapi import Body
from tillstream.queries.queries import Queries
from tillstream.verification.check import Report
from tillstream.web.api.exposition import registry
from tillstream.web.api.routing import NO_QUERY, Api, Query, Refused, refusal
from tillstream.web.api.schemas.operations import Alerts, Live, LiveEvent, Ready
from tillstream.web.live.feed import EVENT_STREAM, LiveFeed

FULL_RETRY_S = "10"
"""Seconds after which a viewer may ask again for a live feed that was full."""

Gauges = Callable[[], dict[str, float]]
Recount = Callable[[], Report]

_ALERTS = {
    "alerts": [
        {
            "rule": "silent_shop",
            "level": "bad",
            "since": "2026-11-24T14:06:00",
            "subject": "12",
            "title": "Rennes Sainte-Anne",
            "values": {"minutes": 26},
            "link": "/shops/12?day=2026-11-24",
        }
    ],
    "more": 0,
}


def api(alerts: AlertEvaluator, live: LiveFeed, recount: Recount | None) -> Api:
    """`/api/v1/alerts`, `/live` and, with a `recount`, `/check`."""
    routes = Api(tag="operations")

    @routes.get("/alerts", query=NO_QUERY, body=Body(Alerts, example=_ALERTS))
    def active_alerts(_request: Request, _query: Query) -> Alerts:
        """List the active alerts, the worst first, and count further ones. `docs/alerts.md` describes the rules."""
        return convert(alerts.current(), Alerts)

    @routes.get("/live", tag="live", body=Body(LiveEvent, EVENT_STREAM))
    async def feed(_request: Request, _query: Query) -> Response:
        """Follow today's overview as Server-Sent Events: within a second of a receipt, and every 5 s at least.

        `trouble` comes instead of `overview` while the figures cannot be read. An event's id is the moment when it
        was made, in milliseconds since 1970. Each event holds the whole state, so a viewer needs none that it missed.
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
            """Compare every metric and summary with a recount of the stored receipts, as `tillstream check` does."""
            with one_at_a_time:
                return recount()

    return routes


def monitoring(queries: Queries, alerts: AlertEvaluator, live: LiveFeed, gauges: Gauges) -> Api:
    """`/health/live`, `/health/ready` and `/metrics`."""
    routes = Api("", tag="operations", secured=False)
    collectors = registry(queries, alerts, lambda: {**gauges(), "live_viewers": live.viewers})

    @routes.get("/health/live")
    def health_live(_request: Request, _query: Query) -> Live:
        """Tell that the process answers."""
        return Live("live")

    @routes.get("/health/ready", refusals={503: "The figures cannot be read, or are not updated"})
    def health_ready(_request: Request, _query: Query) -> Ready:
        """Tell whether the figures and the log can be read, and the engine runs."""
        if (trouble := queries.trouble()) is not None:
            raise Refused(503, "", f"the figures stand still: {trouble.because}", trouble.hint)
        try:
            lag = queries.lag()
            queries.summary()
        except OperationalError as error:
            raise Refused(503, "", error.because, error.hint) from error
        return Ready("ready", lag)

    @routes.get("/metrics", body=Body(str, "text/plain"))
    def prometheus(_request: Request, _query: Query) -> Response:
        """Read gauges and counters in the text format of Prometheus."""
        return Response(generate_latest(collectors), media_type=CONTENT_TYPE_LATEST)

    return routes
