"""The live page. Its scripts fill it with data from the live feed and the API."""

from __future__ import annotations

import json
import re

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries
from tillstream.web.pages.rendering import Page
from tillstream.web.static_files import STATIC

SCOPES = re.compile(r"/(?:regions|shops|categories|products)/[^/]+|/shops/[^/]+/tills/[^/]+")
"""The paths of the live page for a part of the chain. `static/page/period.js` parses the same paths."""

TILES = {
    "receipts": "receipts",
    "average-ticket": "average_ticket",
    "receipts-per-minute": "receipts_per_minute",
    "shops": "shops_reporting",
    "items-per-ticket": "items_per_ticket",
    "quantity": "quantity",
    "delay": "delay",
}
"""For each tile: its HTML id without the prefix `tile-`, and the message key of its title.

If the page shows only a part of the chain, it may have fewer tiles.
"""

MODULES = tuple(f"/assets/page/{path.name}" for path in sorted((STATIC / "page").glob("*.js")))
"""The paths of all script modules. The page preloads them, so that the browser loads them in parallel."""


class _Rest(StringConvertor):
    """Matches the rest of a path, which may contain slashes and is not empty."""

    regex = ".+"


register_url_convertor("rest", _Rest())


def routes(queries: Queries, settings: Settings, *, keyed: bool, demo: bool) -> list[Route]:
    """Return the routes of the live page. If `keyed`, the example command contains the placeholder KEY."""

    def live(request: Request) -> HTMLResponse:
        command = example_curl(queries, settings, keyed=keyed)
        return Page(request, "live", demo).render("live.html", command=command, tiles=TILES, modules=MODULES)

    def scope(request: Request) -> HTMLResponse:
        # Use the raw path, because in the decoded path an encoded slash in an id looks like a separator.
        path = request.scope.get("raw_path", b"").decode("latin-1").split("?")[0]
        if not SCOPES.fullmatch(path):
            raise HTTPException(404)
        return live(request)

    kinds = ("regions", "shops", "categories", "products")
    return [Route("/", live), *(Route(f"/{kind}/{{id:rest}}", scope) for kind in kinds)]


def example_curl(queries: Queries, settings: Settings, *, keyed: bool = False) -> str:
    """Return a command that posts a receipt with the current time. If `keyed`, the command has the placeholder KEY."""
    receipt = {
        "cashReceiptID": "1",
        "storeID": "1",
        "date": queries.local_now().isoformat(" ", "seconds"),
        "documentTotal": {"grossTotal": 4.15},
    }
    key = "  -H 'Authorization: Bearer KEY' \\\n" if keyed else ""
    return (
        f"curl {_ingest_address(settings)}/receipt -H 'Content-Type: application/json' \\\n"
        f"{key}  -d '{json.dumps(receipt)}'"
    )


def _ingest_address(settings: Settings) -> str:
    if settings.ingest_url:
        return settings.ingest_url.rstrip("/")
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else settings.host
    scheme = "https" if settings.tls else "http"
    return f"{scheme}://{host}:{settings.ingest_port}"
