"""The dashboard page: Dash lays it out; `assets/live.js` fills it from the live feed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly
from dash import Dash, html
from dash.fingerprint import build_fingerprint
from fastapi import FastAPI

from tillstream.settings import Settings
from tillstream.views.views import Views

ASSETS = Path(__file__).parent / "assets"

_INDEX = """<!doctype html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
{%css%}
</head>
<body>
{%app_entry%}
<noscript><p class="loading">The figures need JavaScript; they are also at <a href="/api/v1/summary">/api/v1/summary</a>.</p></noscript>
<footer>
{%config%}
<script defer src="PLOTLY"></script>
{%scripts%}
{%renderer%}
</footer>
</body>
</html>
"""


def mount(server: FastAPI, views: Views, settings: Settings, *, demo: bool) -> list[str]:
    """Add the page to the server; returns the hashes of its inline scripts, for the Content-Security-Policy."""
    app = Dash(
        "tillstream",
        server=server,  # type: ignore[arg-type]
        backend="fastapi",
        assets_folder=str(ASSETS),
        use_pages=False,
        title="tillstream",
        update_title="",
        index_string=_INDEX.replace("PLOTLY", plotly_path()),
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
    app.layout = lambda: layout(views, settings, demo=demo)
    return list(app.csp_hashes())


def plotly_path() -> str:
    """Where Dash serves plotly.js, with its version in the name so that browsers keep it."""
    name = build_fingerprint("package_data/plotly.min.js", plotly.__version__, "1")  # type: ignore[no-untyped-call]
    return f"/_dash-component-suites/plotly/{name}"


def layout(views: Views, settings: Settings, *, demo: bool) -> Any:
    """The page without its figures, as they change; asked for on every load."""
    return html.Div(
        [
            _header(demo=demo),
            html.Main(
                [
                    _welcome(example_curl(views, settings)),
                    html.Div([_hero(), _tiles(), _categories(), _rate(), _look()], id="figures"),
                ]
            ),
        ],
        id="page",
    )


def example_curl(views: Views, settings: Settings) -> str:
    """A command that posts a receipt of this minute."""
    receipt = {
        "cashReceiptID": "1",
        "storeID": "1",
        "date": views.local_now().isoformat(" ", "seconds"),
        "documentTotal": {"grossTotal": 4.15},
    }
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else settings.host
    return (
        f"curl http://{host}:{settings.ingest_port}/receipt -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(receipt)}'"
    )


def _header(*, demo: bool) -> Any:
    ribbon = [html.Span("DEMO", className="demo", title="invented receipts, sold by a generator")] if demo else []
    return html.Header(
        [
            html.A(["till", html.I("stream")], href="/", className="brand"),
            *ribbon,
            html.Nav(
                [
                    html.A("Today", href="/", id="nav-today"),
                    html.A("Receipts", href="/receipts"),
                    html.A("Figures", href="/figures"),
                    html.A("Set aside", href="/quarantine"),
                    html.A("API", href="/docs"),
                ]
            ),
            html.Div(className="grow"),
            html.Span([html.B("Connecting…")], id="freshness", className="pill", role="status"),
            html.Span(
                [
                    html.A("‹", id="day-before", className="step", title="the day before", href="/"),
                    html.Span(id="day-slot"),
                    html.A("›", id="day-after", className="step", title="the day after", href="/"),
                ],
                className="pill",
            ),
        ]
    )


def _welcome(command: str) -> Any:
    return html.Section(
        [
            html.H2("No receipts yet today"),
            html.P("Post one, and this page shows it within a second, without a reload:"),
            html.Pre(command, id="curl"),
        ],
        id="welcome",
        className="card span12 welcome",
        hidden=True,
    )


def _hero() -> Any:
    rows = [("Net", "net"), ("VAT", "tax"), ("Average ticket", "average-ticket")]
    return html.Section(
        [
            html.Div(
                className="column",
                children=[
                    html.H2("Sales so far", id="revenue-title"),
                    html.Div("–", id="revenue", className="big"),
                    html.Dl([part for label, name in rows for part in (html.Dt(label), html.Dd("–", id=name))]),
                ],
            ),
            html.Div([_title("Revenue over time", "cumulative, by the tills' clocks"), _plot("pace")]),
        ],
        className="card span8 hero",
    )


def _tiles() -> Any:
    return html.Section(
        [
            _tile("Receipts", "receipts", "receipts-note"),
            _tile("Receipts a minute", "receipts-per-minute", "rate-note", "in the last 60 s"),
            _tile("Delay, received to visible", "delay", "delay-note"),
            _tile("Delay, printed to received", "till-delay", "till-delay-note"),
            _tile("Items", "items", "items-note"),
            _tile("Shops selling", "stores", "stores-note"),
        ],
        className="span4 tiles",
    )


def _categories() -> Any:
    return html.Section(
        [_title("Sales by category", "amount · pieces"), _plot("categories")], className="card span5 plot-card"
    )


def _rate() -> Any:
    return html.Section(
        [_title("Receipts per minute", "by the tills' clocks"), _plot("rate")], className="card span4 column plot-card"
    )


def _look() -> Any:
    return html.Section(
        [_title("Needs a look"), html.Ul(id="look", className="look")], className="card span3 look-card"
    )


def _title(text: str, note: str = "") -> Any:
    parts: Sequence[Any] = [text, html.Span(note)] if note else [text]
    return html.H2(parts)


def _plot(name: str) -> Any:
    return html.Div(id=name, className="plot")


def _tile(label: str, name: str, note_name: str, note: str = "") -> Any:
    return html.Div(
        [html.H2(label), html.Div("–", id=name, className="value"), html.Div(note, id=note_name, className="note")],
        className="card tile",
    )
