"""Encode receipts as CSV, HTML form and XML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape


def to_csv(receipts: Sequence[dict[str, Any]], delimiter: str = ",", comma: bool = False) -> bytes:
    """One row per receipt line. The n-th row also has the n-th settlement. `comma` selects decimal commas."""

    def cells(receipt: dict[str, Any], row: int) -> Iterator[tuple[str, Any]]:
        for name, value in receipt.items():
            if isinstance(value, dict):
                yield from ((f"{name}.{inner}", part) for inner, part in value.items())
            elif not isinstance(value, list):
                yield name, value
            elif row < len(value):
                yield from ((f"{name}.{inner}", part) for inner, part in value[row].items())

    def cell(value: Any) -> str:
        text = "" if value is None else _decimal_text(value)
        if not isinstance(value, str):
            # With three decimals, a comma could also be a thousands separator.
            integer, _, decimals = text.partition(".")
            unambiguous = delimiter != "," or len(decimals) != 3 or integer in ("0", "-0")
            return quoted(text.replace(".", ",") if comma and unambiguous else text)
        return quoted(text)

    def quoted(text: str) -> str:
        needs_quotes = text != text.strip(" ") or any(mark in text for mark in (delimiter, '"', "\r", "\n"))
        return '"' + text.replace('"', '""') + '"' if needs_quotes else text

    rows = []
    for receipt in receipts:
        count = max(1, *(len(part) for part in receipt.values() if isinstance(part, list)), 1)
        rows += [dict(cells(receipt, row)) for row in range(count)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [[quoted(name) for name in names], *([cell(row.get(name)) for name in names] for row in rows)]
    return "".join(delimiter.join(line) + "\r\n" for line in table).encode()


def to_form(receipt: dict[str, Any], *, comma: bool = False) -> bytes:
    """The form as a browser sends it. `comma` selects decimal commas."""

    def fields(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for name, part in value.items():
                yield from fields(part, f"{path}.{name}" if path else name)
        elif isinstance(value, list):
            for index, part in enumerate(value):
                yield from fields(part, f"{path}[{index}]")
        elif isinstance(value, str) or value is None:
            yield path, value or ""
        else:
            yield path, _decimal_text(value).replace(".", ",") if comma else _decimal_text(value)

    return urlencode(list(fields(receipt, ""))).encode()


def _decimal_text(value: Any) -> str:
    """A number as text without an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_ITEMS = {"lines": "line", "settlements": "settlement"}


def to_xml(receipt: dict[str, Any]) -> bytes:
    """A canonical receipt as a `<receipt>` element, without None values. The texts must be allowed in XML."""
    return _element("receipt", receipt).encode()


def _element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        content = "".join(_element(each, part) for each, part in value.items() if part is not None)
    elif isinstance(value, list):
        content = "".join(_element(_ITEMS.get(name, "item"), part) for part in value)
    else:
        content = escape(_decimal_text(value), {"\r": "&#13;"})
    return f"<{name}>{content}</{name}>"
