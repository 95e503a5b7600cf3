"""The page without its figures: Dash lays it out, `assets/page` fills it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from tillstream.web.pages.i18n import english

TILES = (
    ("receipts", "receipts"),
    ("average-ticket", "average_ticket"),
    ("receipts-per-minute", "receipts_per_minute"),
    ("shops", "shops_reporting"),
    ("items-per-ticket", "items_per_ticket"),
    ("quantity", "quantity"),
    ("delay", "delay"),
)
"""Ids of the tiles, with the words above them. A part of the chain shows those that it has."""


def layout(command: str, *, demo: bool, leaves: bool = False) -> Any:
    """The whole page; `command` posts a receipt, for who has none yet; `leaves`: one can log out."""
    return html.Div(
        [
            html.A(word("skip"), href="#content", className="skip"),
            _header(demo=demo, leaves=leaves),
            html.Div(id="announce", className="sr", role="status"),
            html.Main([_crumbs(), _welcome(command), *_panels()], id="content"),
            _period(),
        ],
        id="page",
    )


def word(name: str) -> Any:
    """A text that the page writes in the viewer's language; English until then."""
    properties: dict[str, Any] = {"data-i18n": name}
    return html.Span(english(name), **properties)


def _labelled(component: Any, name: str, *children: Any, **properties: Any) -> Any:
    """A component whose meaning only its label tells."""
    return component(
        list(children), title=english(name), **{"aria-label": english(name), "data-i18n-label": name}, **properties
    )


def _titled(component: Any, name: str, *children: Any, **properties: Any) -> Any:
    """A component that says what it is, with a title beside: a label would take its place for who hears the page."""
    return component(list(children), title=english(name), **{"data-i18n-title": name}, **properties)


def _header(*, demo: bool, leaves: bool) -> Any:
    ribbon = [html.Span("DEMO", className="demo", title="invented receipts, sold by a generator")] if demo else []
    return html.Header(
        [
            html.A(["till", html.I("stream")], href="/", className="brand"),
            *ribbon,
            html.Nav(
                [
                    html.A(word("today"), href="/", id="nav-today"),
                    html.A(word("shops_nav"), href="/shops"),
                    html.A(word("receipts_nav"), href="/receipts"),
                    html.A(word("figures_nav"), href="/figures"),
                    html.A(word("alerts_nav"), href="/alerts"),
                    html.A(word("quarantine_nav"), href="/quarantine"),
                    html.A(word("api_nav"), href="/docs"),
                ]
            ),
            html.Div(className="grow"),
            html.Span([html.B(word("connecting"))], id="freshness", className="pill"),
            html.Div(
                [
                    _labelled(html.A, "before_label", "‹", id="day-before", className="step", href="/"),
                    _titled(
                        html.Button,
                        "period_label",
                        html.B("–", id="period-name"),
                        html.Span([word("vs"), " ", html.Span("–", id="vs-name")], className="against"),
                        id="period",
                        type="button",
                    ),
                    _labelled(html.A, "after_label", "›", id="day-after", className="step", href="/"),
                ],
                className="pill period",
            ),
            _labelled(html.Button, "language_label", "FR", id="language", className="pill", type="button"),
            *([_leave()] if leaves else []),
        ]
    )


def _leave() -> Any:
    button = html.Button(word("log_out"), className="pill", type="submit")
    return html.Form(button, action="/logout", method="POST", className="leave")


def _crumbs() -> Any:
    return html.Nav([], id="crumbs", className="crumbs span12", hidden=True)


def _welcome(command: str) -> Any:
    return html.Section(
        [html.H2(word("welcome")), html.P(word("welcome_text")), html.Pre(command, id="curl")],
        id="welcome",
        className="card span12 welcome",
        hidden=True,
    )


