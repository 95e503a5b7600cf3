"""The dashboard's server: the page, the query API, the live feed, health and metrics on one port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import FastAPI

from tillstream import __version__
from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.clock import SystemClock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.http import asgi
from tillstream.http.server import BACKLOG
from tillstream.quarantine.service import LocalQuarantineService
from tillstream.queries.queries import Queries
from tillstream.web.api import docs, health, routes
from tillstream.web.api import quarantine as quarantine_service
from tillstream.web.api.csv_panels import PANELS
from tillstream.web.api.description import describe
from tillstream.web.live.feed import LiveFeed
from tillstream.web.middleware.auth import Doorkeeper
from tillstream.web.middleware.authenticator import Entrance
from tillstream.web.middleware.security_headers import Guard
from tillstream.web.pages import anomalies, lists, metrics
from tillstream.web.pages import live as page
from tillstream.web.pages import quarantine as aside
from tillstream.web.static_files import Files

STOP_LIMIT_S = 3.0
"""Longest wait for open requests when the server stops."""

Gauges = Callable[[], dict[str, float]]


def application(
    queries: Queries,
    alerts: AlertEvaluator,
    settling: LocalQuarantineService,
    live: LiveFeed,
    settings: Settings,
    gauges: Gauges,
    recount: routes.Recount | None = None,
    entrance: Entrance | None = None,
    *,
    demo: bool = False,
) -> FastAPI:
    """The whole of what the dashboard's port answers, as an ASGI application; without an `entrance` to everybody."""
    entrance = entrance or Entrance.open()
    app = FastAPI(
        title="tillstream",
        version=__version__,
        description="What the chain sold, to the cent. Money is a decimal string, a count an integer.",
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(routes.routes(queries, alerts, live, recount), dependencies=docs.SECURITY)
    app.include_router(quarantine_service.routes(queries, settling, settings), dependencies=docs.SECURITY)
    app.include_router(health.routes(queries, alerts, live, gauges))
    app.include_router(docs.routes())
    app.include_router(lists.routes(queries, alerts, demo=demo))
    app.include_router(aside.routes(queries, settling, settings, demo=demo))
    app.include_router(anomalies.routes(queries, demo=demo))
    app.include_router(metrics.routes(queries, demo=demo))
    app.mount("/docs/files", docs.files())
    routes.add_refusals(app)
    names = {"name": [each["name"] for each in queries.catalogue()], "panel": PANELS}
    app.openapi = describe(app, names)  # type: ignore[method-assign]
    hashes = page.mount(app, queries, settings, entrance, demo=demo)
    app.add_middleware(Files)
    app.add_middleware(Doorkeeper, entrance=entrance)
    app.add_middleware(Guard, script_hashes=hashes, written=Doorkeeper.WRITTEN)
    return app


async def serve(
    queries: Queries,
    alerts: AlertEvaluator,
    settling: LocalQuarantineService,
    live: LiveFeed,
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    gauges: Gauges,
    recount: routes.Recount | None = None,
    entrance: Entrance | None = None,
    *,
    demo: bool = False,
) -> None:
    """Serve until `stop` is set, then end the live streams and the open requests; `ready` gets the bound port.

    Raises `PortTaken`, and `OperationalError` where the server ends by itself.
    """
    listener = ports.listen(settings.host, settings.dashboard_port, "--dashboard-port", BACKLOG)
    app = application(queries, alerts, settling, live, settings, gauges, recount, entrance, demo=demo)
    await asgi.serve(
        app,
        listener,
        settings,
        SystemClock(),
        name="the dashboard",
        stop=stop,
        ready=ready,
        stopping=live.close,
        limit_s=STOP_LIMIT_S,
    )
