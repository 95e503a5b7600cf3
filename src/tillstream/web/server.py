"""The server of the dashboard: pages, API, live feed, health and metrics on one port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tillstream.access.sessions import COOKIE
from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.clock import Clock, SystemClock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, DatabaseUnavailable, OperationalError, UnknownMetric
from tillstream.http import asgi, html, openapi
from tillstream.http.html import Document
from tillstream.http.server import BACKLOG
from tillstream.quarantine.service import LocalQuarantineService
from tillstream.queries.queries import Queries
from tillstream.web import static_files
from tillstream.web.api import figures, operations, quarantine
from tillstream.web.api.operations import Gauges, LiveOverview, Recount
from tillstream.web.api.routing import Api, Refused, refusal
from tillstream.web.live.feed import LiveFeed
from tillstream.web.middleware.auth import Authentication, Authenticator
from tillstream.web.middleware.security import SecurityHeaders
from tillstream.web.pages import lists
from tillstream.web.pages import live as live_page
from tillstream.web.pages import quarantine as quarantine_pages
from tillstream.web.pages.rendering import Pages

STOP_LIMIT_S = 3.0
"""The maximum wait for open requests when the server stops."""

RETRY_AFTER_S = "1"

DESCRIPTION = "The sales of the chain. Amounts of money are decimal strings, counts are integers."
SECURITY = {
    **openapi.key_schemes("an API key of `tillstream keys add --read`, if a password is set"),
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "a session, after a login at /login"},
}


def live_feed(queries: Queries, alerts: AlertEvaluator, settings: Settings, clock: Clock) -> LiveFeed:
    """Return the live feed, which sends the overview of today with the active alerts."""

    def read() -> LiveOverview:
        return LiveOverview(**asdict(queries.overview()), alerts=alerts.current().alerts)

    return LiveFeed("overview", read, queries.engine_error, settings, clock)


def application(
    queries: Queries,
    alerts: AlertEvaluator,
    service: LocalQuarantineService,
    live: LiveFeed,
    settings: Settings,
    gauges: Gauges,
    authenticator: Authenticator,
    recount: Recount | None = None,
    *,
    demo: bool = False,
) -> Starlette:
    """Return the ASGI application of the dashboard. Without `recount`, the path `/api/v1/check` is missing."""
    pages = Pages(demo=demo)
    lists.add(pages, queries, alerts)
    quarantine_pages.add(pages, queries, service)
    apis = (
        figures.api(queries),
        operations.api(alerts, live, recount),
        quarantine.api(queries, service, settings),
        operations.monitoring(queries, alerts, live, gauges),
    )
    return Starlette(
        routes=[
            *(route for api in apis for route in api.routes),
            *pages.routes,
            *quarantine_pages.forms(service, demo=demo),
            *live_page.routes(queries, settings, keyed=authenticator.ingest_requires_key, demo=demo),
            *_documentation(*apis),
            Mount("/assets", static_files.StaticFolder(static_files.STATIC)),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(Authentication, authenticator=authenticator),
            Middleware(
                GZipMiddleware, minimum_size=static_files.MIN_COMPRESSED_BYTES, compresslevel=static_files.LEVEL
            ),
        ],
        exception_handlers=_HANDLERS,
    )


def _documentation(*apis: Api) -> list[Route | Mount]:
    """Return the routes of `/openapi.json`, and of `/docs` and its files."""

    def describe() -> openapi.JsonSchema:
        operations = (operation for api in apis for operation in api.operations)
        return openapi.document("tillstream", DESCRIPTION, operations, SECURITY)

    def route(path: str, document: Document) -> Route:
        return Route(path, lambda _request: Response(document.body(), media_type=document.content_type))

    documents = html.documentation("tillstream API", describe, "/docs/files", "/assets/favicon.svg")
    return [
        *(route(path, document) for path, document in documents.items()),
        Mount("/docs/files", static_files.StaticFolder(html.SWAGGER_UI)),
    ]


def _unavailable(_request: Request, error: Any) -> Response:
    return refusal(503, "", error.because, error.hint or "try again", {"Retry-After": RETRY_AFTER_S})


_HANDLERS: dict[Any, Callable[[Request, Any], Response]] = {
    BadQuery: lambda _, error: refusal(400, error.path, error.error, error.hint),
    Refused: lambda _, error: error.response,
    UnknownMetric: lambda _, error: refusal(404, "name", str(error), "see /api/v1/metrics"),
    DatabaseUnavailable: _unavailable,
    OperationalError: _unavailable,
    HTTPException: lambda request, error: refusal(
        error.status_code, request.url.path, str(error.detail), "", error.headers
    ),
    Exception: lambda *_: refusal(500, "", "internal error", "see the log of the server"),
}


async def serve(
    app: Starlette, live: LiveFeed, settings: Settings, stop: asyncio.Event, ready: Callable[[int], None]
) -> None:
    """Serve the application until `stop` is set. Then end the live feed and wait for open requests.

    When the server is ready, it calls `ready` with its port. Raises `PortTaken` if the port is in use, and
    `OperationalError` if the server fails.
    """
    await asgi.serve(
        app,
        ports.listen(settings.host, settings.dashboard_port, "--dashboard-port", BACKLOG),
        settings,
        SystemClock(),
        name="the dashboard",
        stop=stop,
        ready=ready,
        stopping=live.close,
        limit_s=STOP_LIMIT_S,
    )