def _panels() -> Sequence[Any]:
    return [
        _hero(),
        html.Section([_tile(*each) for each in TILES], className="span4 tiles"),
        _card(
            "categories",
            "span5",
            "sales_by_category",
            _table("categories"),
            note="sales_by_category_note",
            panel="categories",
        ),
        _card("hours", "span4", "hours", html.Div(id="hours"), note="hours_note", panel="hours"),
        _card("look", "span3", "attention", html.Ul(id="look", className="look")),
        _card("shops", "span4", "shops", _table("shops"), note="shops_note", panel="shops"),
        _card("tills", "span4", "tills", _table("tills"), panel="tills"),
        _card("latest", "span5", "latest", html.Ol(id="latest", className="latest"), panel="latest"),
        _money(),
        _products(),
        _card("rate", "span5", "receipts_per_minute", _plot("rate"), title_id="rate-title", panel="pace"),
    ]


def _hero() -> Any:
    return html.Section(
        [
            html.Div(
                [
                    html.H2(word("sales_so_far"), id="revenue-title"),
                    html.Div("–", id="revenue", className="big"),
                    html.P(id="revenue-note", className="note"),
                    html.Dl(id="facts"),
                ],
                className="column",
            ),
            html.Div(
                [_title("pace", note_id="pace-note", panel="pace"), _plot("pace")], className="column", id="pace-column"
            ),
        ],
        className="card span8 hero",
    )


def _money() -> Any:
    return html.Div(
        [
            _card(
                "payments",
                "",
                "payments",
                html.Div(id="payments-bar", className="stack"),
                html.Dl(id="payments"),
                panel="payments",
            ),
            _card("vat", "", "vat_by_rate", html.Dl(id="rates"), panel="vat"),
        ],
        className="span3 stacked",
    )


def _products() -> Any:
    sinking = html.Div([html.H3(word("declining_products")), _table("sinking")], id="products-sinking")
    top = html.Div([html.H3(word("top_products")), _table("top")])
    return _card("products", "span7", "products", html.Div([top, sinking], className="halves"), panel="products")


def _card(name: str, span: str, title: str, *content: Any, note: str = "", panel: str = "", title_id: str = "") -> Any:
    head = _title(title, note=note, panel=panel, title_id=title_id)
    return html.Section([head, *content], id=f"card-{name}", className=f"card {span}".strip())


def _title(name: str, *, note: str = "", note_id: str = "", panel: str = "", title_id: str = "") -> Any:
    parts: list[Any] = [html.Span(word(name), id=title_id) if title_id else html.Span(word(name))]
    if note:
        parts.append(html.Span(word(note), className="quiet"))
    if note_id:
        parts.append(html.Span(id=note_id, className="quiet"))
    if panel:
        parts.append(_labelled(html.A, "csv_label", "CSV", href="#", className="csv", **{"data-panel": panel}))
    return html.H2(parts)


def _tile(name: str, title: str) -> Any:
    return html.Div(
        [html.H2(word(title)), html.Div("–", className="value"), html.Div(className="note")],
        id=f"tile-{name}",
        className="card tile",
    )


def _table(name: str) -> Any:
    return html.Table(html.Tbody(id=name), className="rows")


def _plot(name: str) -> Any:
    return html.Div(id=name, className="plot")


def _period() -> Any:
    def field(name: str, title: str) -> Any:
        return html.Label([word(title), html.Div(id=f"slot-{name}")])

    return html.Dialog(
        [
            html.Form(
                [
                    html.H2(word("period")),
                    html.Div(id="period-quick", className="quick"),
                    html.Div(
                        [
                            field("period-from", "from"),
                            field("period-to", "to"),
                            field("period-vs", "compare_with"),
                        ],
                        className="fields",
                    ),
                    html.Div(
                        [
                            html.Button(word("close"), id="period-close", type="button"),
                            html.Button(word("show"), type="submit", className="primary"),
                        ],
                        className="actions",
                    ),
                ],
                id="period-form",
            )
        ],
        id="period-dialog",
    )
