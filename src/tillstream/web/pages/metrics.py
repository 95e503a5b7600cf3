"""Every metric of the catalogue as a page of its own: a default plot, which follows from the declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.errors import UnknownMetric
from tillstream.queries.queries import Queries
from tillstream.web.api.routes import KEY_FILTERS
from tillstream.web.pages.html import Cell, Pages, Teller, card, filters_of, table

ROWS_SHOWN = 2_000


def routes(queries: Queries, *, demo: bool) -> APIRouter:
    """`/figures`, the list of metrics, and `/figures/{name}`."""
    pages = Pages(demo=demo)

    @pages.add("/figures", "figures")
    def figures(_request: Request, tell: Teller) -> HTMLResponse:
        rows = [
            [(f'<a href="/figures/{each["name"]}">{each["name"]}</a>', ""), (escape(each["help"]), "")]
            for each in queries.catalogue()
        ]
        listed = table((tell("metric"), tell("description")), rows, tell("no_metrics"))
        return tell.page(tell("page_figures"), "figures", card(tell("page_figures"), listed))

    @pages.add("/figures/{name}", "figures")
    def figure(request: Request, tell: Teller) -> HTMLResponse:
        name, filters = request.path_params["name"], filters_of(request, KEY_FILTERS)
        try:
            found = queries.metric(name, filters)
        except UnknownMetric as error:
            body = card(tell("metric_not_found"), f"<p>{escape(str(error))}</p>")
            return tell.page(tell("page_figures"), "figures", body, 404)
        [described] = (each for each in queries.catalogue() if each["name"] == name)
        fields = {key: "date" if key == "day" else "text" for key in described["keys"]}
        body = tell.form(f"/figures/{name}", {"day": found["day"], **filters}, fields) + plot(tell, found, described)
        query = urlencode({"day": found["day"], **filters})
        links = f'<p class="more"><a href="/api/v1/metrics/{name}.csv?{escape(query)}">CSV</a></p>'
        title = f'{escape(described["help"])} <span class="quiet">{name}</span>'
        return tell.page(name, "figures", card(title, body + links))

    return pages.router


def plot(tell: Teller, found: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """A row for each row of the metric: its keys, a bar as long as its first measure, and its measures."""
    keys = [key for key in described["keys"] if key != "day"]
    measures = described["measures"]
    rows: Sequence[Mapping[str, Any]] = found["rows"][:ROWS_SHOWN]
    first = measures[0]["name"]
    numeric = measures[0]["kind"] in ("money", "count")
    largest = max((abs(Decimal(row[first])) for row in rows), default=Decimal(0)) if numeric else Decimal(0)
    lines = [_line(tell, row, keys, measures, largest, found["currency"]) for row in rows]
    shown = table((*keys, "", *(each["name"] for each in measures)), lines, tell("nothing_on_day"))
    left = len(found["rows"]) - len(rows)
    return shown + (f'<p class="note">{tell("more_rows", number=tell.count(left))}</p>' if left else "")


def _line(
    tell: Teller,
    row: Mapping[str, Any],
    keys: Sequence[str],
    measures: Sequence[Mapping[str, str]],
    largest: Decimal,
    currency: str,
) -> list[Cell]:
    percent = round(100 * abs(Decimal(row[measures[0]["name"]])) / largest) if largest else 0
    bar = f'<i class="bar" style="width:{percent}%"></i>'
    return [
        *((escape(str(row[key]).replace("T", " ")), "") for key in keys),
        (bar, "plot"),
        *(_measure(tell, row[each["name"]], each["kind"], currency) for each in measures),
    ]


def _measure(tell: Teller, value: Any, kind: str, currency: str) -> Cell:
    if kind == "money":
        return tell.money(value, currency), "number negative" if str(value).startswith("-") else "number"
    if kind == "time":
        return escape(value.replace("T", " ")), ""
    return (escape(str(value)), "") if kind == "text" else (tell.count(value), "number")
