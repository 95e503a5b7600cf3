"""A page on which people type a receipt, and what they are told of it: the same answers as tills get, to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from tillstream.formats.form import MEDIA_TYPE
from tillstream.http.messages import Headers, Response
from tillstream.ingest.openapi import Page

HTML = "text/html; charset=utf-8"

# The referrer has to stay: without one, browsers call the origin of a form `null`.
GUARD = (
    b"content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"referrer-policy: same-origin\r\n"
    b"cache-control: no-cache\r\n"
)

_SENT = MEDIA_TYPE.encode()

LINES, PAYMENTS = 3, 2
"""Rows of an empty form."""

_ROWS_LIMIT = 200
_VALUES_LIMIT = 5_000
_PATH = re.compile(r"(lines|settlements)\[([0-9]{1,4})\]\.([A-Za-z]{1,40})")
_ASSETS = Path(__file__).parent / "assets"

_DECIMAL = 'inputmode="decimal"'
_RECEIPT = {
    "storeID": ("Shop", "required"),
    "terminalID": ("Till", ""),
    "cashReceiptID": ("Receipt number", "required"),
    "date": ("Date and time", 'type="datetime-local" step="1" required'),
}
_LINE = {
    "productCode": ("Code", ""),
    "productDescription": ("Product", ""),
    "productCategoryName": ("Category", ""),
    "quantity": ("Quantity", _DECIMAL),
    "taxPercentage": ("VAT %", _DECIMAL),
    "creditAmount": ("Net", _DECIMAL),
    "settlementAmount": ("Gross", _DECIMAL),
}
_TOTAL = {
    "documentTotal.grossTotal": ("Total", f"{_DECIMAL} required"),
    "documentTotal.netTotal": ("Net", _DECIMAL),
    "documentTotal.taxPayable": ("VAT", _DECIMAL),
}
_PAYMENT = {
    "paymentMechanism": ("Paid by", 'list="mechanisms"'),
    "settlementAmount": ("Amount", _DECIMAL),
}
_NAMES = {name: label for fields in (_RECEIPT, _TOTAL) for name, (label, _) in fields.items()}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · tillstream</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/receipt/form.css">
<script src="/receipt/form.js" defer></script>
</head>
<body>
<header><a href="/receipt">till<i>stream</i></a></header>
<main>
{body}
</main>
</body>
</html>
"""

_FORM = """<h1>Type a receipt</h1>
{told}
<form method="post" action="/receipt">
<fieldset><legend>Receipt</legend><div class="fields">{receipt}</div></fieldset>
<fieldset><legend>Lines</legend>{lines}</fieldset>
<fieldset><legend>Totals</legend><div class="fields">{totals}</div></fieldset>
<fieldset><legend>Payments</legend>{payments}
<datalist id="mechanisms"><option>CB<option>Especes<option>Titre restaurant<option>Cheque</datalist></fieldset>
<p class="note">Amounts take a point or a comma before the decimals; what is returned has a minus. Rows that stay empty
mean nothing. The same receipt sent twice counts once.</p>
<p><button>Send</button></p>
</form>"""


def pages() -> dict[str, Page]:
    """The empty form and its files by path."""
    return {
        "/receipt": Page(HTML, _empty, GUARD),
        "/receipt/form.css": Page("text/css", (_ASSETS / "form.css").read_bytes),
        "/receipt/form.js": Page("text/javascript", (_ASSETS / "form.js").read_bytes),
    }


def reads(headers: Headers) -> bool:
    """Whether somebody reads the answer in a browser, who sent a form."""
    sent = headers.get(b"content-type", b"").lower().startswith(_SENT)
    return sent and b"text/html" in headers.get(b"accept", b"").lower()


def shown(answer: Response, form: bytes) -> Response:
    """An answer to a form as a page; where the receipt was not taken, with the form as it was filled."""
    told = msgspec.json.decode(answer.body)
    if "receiptKey" in told:
        title, body = "Taken", _taken(told["receiptKey"], told["day"])
    else:
        values = _values(form)
        title, body = "Not taken", _form(values, _refused(told.get("errors", [])), _paths(told.get("errors", [])))
    kept = b"".join(
        line + b"\r\n" for line in answer.headers.split(b"\r\n") if line and not line.startswith(b"content-type:")
    )
    head = f"content-type: {HTML}\r\n".encode()
    return Response(answer.status, head + GUARD + kept, _page(title, body), answer.close)


@cache
def _empty() -> bytes:
    return _page("Type a receipt", _form({}, "", frozenset()))


