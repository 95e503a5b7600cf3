"""The page that asks for the password. Everything that it needs is in it: without the password nothing else is shown."""

from __future__ import annotations

import base64
from functools import cache
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse

from tillstream.web.pages.i18n import say, spoken

ASSETS = Path(__file__).parents[1] / "static"

_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title} · tillstream</title>
<link rel="icon" href="data:image/svg+xml;base64,{icon}">
<style>{style}</style>
</head>
<body>
<header><span class="brand">till<i>stream</i></span></header>
<main class="login">
<form class="card" action="/login" method="post">
<h1>{title}</h1>
{problem}
<input type="hidden" name="next" value="{next}">
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus{described}>
<button>{enter}</button>
</form>
</main>
</body>
</html>
"""

_STYLE = """
.login { display: block; max-width: 400px; padding-top: 12vh; }
.login form { display: grid; gap: 10px; padding: 26px; }
.login h1 { margin-bottom: 8px; }
.login label { color: var(--mute); font-size: 12px; font-weight: 600; }
.login input, .login button { min-height: 40px; padding: 0 12px; border: 1px solid var(--line); border-radius: 8px; font: inherit; }
.login input { color: var(--ink); background: var(--paper); }
.login button { margin-top: 6px; color: var(--card); background: var(--accent); border-color: var(--accent); font-weight: 600; }
.login p { margin: 0; }
"""


def page(request: Request, wanted: str, problem: str = "", status: int = 200, **values: object) -> HTMLResponse:
    """The page; `wanted` is where it leads, `problem` the key of the words that say why it is shown again."""
    language = spoken(request)
    filled = _PAGE.format(
        language=language,
        title=escape(say(language, "login_title")),
        icon=_icon(),
        style=_style(),
        problem=f'<p class="bad" id="problem" role="alert">{escape(say(language, problem, **values))}</p>'
        if problem
        else "",
        described=' aria-describedby="problem"' if problem else "",
        next=escape(wanted),
        password=escape(say(language, "password")),
        enter=escape(say(language, "log_in")),
    )
    headers = {"Cache-Control": "no-store"}
    if status == 429:
        headers["Retry-After"] = str(values["count"])
    return HTMLResponse(filled, status, headers)


def inside(wanted: str) -> str:
    """The address where it is one of this server's own, else the page's: nobody is led elsewhere after a login."""
    own = wanted.startswith("/") and not wanted.startswith(("//", "/login", "/logout"))
    return wanted if own and wanted.isprintable() and "\\" not in wanted else "/"


@cache
def _style() -> str:
    return (ASSETS / "style.css").read_text(encoding="utf-8") + _STYLE


@cache
def _icon() -> str:
    return base64.b64encode((ASSETS / "favicon.svg").read_bytes()).decode()
