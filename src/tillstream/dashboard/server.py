"""The dashboard's server: the page, the query API, the live feed, health and metrics on one port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import structlog
from fastapi import FastAPI
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tillstream import __version__, ports
from tillstream.dashboard import api, docs, health, lists, page
from tillstream.dashboard.guard import Guard
from tillstream.dashboard.live import LiveFeed
from tillstream.errors import OperationalError
from tillstream.settings import Settings
from tillstream.views import Views

STOP_LIMIT_S = 3.0
"""Longest wait for open requests when the server stops."""

BACKLOG = 256

Gauges = Callable[[], dict[str, float]]

logger = structlog.get_logger()


def application(
    views: Views,
    live: LiveFeed,
    settings: Settings,
    gauges: Gauges,
    recount: api.Recount | None = None,
    *,
    demo: bool = False,
) -> FastAPI:
    """The whole of what the dashboard's port answers, as an ASGI application."""
    app = FastAPI(
        title="tillstream",
        version=__version__,
        description="What the chain sold, to the cent. Money is a decimal string, a count an integer.",
        docs_url=None,
        redoc_url=None,
    )
    # Swagger UI as packaged reads 3.0 only.
    app.openapi_version = "3.0.3"
    app.include_router(api.routes(views, live, recount))
    app.include_router(health.routes(views, live, gauges))
    app.include_router(docs.routes())
    app.include_router(lists.routes(views, demo=demo))
    app.mount("/docs/files", docs.files())
    api.add_refusals(app)
    hashes = page.mount(app, views, settings, demo=demo)
    app.add_middleware(Guard, script_hashes=hashes)
    return app


async def serve(
    views: Views,
    live: LiveFeed,
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    gauges: Gauges,
    recount: api.Recount | None = None,
    *,
    demo: bool = False,
) -> None:
    """Serve until `stop` is set, then end the live streams and the open requests; `ready` gets the bound port.

    Raises `PortTaken`, and `OperationalError` where the server ends by itself.
    """
    listener = ports.listen(settings.host, settings.dashboard_port, "--dashboard-port", BACKLOG)
    port: int = listener.getsockname()[1]
    server = _Server(application(views, live, settings, gauges, recount, demo=demo), settings, listener)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        ready(port)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not stop.is_set():
            raise OperationalError(
                "serve", f"the dashboard on port {port}", serving.exception() or "it ended by itself"
            )
    finally:
        stopping.cancel()
        live.close()
        server.stop()  # type: ignore[no-untyped-call]
        await _finish(serving)


async def _finish(serving: asyncio.Task[None]) -> None:
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await asyncio.wait((serving,))
    except TimeoutError:
        logger.warning("dashboard.cut_off", reason="requests were still open", seconds=STOP_LIMIT_S)
        serving.cancel()


class _Server(Server):
    """granian on a socket that is bound already, so that port 0 is known and a taken one is refused."""

    def __init__(self, app: FastAPI, settings: Settings, listener: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=settings.header_timeout_ms),
            backpressure=settings.connection_limit,
            websockets=False,
            log_enabled=False,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        self._listener.setblocking(False)
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # type: ignore[call-arg, assignment]
