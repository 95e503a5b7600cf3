"""Receipts, shops and alerts as plain HTML, for people who follow a figure to its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.queries.queries import Queries
from tillstream.web.api.routes import RECEIPT_FILTERS
from tillstream.web.pages.html import Cell, Pages, Teller, card, filters_of, table
from tillstream.web.pages.receipt import paper

FIELDS = {"day": "date", "store": "text", "till": "text", "receipt": "text"}
"""What the list of receipts asks for, by the kind of its field."""


def routes(queries: Queries, alerts: AlertEvaluator, *, demo: bool) -> APIRouter:
    """`/receipts`, `/receipts/{key}`, `/shops` and `/alerts`."""
    pages = Pages(demo=demo)

    @pages.add("/receipts", "receipts")
    def receipts(request: Request, tell: Teller) -> HTMLResponse:
        filters = filters_of(request, RECEIPT_FILTERS)
        found = queries.receipts(filters)
        arrived = filters.get("arrived")
        asking = tell.form("/receipts", filters, FIELDS | {"arrived": "date"} if arrived else FIELDS)
        note = f' <span class="quiet">{tell("arrived_for_other_days", day=arrived)}</span>' if arrived else ""
        titles = [tell(name) for name in ("sold", "shop_till", "number", "items", "amount", "anomalies_column")]
        rows = (_receipt_row(tell, each, found["currency"]) for each in found["receipts"])
        listed = table(titles, rows, tell("no_matching_receipts"))
        body = card(f"{tell('page_receipts')}{note}", asking + listed + tell.more("/receipts", filters, found["next"]))
        return tell.page(tell("page_receipts"), "receipts", body)

    @pages.add("/receipts/{key}", "receipts")
    def receipt(request: Request, tell: Teller) -> HTMLResponse:
        found = queries.receipt(request.path_params["key"])
        title = tell("page_receipt")
        if found is None:
            return tell.missing(title, "receipts", "receipt_not_found")
        return tell.page(f"{title} {found['receipt']}", "receipts", paper(tell, found))

    @pages.add("/shops", "shops")
    def shops(request: Request, tell: Teller) -> HTMLResponse:
        days = filters_of(request, dict.fromkeys(("day", "from", "to", "vs"), ""))
        found = queries.metric("sales_by_store", {name: days[name] for name in ("day",) if name in days})
        rows = sorted(found["rows"], key=lambda row: (-float(row["receipts"]), row["store"]))
        known = queries.store_list()
        titles = [tell(name) for name in ("store", "region", "receipts", "quantity", "net", "amount")]
        note = f' <span class="quiet">{tell("shops_list_note", day=found["day"])}</span>'
        listed = table(
            titles, (_shop_row(tell, row, found, known.get(row["store"]).region) for row in rows), tell("no_shops")
        )
        asking = tell.form("/shops", {"day": found["day"]}, {"day": "date"})
        return tell.page(tell("page_shops"), "shops", card(f"{tell('page_shops')}{note}", asking + listed))

    @pages.add("/alerts", "alerts")
    def active_alerts(_request: Request, tell: Teller) -> HTMLResponse:
        found = alerts.current()
        titles = [tell(name) for name in ("since", "alert_column", "detail_column")]
        listed = table(titles, (_alert_row(tell, each) for each in found["alerts"]), tell("no_alerts"))
        more = f'<p class="note">{tell("alerts_more", number=tell.count(found["more"]))}</p>' if found["more"] else ""
        return tell.page(tell("page_alerts"), "alerts", card(tell("page_alerts"), listed + more))

    return pages.router


def _receipt_row(tell: Teller, receipt: Mapping[str, Any], currency: str) -> list[Cell]:
    negative = "number negative" if receipt["gross"].startswith("-") else "number"
    link = f'<a href="/receipts/{receipt["key"]}">{escape(receipt["receipt"])}</a>'
    shop = receipt.get("store_name") or receipt["store"]
    return [
        (escape(receipt["sold_local"].replace("T", " ")), "time"),
        (escape(f"{shop} · {receipt['till']}"), "text"),
        (link, ""),
        (tell.count(receipt["items"]), "number"),
        (tell.money(receipt["gross"], currency), negative),
        ("<br>".join(tell(f"anomaly_{name}") for name in receipt["anomalies"]), "flag"),
    ]


def _alert_row(tell: Teller, alert: Mapping[str, Any]) -> list[Cell]:
    values = {name: tell.count(value) if isinstance(value, int) else value for name, value in alert["values"].items()}
    said = {**values, "title": alert["title"]}
    rule = f"alert_{alert['rule']}"
    return [
        (escape(alert["since"][:16].replace("T", " ")), "time"),
        (f'<a href="{escape(alert["link"])}">{tell(f"{rule}_title", **said)}</a>', ""),
        (tell(rule, **said), "flag"),
    ]


def _shop_row(tell: Teller, row: Mapping[str, Any], found: Mapping[str, Any], region: str) -> list[Cell]:
    address = f"/shops/{quote(row['store'], safe='')}?{urlencode({'day': found['day']})}"
    name = escape(row.get("store_name") or row["store"])
    return [
        (f'<a href="{escape(address)}">{name}</a>', "text"),
        (_region_link(region, found["day"]), ""),
        (tell.count(row["receipts"]), "number"),
        (tell.count(row["quantity"]), "number"),
        (tell.money(row["net"], found["currency"]), "number"),
        (tell.money(row["revenue"], found["currency"]), "number"),
    ]


def _region_link(region: str, day: str) -> str:
    return f'<a href="/regions/{quote(region, safe="")}?day={day}">{escape(region)}</a>' if region else "–"
