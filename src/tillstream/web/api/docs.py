"""The API's description for people at `/docs`: Swagger UI from the package's own files, without the network."""

from __future__ import annotations

from fastapi import APIRouter, Security
from fastapi.responses import HTMLResponse, Response
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from tillstream.web.middleware.authenticator import COOKIE

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tillstream API</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/docs/files/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/files/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null});
"""


SECURITY = [
    Security(
        HTTPBearer(auto_error=False, description="a key of `tillstream keys add --read`, once there is a password")
    ),
    Security(APIKeyHeader(name="X-API-Key", auto_error=False, description="the same key")),
    Security(APIKeyCookie(name=COOKIE, auto_error=False, description="a browser that has logged in at /login")),
]
"""How the API's description says who may ask; `doorkeeper` is what holds others off."""


def routes() -> APIRouter:
    """`/docs` and what its page loads."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    def page() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @router.get("/docs/start.js")
    def start() -> Response:
        return Response(_START, media_type="text/javascript")

    return router


def files() -> StaticFiles:
    """Swagger UI's own files, to be mounted at `/docs/files`."""
    return StaticFiles(directory=str(swagger_ui_path))
