"""Receipts as other programs would write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape


def to_csv(receipts: Sequence[dict[str, Any]], delimiter: str = ",", comma: bool = False) -> bytes:
    """A row for each line, the n-th settlement in the n-th row; amounts with a decimal comma if asked."""

    def cells(receipt: dict[str, Any], row: int) -> Iterator[tuple[str, Any]]:
        for name, value in receipt.items():
            if isinstance(value, dict):
                yield from ((f"{name}.{inner}", part) for inner, part in value.items())
            elif not isinstance(value, list):
                yield name, value
            elif row < len(value):
                yield from ((f"{name}.{inner}", part) for inner, part in value[row].items())

    def written(value: Any) -> str:
        text = "" if value is None else _plain(value)
        if not isinstance(value, str):
            whole, _, decimals = text.partition(".")
            clear = delimiter != "," or len(decimals) != 3 or whole in ("0", "-0")
            return quoted(text.replace(".", ",") if comma and clear else text)
        return quoted(text)

    def quoted(text: str) -> str:
        bare = text == text.strip(" ") and not any(mark in text for mark in (delimiter, '"', "\r", "\n"))
        return text if bare else '"' + text.replace('"', '""') + '"'

    rows = []
    for receipt in receipts:
        count = max(1, *(len(part) for part in receipt.values() if isinstance(part, list)), 1)
        rows += [dict(cells(receipt, row)) for row in range(count)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [[quoted(name) for name in names], *([written(row.get(name)) for name in names] for row in rows)]
    return "".join(delimiter.join(line) + "\r\n" for line in table).encode()


def to_form(receipt: dict[str, Any], *, comma: bool = False) -> bytes:
    """As a browser sends it, with a decimal comma if asked."""

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
            yield path, _plain(value).replace(".", ",") if comma else _plain(value)

    return urlencode(list(fields(receipt, ""))).encode()


def _plain(value: Any) -> str:
    """Without an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


_ITEMS = {"lines": "line", "settlements": "settlement"}


def to_xml(receipt: dict[str, Any]) -> bytes:
    """A canonical receipt as a `<receipt>`; None and what XML has no sign for can't be written."""
    return _element("receipt", receipt).encode()


def _element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        content = "".join(_element(each, part) for each, part in value.items() if part is not None)
    elif isinstance(value, list):
        content = "".join(_element(_ITEMS.get(name, "item"), part) for part in value)
    else:
        content = escape(format(value, "f") if hasattr(value, "as_tuple") else str(value), {"\r": "&#13;"})
    return f"<{name}>{content}</{name}>"
