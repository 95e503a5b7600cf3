"""The login page. It contains its style and its icon, because nothing else is served without a password."""

from __future__ import annotations

import base64
from functools import cache

from starlette.requests import Request
from starlette.responses import HTMLResponse

from tillstream.web.i18n import language_of, localizer
from tillstream.web.pages.rendering import environment
from tillstream.web.static_files import STATIC


def page(request: Request, wanted: str, problem: str = "", status: int = 200, **values: object) -> HTMLResponse:
    """The page. `wanted` is the address to open after the login, `problem` the key of an error message."""
    language = language_of(request)
    text = (
        environment(language)
        .get_template("login.html")
        .render(
            icon=_icon(),
            style=_style(),
            problem=localizer(language).text(problem, **values) if problem else "",
            wanted=wanted,
        )
    )
    headers = {"Cache-Control": "no-store"}
    if status == 429:
        headers["Retry-After"] = str(values["count"])
    return HTMLResponse(text, status, headers)


def own_address(wanted: str) -> str:
    """The address where it is one of this server's own, else the home page: a login leads nobody to another site."""
    own = wanted.startswith("/") and not wanted.startswith(("//", "/login", "/logout"))
    return wanted if own and wanted.isprintable() and "\\" not in wanted else "/"


@cache
def _style() -> str:
    return (STATIC / "style.css").read_text(encoding="utf-8")


@cache
def _icon() -> str:
    return base64.b64encode((STATIC / "favicon.svg").read_bytes()).decode()
