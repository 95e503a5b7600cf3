"""Receipts, shops and the quarantine as plain HTML, for people who follow a figure to its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.dashboard.api import QUARANTINE_FILTERS, RECEIPT_FILTERS, given
from tillstream.dashboard.html import Cell, Teller, card, facts, filled, table
from tillstream.dashboard.paper import original, paper, utc
from tillstream.errors import BadQuery
from tillstream.views.views import Views

FIELDS = {"day": "date", "store": "text", "till": "text", "receipt": "text"}
"""What the list of receipts asks for, by the kind of its field."""

Answer = Callable[[Request, Teller], HTMLResponse]


def routes(views: Views, *, demo: bool) -> APIRouter:
    """`/receipts`, `/receipts/{key}`, `/shops`, `/quarantine` and `/quarantine/{entry}`."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def page(path: str, section: str) -> Callable[[Answer], Answer]:
        """Serve the answer under the path; what cannot be asked is told on a page of its own."""

        def around(answer: Answer) -> Answer:
            @wraps(answer)
            def answered(request: Request) -> HTMLResponse:
                tell = Teller.of(request, demo=demo)
                try:
                    return answer(request, tell)
                except BadQuery as error:
                    return tell.page(tell("cannot_show"), section, tell.problem(error), 400)

            del answered.__wrapped__
            router.get(path)(answered)
            return answer

        return around

    @page("/receipts", "receipts")
    def receipts(request: Request, tell: Teller) -> HTMLResponse:
        asked = filled(given(request, RECEIPT_FILTERS | {"lang": ""}))
        asked.pop("lang", None)
        found = views.receipts(asked)
        arrived = asked.get("arrived")
        asking = tell.form("/receipts", asked, FIELDS | {"arrived": "date"} if arrived else FIELDS)
        note = f' <span class="quiet">{tell("arrived_note", day=arrived)}</span>' if arrived else ""
        titles = [tell(name) for name in ("sold", "shop_till", "number", "items", "amount", "anomalies_column")]
        rows = (_receipt_row(tell, each, found["currency"]) for each in found["receipts"])
        listed = table(titles, rows, tell("no_such_receipts"))
        body = card(f"{tell('page_receipts')}{note}", asking + listed + tell.more("/receipts", asked, found["next"]))
        return tell.page(tell("page_receipts"), "receipts", body)

    @page("/receipts/{key}", "receipts")
    def receipt(request: Request, tell: Teller) -> HTMLResponse:
        found = views.receipt(request.path_params["key"])
        title = tell("page_receipt")
        if found is None:
            return tell.page(title, "receipts", card(title, f"<p>{tell('no_such_receipt')}</p>"), 404)
        return tell.page(f"{title} {found['receipt']}", "receipts", paper(tell, found))

    @page("/shops", "shops")
    def shops(request: Request, tell: Teller) -> HTMLResponse:
        asked = filled(given(request, {"day": "", "from": "", "to": "", "vs": "", "lang": ""}))
        found = views.metric("sales_by_store", {name: asked[name] for name in ("day",) if name in asked})
        rows = sorted(found["rows"], key=lambda row: (-float(row["receipts"]), row["store"]))
        titles = [tell(name) for name in ("store", "receipts", "quantity", "net", "amount")]
        note = f' <span class="quiet">{tell("shops_list_note", day=found["day"])}</span>'
        listed = table(titles, (_shop_row(tell, row, found) for row in rows), tell("no_shops"))
        asking = tell.form("/shops", {"day": found["day"]}, {"day": "date"})
        return tell.page(tell("page_shops"), "shops", card(f"{tell('page_shops')}{note}", asking + listed))

    @page("/quarantine", "quarantine")
    def quarantine(request: Request, tell: Teller) -> HTMLResponse:
        asked = filled(given(request, QUARANTINE_FILTERS | {"lang": ""}))
        asked.pop("lang", None)
        found = views.quarantine(asked)
        titles = [tell(name) for name in ("received", "what", "why", "source")]
        listed = table(titles, (_entry_row(tell, each) for each in found["entries"]), tell("nothing_set_aside"))
        note = f'<p class="note">{tell("set_aside_note")}</p>'
        body = card(tell("page_set_aside"), note + listed + tell.more("/quarantine", asked, found["next"]))
        return tell.page(tell("page_set_aside"), "quarantine", body)

    @page("/quarantine/{entry}", "quarantine")
    def quarantined(request: Request, tell: Teller) -> HTMLResponse:
        found = views.quarantined(request.path_params["entry"])
        title = tell("page_set_aside")
        if found is None:
            return tell.page(title, "quarantine", card(title, f"<p>{tell('no_such_entry')}</p>"), 404)
        return tell.page(title, "quarantine", _entry_page(tell, found))

    return router


def _receipt_row(tell: Teller, receipt: Mapping[str, Any], currency: str) -> list[Cell]:
    negative = "number negative" if receipt["gross"].startswith("-") else "number"
    link = f'<a href="/receipts/{receipt["key"]}">{escape(receipt["receipt"])}</a>'
    shop = receipt.get("store_name") or receipt["store"]
    return [
        (escape(receipt["sold_local"].replace("T", " ")), "time"),
        (escape(f"{shop} · {receipt['till']}"), "time"),
        (link, ""),
        (tell.count(receipt["items"]), "number"),
        (tell.money(receipt["gross"], currency), negative),
        ("<br>".join(tell(f"anomaly_{name}") for name in receipt["anomalies"]), "flag"),
    ]


def _shop_row(tell: Teller, row: Mapping[str, Any], found: Mapping[str, Any]) -> list[Cell]:
    address = f"/shops/{quote(row['store'], safe='')}?{urlencode({'day': found['day']})}"
    name = escape(row.get("store_name") or row["store"])
    return [
        (f'<a href="{escape(address)}">{name}</a>', ""),
        (tell.count(row["receipts"]), "number"),
        (tell.count(row["quantity"]), "number"),
        (tell.money(row["net"], found["currency"]), "number"),
        (tell.money(row["revenue"], found["currency"]), "number"),
    ]


def _entry_row(tell: Teller, entry: Mapping[str, Any]) -> list[Cell]:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    return [
        (f'<a href="/quarantine/{entry["id"]}">{utc(entry["received_at"])}</a>', "time"),
        (tell(f"kind_{entry['kind']}"), "flag"),
        (reasons, ""),
        (escape(entry["source"] or ""), ""),
    ]


def _entry_page(tell: Teller, entry: Mapping[str, Any]) -> str:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    known = {
        tell("what"): tell(f"kind_{entry['kind']}"),
        tell("received"): utc(entry["received_at"]),
        tell("source"): escape(entry["source"] or "–"),
        tell("bytes"): tell.count(entry["size_bytes"]),
    }
    left = card(tell("page_set_aside"), f"<dl>{facts(known)}</dl>", "") + card(tell("why"), f"<p>{reasons}</p>", "")
    return f'<div class="beside">{left}</div><div class="beside wide">{original(tell, entry["original"])}</div>'


def _reason(reason: Mapping[str, Any]) -> str:
    hint = f' <span class="note">{escape(str(reason["hint"]))}</span>' if reason.get("hint") else ""
    return f"<b>{escape(str(reason.get('path', '')))}</b> {escape(str(reason.get('error', '')))}{hint}"
