"""The HTML form for entering a receipt, and the HTML responses to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from jinja2 import Environment
from msgspec import Struct

from tillstream.formats.form import MEDIA_TYPE
from tillstream.http import html
from tillstream.http.html import Document
from tillstream.http.messages import Headers, Response
from tillstream.receipt.model import Fault

HTML = "text/html; charset=utf-8"

# With a stricter referrer policy, browsers would send the form with `Origin: null`, and ingest would reject the form.
SECURITY_HEADERS = (
    b"content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"referrer-policy: same-origin\r\n"
    b"cache-control: no-cache\r\n"
)

_FORM_TYPE = MEDIA_TYPE.encode()

EMPTY_ROWS = {"lines": 3, "settlements": 2}
"""The number of rows in each table of an empty form."""

_ROWS_LIMIT = 200
_VALUES_LIMIT = 5_000
_PATH = re.compile(r"(lines|settlements)\[([0-9]{1,4})\]\.([A-Za-z]{1,40})")
_FOLDER = Path(__file__).parent
_ASSETS = _FOLDER / "assets"

Fields = Mapping[str, tuple[str, Mapping[str, Any]]]
"""The label and the HTML attributes of each input, by field name."""

_DECIMAL = {"inputmode": "decimal"}
_REQUIRED = {"required": ""}
_RECEIPT: Fields = {
    "storeID": ("Shop", _REQUIRED),
    "terminalID": ("Till", {}),
    "cashReceiptID": ("Receipt number", _REQUIRED),
    "date": ("Date and time", {"type": "datetime-local", "step": "1", **_REQUIRED}),
}
_LINE: Fields = {
    "productCode": ("Code", {}),
    "productDescription": ("Product", {}),
    "productCategoryName": ("Category", {}),
    "quantity": ("Quantity", _DECIMAL),
    "taxPercentage": ("VAT %", _DECIMAL),
    "creditAmount": ("Net", _DECIMAL),
    "settlementAmount": ("Gross", _DECIMAL),
}
_TOTAL: Fields = {
    "documentTotal.grossTotal": ("Total", {**_DECIMAL, **_REQUIRED}),
    "documentTotal.netTotal": ("Net", _DECIMAL),
    "documentTotal.taxPayable": ("VAT", _DECIMAL),
}
_PAYMENT: Fields = {
    "paymentMechanism": ("Paid by", {"list": "mechanisms"}),
    "settlementAmount": ("Amount", _DECIMAL),
}
_NAMES = {name: label for fields in (_RECEIPT, _TOTAL) for name, (label, _) in fields.items()}


class _Outcome(Struct):
    """The parts of a JSON response that the page shows."""

    errors: list[Fault] = []
    receipt_key: str = msgspec.field(name="receiptKey", default="")
    day: str = ""


def documents() -> dict[str, Document]:
    """Return the empty form, its style sheet and its script, by URL path."""
    return {
        "/receipt": Document(HTML, _empty, SECURITY_HEADERS),
        "/receipt/form.css": Document("text/css", (_ASSETS / "form.css").read_bytes),
        "/receipt/form.js": Document("text/javascript", (_ASSETS / "form.js").read_bytes),
    }


def wants_page(headers: Headers) -> bool:
    """Whether a request contains a form and accepts HTML."""
    is_form = headers.get(b"content-type", b"").lower().startswith(_FORM_TYPE)
    return is_form and b"text/html" in headers.get(b"accept", b"").lower()


def as_page(response: Response, form: bytes) -> Response:
    """Convert a JSON response to an HTML page. If the receipt was refused, the page shows the form and the errors."""
    outcome = msgspec.json.decode(response.body, type=_Outcome)
    if outcome.receipt_key:
        body = _render("accepted.html", key=outcome.receipt_key, day=outcome.day)
    else:
        body = _form(_values(form), outcome.errors)
    other_headers = re.sub(rb"content-type:.*\n", b"", response.headers)
    content_type = f"content-type: {HTML}\r\n".encode()
    return Response(response.status, content_type + SECURITY_HEADERS + other_headers, body, response.close)


@cache
def _empty() -> bytes:
    return _form({}, [])


def _form(values: Mapping[str, str], errors: list[Fault]) -> bytes:
    paths = [fault.path.removeprefix("$.") for fault in errors]
    faults = [
        {"path": path, "label": _label(path), "error": fault.error, "hint": fault.hint}
        for path, fault in zip(paths, errors, strict=True)
    ]
    return _render("form.html", values=values, faults=faults, invalid=frozenset(paths))


def _render(template: str, **values: Any) -> bytes:
    return _environment().get_template(template).render(values).encode()


@cache
def _environment() -> Environment:
    return html.environment(
        _FOLDER / "templates",
        receipt_fields=_RECEIPT,
        line_fields=_LINE,
        total_fields=_TOTAL,
        payment_fields=_PAYMENT,
        row_count=_row_count,
        label_of=_label,
    )


def _row_count(part: str, values: Mapping[str, str]) -> int:
    """Return the number of rows to show in the table `part` (`lines` or `settlements`).

    The table has an empty row after the last filled row. It is never shorter than in an empty form.
    """
    filled = [int(found[2]) for name in values if (found := _PATH.fullmatch(name)) and found[1] == part]
    return min(max(EMPTY_ROWS[part], 2 + max(filled, default=-1)), _ROWS_LIMIT)


def _label(path: str) -> str:
    """Return the label of the field at a path, for example `Line 2, gross`. An unknown path is its own label."""
    found = _PATH.fullmatch(path)
    if found is None:
        return _NAMES.get(path, path)
    part, index, name = found.groups()
    row, fields = ("Line", _LINE) if part == "lines" else ("Payment", _PAYMENT)
    return f"{row} {int(index) + 1}, {fields[name][0].lower()}" if name in fields else path


def _values(form: bytes) -> dict[str, str]:
    """Return the values of a submitted form by field name.

    Empty rows are removed. If row 0 is empty, `lines[1].quantity` becomes `lines[0].quantity`, because the paths of
    faults count only filled rows.
    """
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
