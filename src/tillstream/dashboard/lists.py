"""Receipts and the quarantine as plain HTML, for people who follow a figure to its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from html import escape
from typing import Any, ParamSpec

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.dashboard.api import QUARANTINE_FILTERS, RECEIPT_FILTERS, given
from tillstream.dashboard.html import Cell, card, facts, filled, form, money, more, problem, shell, table, words
from tillstream.errors import BadQuery
from tillstream.views.views import Views

FIELDS = {"day": "date", "store": "text", "till": "text", "receipt": "text"}
"""What the list of receipts asks for, by the kind of its field."""

P = ParamSpec("P")


def routes(views: Views, *, demo: bool) -> APIRouter:
    """`/receipts`, `/receipts/{key}`, `/quarantine` and `/quarantine/{entry}`."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def page(title: str, section: str, body: str, status: int = 200) -> HTMLResponse:
        return shell(title, section, body, demo=demo, status=status)

    def refusing(title: str, section: str) -> Callable[[Callable[P, HTMLResponse]], Callable[P, HTMLResponse]]:
        """What cannot be asked is told on a page of this title."""

        def around(answer: Callable[P, HTMLResponse]) -> Callable[P, HTMLResponse]:
            @wraps(answer)
            def answered(*args: P.args, **kwargs: P.kwargs) -> HTMLResponse:
                try:
                    return answer(*args, **kwargs)
                except BadQuery as error:
                    return page(title, section, problem(error), 400)

            return answered

        return around

    @router.get("/receipts")
    @refusing("Receipts", "receipts")
    def receipts(request: Request) -> HTMLResponse:
        asked = filled(given(request, RECEIPT_FILTERS))
        found = views.receipts(asked)
        arrived = asked.get("arrived")
        asking = form("/receipts", asked, FIELDS | {"arrived": "date"} if arrived else FIELDS)
        note = f" <span>arrived on {escape(arrived)} for other days</span>" if arrived else ""
        rows = (_receipt_row(each, found["currency"]) for each in found["receipts"])
        listed = table(("Sold", "Store · till", "Receipt", "Items", "Amount", "Anomalies"), rows, "No such receipts.")
        body = card(f"Receipts{note}", asking + listed + more("/receipts", asked, found["next"]))
        return page("Receipts", "receipts", body)

    @router.get("/receipts/{key}")
    @refusing("Receipt", "receipts")
    def receipt(key: str) -> HTMLResponse:
        found = views.receipt(key)
        if found is None:
            return page("Receipt", "receipts", card("Receipt", "<p>There is no such receipt.</p>"), 404)
        return page(f"Receipt {found['receipt']}", "receipts", _receipt_page(found))

    @router.get("/quarantine")
    @refusing("Set aside", "quarantine")
    def quarantine(request: Request) -> HTMLResponse:
        asked = filled(given(request, QUARANTINE_FILTERS))
        found = views.quarantine(asked)
        listed = table(
            ("Received", "What", "Why", "Source"), map(_entry_row, found["entries"]), "Nothing was set aside."
        )
        note = '<p class="note">What could not be counted is kept here as it came, with the reason.</p>'
        body = card("Set aside", note + listed + more("/quarantine", asked, found["next"]))
        return page("Set aside", "quarantine", body)

    @router.get("/quarantine/{entry}")
    @refusing("Set aside", "quarantine")
    def quarantined(entry: str) -> HTMLResponse:
        found = views.quarantined(entry)
        if found is None:
            return page("Set aside", "quarantine", card("Set aside", "<p>There is no such entry.</p>"), 404)
        return page("Set aside", "quarantine", _entry_page(found))

    return router


def _receipt_row(receipt: Mapping[str, Any], currency: str) -> list[Cell]:
    negative = "number negative" if receipt["gross"].startswith("-") else "number"
    link = f'<a href="/receipts/{receipt["key"]}">{escape(receipt["receipt"])}</a>'
    return [
        (escape(receipt["sold_local"].replace("T", " ")), "time"),
        (escape(f"{receipt['store']} · {receipt['till']}"), "time"),
        (link, ""),
        (f"{receipt['items']:,}", "number"),
        (money(receipt["gross"], currency), negative),
        (escape(words(receipt["anomalies"])), "flag"),
    ]


def _receipt_page(receipt: Mapping[str, Any]) -> str:
    currency = receipt["currency"]
    known = {
        "Store · till": f"{receipt['store']} · {receipt['till']}",
        "Sold": receipt["sold_local"].replace("T", " "),
        "Received": _utc(receipt["received_at"]),
        "Business day": receipt["day"],
        "Source": receipt["source"],
        "Anomalies": words(receipt["anomalies"]) or "none",
    }
    totals = "".join(
        f"<dt>{name}</dt><dd>{money(receipt[field], currency)}</dd>"
        for name, field in (("Total", "gross"), ("Net", "net"), ("VAT", "tax"))
    )
    lines = table(
        ("Article", "Category", "Quantity", "Unit price", "VAT %", "Amount"),
        (_line_row(line, currency) for line in receipt["lines"] if line["line"] or _is_amount(line["gross"])),
        "It has no lines.",
    )
    paid = "".join(
        f"<dt>{escape(each['mechanism'])}</dt><dd>{money(each['amount'], currency)}</dd>"
        for each in receipt["settlements"]
    )
    return (
        card(f"Receipt {escape(receipt['receipt'])}", f"<dl>{facts(known)}</dl>", "span5")
        + card("Total", f"<dl>{totals}</dl>", "span3")
        + card("Paid", f"<dl>{paid}</dl>" if paid else "<p>No payment is given.</p>", "span4")
        + card("Lines", lines)
        + _original(receipt["original"])
    )


def _line_row(line: Mapping[str, Any], currency: str) -> list[Cell]:
    name = line["description"] or line["product"] or ""
    return [
        (escape(name), ""),
        (escape(line["category"] or ""), ""),
        (escape(line["quantity"] or "–"), "number"),
        (money(line["unit_price"], currency), "number"),
        (escape(line["rate"] or ""), "number"),
        (money(line["gross"], currency), "number"),
    ]


def _entry_row(entry: Mapping[str, Any]) -> list[Cell]:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    return [
        (f'<a href="/quarantine/{entry["id"]}">{escape(_utc(entry["received_at"]))}</a>', "time"),
        (escape(entry["kind"]), "flag"),
        (reasons, ""),
        (escape(entry["source"] or ""), ""),
    ]


def _entry_page(entry: Mapping[str, Any]) -> str:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    known = {
        "What": entry["kind"],
        "Received": _utc(entry["received_at"]),
        "Source": entry["source"] or "–",
        "Bytes": f"{entry['size_bytes']:,}",
    }
    return (
        card("Set aside", f"<dl>{facts(known)}</dl>", "span5")
        + card("Why", f"<p>{reasons}</p>", "span8")
        + _original(entry["original"])
    )


def _reason(reason: Mapping[str, Any]) -> str:
    hint = f' <span class="note">{escape(str(reason["hint"]))}</span>' if reason.get("hint") else ""
    return f"<b>{escape(str(reason.get('path', '')))}</b> {escape(str(reason.get('error', '')))}{hint}"


def _original(text: str | None) -> str:
    shown = "The log no longer has it." if text is None else escape(text)
    return card("What came <span>customer and agent hidden</span>", f'<pre class="original">{shown}</pre>')


def _utc(instant: str) -> str:
    return f"{instant[:19].replace('T', ' ')} UTC"


def _is_amount(text: str) -> bool:
    return text.strip("-0.") != ""