def _page(title: str, body: str) -> bytes:
    return _PAGE.format(title=escape(title), body=body).encode()


def _taken(key: str, day: str) -> str:
    return (
        '<h1>Taken</h1><section class="told good" role="status">'
        f"<p>The receipt is on disk. It counts for the business day <b>{escape(day)}</b>.</p>"
        f"<p>Its key is <code>{escape(key)}</code>.</p></section>"
        '<p><a href="/receipt">Type another one</a></p>'
    )


def _refused(errors: list[dict[str, Any]]) -> str:
    """Every fault by its field."""
    items = ""
    for each in errors:
        path, error, hint = (str(each.get(name, "")) for name in ("path", "error", "hint"))
        text = escape(error) + (f'<span class="hint">{escape(hint)}</span>' if hint else "")
        inner = path.removeprefix("$.")
        label = _label(inner)
        if label != inner:
            text = f'<a href="#{escape(quote(inner))}">{escape(label)}</a>: {text}'
        elif path != "$":
            text = f"{escape(label)}: {text}"
        items += f"<li>{text}</li>"
    return f'<section class="told bad" role="alert"><h2>The receipt was not taken</h2><ul>{items}</ul></section>'


def _paths(errors: list[dict[str, Any]]) -> frozenset[str]:
    return frozenset(str(each.get("path", "")).removeprefix("$.") for each in errors)


def _label(path: str) -> str:
    """What the form calls a field: `Line 2, gross`."""
    found = _PATH.fullmatch(path)
    if found is None:
        return _NAMES.get(path, path)
    part, index, name = found.groups()
    what, fields = ("Line", _LINE) if part == "lines" else ("Payment", _PAYMENT)
    return f"{what} {int(index) + 1}, {fields[name][0].lower()}" if name in fields else path


def _values(form: bytes) -> dict[str, str]:
    """What was typed, by the names of the form; rows without gaps, as the faults count them."""
    try:
        pairs = parse_qsl(form.decode("utf-8", "replace"), max_num_fields=_VALUES_LIMIT)
    except ValueError:
        return {}
    rows: dict[tuple[str, int], dict[str, str]] = {}
    values = {}
    for name, value in pairs:
        found = _PATH.fullmatch(name)
        if found is None:
            values[name] = value
        elif value.strip():
            rows.setdefault((found[1], int(found[2])), {})[found[3]] = value
    counts = {"lines": 0, "settlements": 0}
    for (part, _), fields in sorted(rows.items()):
        values |= {f"{part}[{counts[part]}].{name}": value for name, value in fields.items()}
        counts[part] += 1
    return values


def _form(values: Mapping[str, str], told: str, wrong: frozenset[str]) -> str:
    def fields(names: Mapping[str, tuple[str, str]]) -> str:
        return "".join(
            f"<label>{escape(label)}{_input(name, kind, values, wrong)}</label>"
            for name, (label, kind) in names.items()
        )

    return _FORM.format(
        told=told,
        receipt=fields(_RECEIPT),
        lines=_rows("lines", _LINE, LINES, values, wrong),
        totals=fields(_TOTAL),
        payments=_rows("settlements", _PAYMENT, PAYMENTS, values, wrong),
    )


def _rows(
    part: str, fields: Mapping[str, tuple[str, str]], least: int, values: Mapping[str, str], wrong: frozenset[str]
) -> str:
    """A table with a row for each that is filled, and some to fill; the script adds more."""
    filled = [int(found[2]) for name in values if (found := _PATH.fullmatch(name)) and found[1] == part]
    count = min(max(least, 2 + max(filled, default=-1)), _ROWS_LIMIT)
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label, _ in fields.values())
    body = "".join(f"<tr>{''.join(_cells(part, index, fields, values, wrong))}</tr>" for index in range(count))
    return f'<div class="scroll"><table data-part="{part}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(
    part: str, index: int, fields: Mapping[str, tuple[str, str]], values: Mapping[str, str], wrong: frozenset[str]
) -> Iterator[str]:
    for name, (_, kind) in fields.items():
        path = f"{part}[{index}].{name}"
        label = f'aria-label="{escape(_label(path))}"'
        yield f"<td>{_input(path, f'{kind} {label}', values, wrong)}</td>"


def _input(name: str, kind: str, values: Mapping[str, str], wrong: frozenset[str]) -> str:
    marked = ' aria-invalid="true"' if name in wrong else ""
    return f'<input id="{name}" name="{name}" value="{escape(values.get(name, ""))}" autocomplete="off" {kind}{marked}>'
