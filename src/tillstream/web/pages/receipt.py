"""A receipt's page, which looks like the receipt: what was sold, paid and taxed, what is odd, and its history."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from html import escape
from typing import Any
from urllib.parse import quote

from tillstream.web.pages.anomalies import told
from tillstream.web.pages.html import Teller, card, facts


def paper(tell: Teller, receipt: Mapping[str, Any]) -> str:
    """The body of the page."""
    return (
        f'<article class="paper">{_head(tell, receipt)}{_lines(tell, receipt)}{_totals(tell, receipt)}'
        f"{_foot(tell, receipt)}</article>"
        '<div class="beside">'
        + card(tell("anomalies_found"), _odd(tell, receipt), "")
        + card(tell("history"), _history(tell, receipt), "")
        + original(tell, receipt["original"])
        + "</div>"
    )


def original(tell: Teller, text: str | None) -> str:
    """What came, with persons hidden."""
    shown = tell("original_gone") if text is None else escape(text)
    title = f'{tell("original")} <span class="quiet">{tell("original_note")}</span>'
    return card(title, f'<pre class="original" tabindex="0">{shown}</pre>', "")


def utc(instant: str) -> str:
    return escape(f"{instant[:19].replace('T', ' ')} UTC")


def shop_link(receipt: Mapping[str, Any]) -> str:
    day = escape(receipt["day"])
    title = escape(receipt.get("store_name") or receipt["store"])
    return f'<a href="/shops/{quote(receipt["store"], safe="")}?day={day}">{title}</a>'


def till_link(tell: Teller, receipt: Mapping[str, Any]) -> str:
    shop, till = (quote(receipt[name], safe="") for name in ("store", "till"))
    address = f"/shops/{shop}/tills/{till}?day={escape(receipt['day'])}"
    return f'<a href="{address}">{tell("till_name", till=receipt["till"])}</a>'


def _head(tell: Teller, receipt: Mapping[str, Any]) -> str:
    date, time = receipt["sold_local"].split("T")
    return (
        f"<header><h1>{shop_link(receipt)}</h1><p>{till_link(tell, receipt)}</p>"
        f"<p>{escape(date)} {escape(time[:8])}</p><p>№ {escape(receipt['receipt'])}</p></header>"
    )


def _lines(tell: Teller, receipt: Mapping[str, Any]) -> str:
    shown = [line for line in receipt["lines"] if line["line"] or Decimal(line["gross"])]
    if not shown:
        return f'<p class="note">{tell("no_lines")}</p>'
    return f'<table class="lines"><tbody>{"".join(_line(tell, line, receipt["currency"]) for line in shown)}</tbody></table>'


def _line(tell: Teller, line: Mapping[str, Any], currency: str) -> str:
    name = escape(line["description"] or line["product"] or "") if line["line"] else tell("unallocated")
    quantity, price = line["quantity"] or "1", line["unit_price"]
    each = f"{escape(quantity)} × {tell.money(price, currency)}" if price is not None else f"× {escape(quantity)}"
    detail = each if line["line"] and (price is not None or quantity != "1") else ""
    rate = f" · {escape(line['rate'])} %" if line["line"] and line["rate"][:1].isdecimal() else ""
    negative = " negative" if line["gross"].startswith("-") else ""
    return (
        f'<tr><td>{name}<span class="detail">{detail}{rate}</span></td>'
        f'<td class="number{negative}">{tell.money(line["gross"], currency)}</td></tr>'
    )


def _totals(tell: Teller, receipt: Mapping[str, Any]) -> str:
    currency = receipt["currency"]
    total = f'<dl class="total"><dt>{tell("total")}</dt><dd>{tell.money(receipt["gross"], currency)}</dd></dl>'
    # Two cards are two payments, and a till's change stands behind the cash it was given on.
    paid = [(escape(each["mechanism"]), tell.money(each["amount"], currency)) for each in receipt["settlements"]]
    paid_text = f"<dl>{facts(paid)}</dl>" if paid else f'<p class="note">{tell("no_payments")}</p>'
    tax = [(tell("net"), tell.money(receipt["net"], currency)), (tell("vat"), tell.money(receipt["tax"], currency))]
    return f"{total}{paid_text}<dl>{facts(tax)}</dl>"


def _foot(tell: Teller, receipt: Mapping[str, Any]) -> str:
    return f"<footer>{tell('business_day', day=receipt['day'])}<br><span>{escape(receipt['key'])}</span></footer>"


def _odd(tell: Teller, receipt: Mapping[str, Any]) -> str:
    if not receipt["anomalies"]:
        return f'<p class="note">{tell("no_anomalies")}</p>'
    return f'<ul class="look">{told(tell, receipt["evidence"], receipt["currency"])}</ul>'


def _history(tell: Teller, receipt: Mapping[str, Any]) -> str:
    printed = escape(receipt["sold_local"].replace("T", " "))
    events = [
        (printed, tell("printed")),
        (utc(receipt["received_at"]), tell("received_event", source=receipt["source"])),
    ]
    if receipt.get("applied_at"):
        events.append((utc(receipt["applied_at"]), tell("visible_event")))
    events += [
        (utc(each["received_at"]), f'<a href="/quarantine/{each["id"]}">{tell("conflict_event")}</a>')
        for each in receipt.get("conflicts", ())
    ]
    rows = "".join(f"<li><time>{at}</time><span>{what}</span></li>" for at, what in events)
    return f'<ol class="history">{rows}</ol>'
