"""Receipts and the quarantine as plain HTML, for people who follow a figure to its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.dashboard.api import QUARANTINE_FILTERS, RECEIPT_FILTERS, given
from tillstream.errors import BadQuery
from tillstream.views import Views

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · tillstream</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body>
<header><a href="/" class="brand">till<i>stream</i></a>{ribbon}<nav><a href="/">Today</a>\
<a href="/receipts"{on_receipts}>Receipts</a><a href="/quarantine"{on_quarantine}>Set aside</a>\
<a href="/docs">API</a></nav></header>
<main>
{body}
</main>
</body>
</html>
"""

Cell = tuple[str, str]
"""A cell's HTML, escaped already, and its class."""


def routes(views: Views, *, demo: bool) -> APIRouter:
    """`/receipts`, `/receipts/{key}`, `/quarantine` and `/quarantine/{entry}`."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def page(title: str, section: str, body: str, status: int = 200) -> HTMLResponse:
        marks = {f"on_{name}": ' class="on"' if name == section else "" for name in ("receipts", "quarantine")}
        ribbon = '<span class="demo">DEMO</span>' if demo else ""
        return HTMLResponse(_PAGE.format(title=escape(title), ribbon=ribbon, body=body, **marks), status)

    @router.get("/receipts")
    def receipts(request: Request) -> HTMLResponse:
        try:
            asked = _filled(given(request, RECEIPT_FILTERS))
            found = views.receipts(asked)
        except BadQuery as error:
            return page("Receipts", "receipts", _problem(error), 400)
        form = _form("/receipts", asked, {"day": "date", "store": "text", "till": "text", "receipt": "text"})
        rows = (_receipt_row(each, found["currency"]) for each in found["receipts"])
        table = _table(("Sold", "Store · till", "Receipt", "Items", "Amount", "Anomalies"), rows, "No such receipts.")
        body = _card("Receipts", form + table + _more("/receipts", asked, found["next"]))
        return page("Receipts", "receipts", body)

    @router.get("/receipts/{key}")
    def receipt(key: str) -> HTMLResponse:
        try:
            found = views.receipt(key)
        except BadQuery as error:
            return page("Receipt", "receipts", _problem(error), 400)
        if found is None:
            return page("Receipt", "receipts", _card("Receipt", "<p>There is no such receipt.</p>"), 404)
        return page(f"Receipt {found['receipt']}", "receipts", _receipt_page(found))

    @router.get("/quarantine")
    def quarantine(request: Request) -> HTMLResponse:
        try:
            asked = _filled(given(request, QUARANTINE_FILTERS))
            found = views.quarantine(asked)
        except BadQuery as error:
            return page("Set aside", "quarantine", _problem(error), 400)
        table = _table(
            ("Received", "What", "Why", "Source"), map(_entry_row, found["entries"]), "Nothing was set aside."
        )
        note = '<p class="note">What could not be counted is kept here whole, with the reason.</p>'
        body = _card("Set aside", note + table + _more("/quarantine", asked, found["next"]))
        return page("Set aside", "quarantine", body)

    @router.get("/quarantine/{entry}")
    def quarantined(entry: str) -> HTMLResponse:
        try:
            found = views.quarantined(entry)
        except BadQuery as error:
            return page("Set aside", "quarantine", _problem(error), 400)
        if found is None:
            return page("Set aside", "quarantine", _card("Set aside", "<p>There is no such entry.</p>"), 404)
        return page("Set aside", "quarantine", _entry_page(found))

    return router


def money(amount: str | None, currency: str) -> str:
    """A decimal string as people read it, escaped: `€1,234.50`."""
    if amount is None:
        return "–"
    whole, point, rest = amount.removeprefix("-").partition(".")
    sign = "−" if amount.startswith("-") else ""
    symbol = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}.get(currency, f"{currency} ")
    return escape(f"{sign}{symbol}{int(whole):,}{point}{rest}")


def _receipt_row(receipt: Mapping[str, Any], currency: str) -> list[Cell]:
    negative = "number negative" if receipt["gross"].startswith("-") else "number"
    link = f'<a href="/receipts/{receipt["key"]}">{escape(receipt["receipt"])}</a>'
    return [
        (escape(receipt["sold_local"].replace("T", " ")), "time"),
        (escape(f"{receipt['store']} · {receipt['till']}"), "time"),
        (link, ""),
        (f"{receipt['items']:,}", "number"),
        (money(receipt["gross"], currency), negative),
        (escape(_words(receipt["anomalies"])), "flag"),
    ]


def _receipt_page(receipt: Mapping[str, Any]) -> str:
    currency = receipt["currency"]
    facts = {
        "Store · till": f"{receipt['store']} · {receipt['till']}",
        "Sold": receipt["sold_local"].replace("T", " "),
        "Received": _utc(receipt["received_at"]),
        "Business day": receipt["day"],
        "Source": receipt["source"],
        "Anomalies": _words(receipt["anomalies"]) or "none",
    }
    totals = "".join(
        f"<dt>{name}</dt><dd>{money(receipt[field], currency)}</dd>"
        for name, field in (("Total", "gross"), ("Net", "net"), ("VAT", "tax"))
    )
    lines = _table(
        ("Article", "Category", "Quantity", "Unit price", "VAT %", "Amount"),
        (_line_row(line, currency) for line in receipt["lines"] if line["line"] or _is_amount(line["gross"])),
        "It has no lines.",
    )
    paid = "".join(
        f"<dt>{escape(each['mechanism'])}</dt><dd>{money(each['amount'], currency)}</dd>"
        for each in receipt["settlements"]
    )
    return (
        _card(f"Receipt {escape(receipt['receipt'])}", f"<dl>{_facts(facts)}</dl>", "span5")
        + _card("Total", f"<dl>{totals}</dl>", "span3")
        + _card("Paid", f"<dl>{paid}</dl>" if paid else "<p>Nothing was said.</p>", "span4")
        + _card("Lines", lines)
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
    facts = {
        "What": entry["kind"],
        "Received": _utc(entry["received_at"]),
        "Source": entry["source"] or "–",
        "Bytes": f"{entry['size_bytes']:,}",
    }
    return (
        _card("Set aside", f"<dl>{_facts(facts)}</dl>", "span5")
        + _card("Why", f"<p>{reasons}</p>", "span8")
        + _original(entry["original"])
    )


def _reason(reason: Mapping[str, Any]) -> str:
    hint = f' <span class="note">{escape(str(reason["hint"]))}</span>' if reason.get("hint") else ""
    return f"<b>{escape(str(reason.get('path', '')))}</b> {escape(str(reason.get('error', '')))}{hint}"


def _original(text: str | None) -> str:
    shown = "The log no longer has it." if text is None else escape(text)
    return _card("What came <span>customer and agent hidden</span>", f'<pre class="original">{shown}</pre>')


def _facts(facts: Mapping[str, str]) -> str:
    return "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())


def _card(title: str, body: str, span: str = "span12") -> str:
    return f'<section class="card {span}"><h2>{title}</h2>{body}</section>'


def _table(titles: Iterable[str], rows: Iterable[list[Cell]], empty: str) -> str:
    lines = list(rows)
    if not lines:
        return f'<p class="note">{empty}</p>'
    numbers = {index for index, (_, kind) in enumerate(lines[0]) if "number" in kind}
    head = "".join(
        f'<th class="number">{title}</th>' if index in numbers else f"<th>{title}</th>"
        for index, title in enumerate(titles)
    )
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{cell}</td>' for cell, kind in line) + "</tr>" for line in lines
    )
    return f'<div class="scroll"><table class="list"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _form(action: str, asked: Mapping[str, str], fields: Mapping[str, str]) -> str:
    inputs = "".join(
        f'<label>{name.capitalize()}<input name="{name}" type="{kind}" value="{escape(asked.get(name, ""))}"></label>'
        for name, kind in fields.items()
    )
    return f'<form class="filters" action="{action}">{inputs}<button>Show</button></form>'


def _more(action: str, asked: Mapping[str, str], cursor: str | None) -> str:
    if cursor is None:
        return ""
    query = escape(urlencode({**asked, "cursor": cursor}))
    return f'<p class="more"><a href="{action}?{query}">Older ones</a></p>'


def _problem(error: BadQuery) -> str:
    return _card("That cannot be shown", f"<p>{escape(str(error))}</p>")


def _filled(asked: Mapping[str, str]) -> dict[str, str]:
    """Without the fields of a form that were left empty."""
    return {name: value for name, value in asked.items() if value}


def _words(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _utc(instant: str) -> str:
    return f"{instant[:19].replace('T', ' ')} UTC"


def _is_amount(text: str) -> bool:
    return text.strip("-0.") != ""
