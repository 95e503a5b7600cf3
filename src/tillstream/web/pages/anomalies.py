"""Why a receipt is odd, said in figures; and the page that lists such receipts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.queries.queries import Queries
from tillstream.queries.receipts import ANOMALIES
from tillstream.web.api.quarantine import ANOMALY_FILTERS
from tillstream.web.pages.html import Cell, Pages, Teller, card, filters_of, table

MONEY = frozenset({"lines", "total", "net", "tax", "paid"})
"""Values that are amounts of the chain's currency."""


def routes(queries: Queries, *, demo: bool) -> APIRouter:
    """`/anomalies`."""
    pages = Pages(demo=demo)

    @pages.add("/anomalies", "quarantine")
    def anomalies(request: Request, tell: Teller) -> HTMLResponse:
        filters = filters_of(request, ANOMALY_FILTERS)
        found = queries.anomalies(filters)
        counts = queries.anomaly_counts(filters.get("day"))
        kinds = {"": tell("any"), **{name: tell(f"anomaly_{name}") for name in ANOMALIES}}
        asking = tell.form("/anomalies", filters, {"day": "date", "store": "text", "till": "text", "kind": kinds})
        titles = [tell(name) for name in ("sold", "shop_till", "number", "amount", "anomalies_found")]
        rows = (_row(tell, each, found["currency"]) for each in found["receipts"])
        listed = table(titles, rows, tell("no_matching_receipts"))
        body = card(
            tabs(tell, "anomalies"),
            _counts(tell, counts) + asking + listed + tell.more("/anomalies", filters, found["next"]),
        )
        return tell.page(tell("page_anomalies"), "quarantine", body)

    return pages.router


def tabs(tell: Teller, current: str) -> str:
    """Links between the lists of what needs somebody; the current one is no link."""
    places = {
        "waiting": ("/quarantine", "page_quarantine"),
        "settled": ("/quarantine?settled=1", "page_resolved"),
        "anomalies": ("/anomalies", "page_anomalies"),
    }
    return "".join(
        f'<span class="tab on">{tell(word)}</span>'
        if name == current
        else f'<a class="tab" href="{path}">{tell(word)}</a>'
        for name, (path, word) in places.items()
    )


def told(tell: Teller, evidence: Iterable[Mapping[str, Any]], currency: str) -> str:
    """Each anomaly in words, with its figures."""
    return "".join(f'<li><p class="warn">{_one(tell, each, currency)}</p></li>' for each in evidence)


def _one(tell: Teller, each: Mapping[str, Any], currency: str) -> str:
    name = each["anomaly"]
    title = f"<b>{tell(f'anomaly_{name}')}</b>"
    if not each["values"]:
        return title
    # `Teller` escapes what it says, so amounts go in before they are escaped.
    values = {
        key: tell.plain_money(value, currency)
        if key in MONEY
        else tell.count(value)
        if isinstance(value, int)
        else value
        for key, value in each["values"].items()
    }
    return f'{title} <span class="note">{tell(f"evidence_{name}", **values)}</span>'


def _counts(tell: Teller, counts: Mapping[str, Any]) -> str:
    day = counts["day"]
    items = "".join(
        f'<li><a href="/anomalies?{escape(urlencode({"day": day, "kind": each["anomaly"]}))}">'
        f"<b>{tell.count(each['receipts'])}</b> {tell('anomaly_' + each['anomaly'])}</a></li>"
        for each in counts["anomalies"]
        if each["receipts"]
    )
    return f'<h3>{tell("on_day", day=day)}</h3><ul class="counts">{items or "<li>–</li>"}</ul>'


def _row(tell: Teller, receipt: Mapping[str, Any], currency: str) -> list[Cell]:
    shop = receipt.get("store_name") or receipt["store"]
    negative = "number negative" if receipt["gross"].startswith("-") else "number"
    return [
        (escape(receipt["sold_local"].replace("T", " ")), "time"),
        (escape(f"{shop} · {receipt['till']}"), "text"),
        (f'<a href="/receipts/{receipt["key"]}">{escape(receipt["receipt"])}</a>', ""),
        (tell.money(receipt["gross"], currency), negative),
        (f'<ul class="look">{told(tell, receipt["evidence"], currency)}</ul>', ""),
    ]
