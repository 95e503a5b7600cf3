"""The dashboard page as an application of Dash, which serves it under every address that is no page's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dash import Dash
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries
from tillstream.web.middleware.authenticator import Entrance
from tillstream.web.pages.layout import layout

ASSETS = Path(__file__).parents[1] / "static"

PLACES = re.compile(r"/(?:regions|shops|categories|products)/[^/]+|/shops/[^/]+/tills/[^/]+")
"""Parts of the chain that have the same page as the whole: `assets/page/period.js` reads them."""


class Places:
    """Answers for every part of the chain what it answers for the whole: the page itself is the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # An id may have a slash in it, which the decoded path no longer tells from a separator.
        if scope["type"] == "http" and PLACES.fullmatch(scope.get("raw_path", b"").decode("latin-1").split("?")[0]):
            scope = {**scope, "path": "/", "raw_path": b"/"}
        await self._app(scope, receive, send)


_INDEX = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
{%css%}
<link rel="modulepreload" href="/assets/page/main.js">
</head>
<body>
{%app_entry%}
<noscript><p class="loading">The figures need JavaScript; they are also at <a href="/api/v1/summary">/api/v1/summary</a>.</p></noscript>
<footer>
{%config%}
{%scripts%}
{%renderer%}
<script type="module" src="/assets/page/main.js"></script>
</footer>
</body>
</html>
"""


def mount(server: FastAPI, queries: Queries, settings: Settings, entrance: Entrance, *, demo: bool) -> list[str]:
    """Add the page to the server; returns the hashes of its inline scripts, for the Content-Security-Policy."""
    app = Dash(
        "tillstream",
        server=server,  # type: ignore[arg-type]
        backend="fastapi",
        assets_folder=str(ASSETS),
        # The page's own script is a module that loads its others itself.
        assets_ignore=r".*\.js$",
        use_pages=False,
        title="tillstream",
        update_title="",
        index_string=_INDEX,
        meta_tags=[
            {"charset": "utf-8"},
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "color-scheme", "content": "light dark"},
        ],
        add_log_handler=False,
        enable_mcp=False,
    )
    # The page has no callbacks and its updates come by SSE; a browser told of a WebSocket would open it.
    app.backend.websocket_capability = False
    # Without this the browser would ask the makers of Dash for the newest version.
    app.enable_dev_tools(debug=False, dev_tools_disable_version_check=True)
    app.layout = lambda: layout(
        example_curl(queries, settings, keyed=entrance.ingest_asks), demo=demo, leaves=entrance.asks
    )
    server.add_middleware(Places)
    return list(app.csp_hashes())


def example_curl(queries: Queries, settings: Settings, *, keyed: bool = False) -> str:
    """A command that posts a receipt of this minute."""
    receipt = {
        "cashReceiptID": "1",
        "storeID": "1",
        "date": queries.local_now().isoformat(" ", "seconds"),
        "documentTotal": {"grossTotal": 4.15},
    }
    key = "  -H 'Authorization: Bearer KEY' \\\n" if keyed else ""
    return (
        f"curl {_posted_to(settings)}/receipt -H 'Content-Type: application/json' \\\n{key}  -d '{json.dumps(receipt)}'"
    )


def _posted_to(settings: Settings) -> str:
    if settings.ingest_url:
        return settings.ingest_url.rstrip("/")
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else settings.host
    scheme = "https" if settings.tls else "http"
    return f"{scheme}://{host}:{settings.ingest_port}"
