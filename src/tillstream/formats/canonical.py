"""Helpers that write canonical receipts: exact amounts, local dates, and JSON built from field names and texts.

The canonical receipt is the JSON object into which every format is decoded. The built-in formats and the formats of
other packages use these helpers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any, NamedTuple, get_type_hints
from zoneinfo import ZoneInfo

import msgspec

from tillstream.config.settings import Settings
from tillstream.formats.base import shorten
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.model import DocumentTotal, Line, Receipt, Settlement

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", re.ASCII)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)
_CACHED_TEXT_CHARS = 64

encode = msgspec.json.Encoder(decimal_format="number").encode
"""Encode a receipt as JSON bytes. A `Decimal` becomes a JSON number with the same digits."""

unit = minor_unit
"""Return the minor unit of a currency: 0.01 for EUR."""


def amount(text: str) -> Decimal | str:
    """Parse a decimal number. Return any other text unchanged, because validation reports it with its path."""
    stripped = text.strip()
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else text


def without_gaps(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy without the members that are None or an empty text."""
    return {name: part for name, part in parts.items() if part is not None and part != ""}


def local_date(settings: Settings, store: str, moment: datetime) -> str:
    """Convert an aware datetime to the store's local time, `YYYY-MM-DD HH:MM:SS`."""
    zone = ZoneInfo(settings.store_zones.get(store, settings.zone))
    return moment.astimezone(zone).isoformat(" ")[:19]


def spread(total: Decimal, weights: Sequence[Decimal], least: Decimal) -> list[Decimal]:
    """Split the total in proportion to the weights, by the largest remainder method. The parts add up to the total.

    The parts are multiples of the minor unit `least`. If the total is not a multiple of it, the first part also gets
    what is left over. The signs of the weights are ignored. If all weights are zero, they count as equal.
    """
    if not weights:
        return []
    units = int((total / least).to_integral_value(ROUND_FLOOR))
    finest = min(0, *(int(weight.as_tuple().exponent) for weight in weights))
    sizes = [abs(int(weight.scaleb(-finest))) for weight in weights]
    if not any(sizes):
        sizes = [1] * len(sizes)
    size_sum = sum(sizes)
    shares = [divmod(units * size, size_sum) for size in sizes]
    parts = [share * least for share, _ in shares]
    missing = units - sum(share for share, _ in shares)
    for index in sorted(range(len(shares)), key=lambda index: shares[index][1], reverse=True)[:missing]:
        parts[index] += least
    parts[0] += total - sum(parts)
    return parts


# -- fields by their names

RECEIPT, TOTAL, LINES, SETTLEMENTS = "", "documentTotal", "lines", "settlements"
PARTS = (RECEIPT, TOTAL, LINES, SETTLEMENTS)
"""The names of the parts of a receipt. The first part is the receipt itself, and its name is empty."""

LISTS = (LINES, SETTLEMENTS)
"""The parts that are lists of objects."""


class Field(NamedTuple):
    """A field of a receipt. `amount` is True if it is a number. `known` is True if the canonical receipt defines it."""

    part: str
    name: str
    amount: bool = False
    known: bool = False

    @property
    def path(self) -> str:
        """The path of the field without an index, such as `lines.productCode`."""
        return f"{self.part}.{self.name}" if self.part else self.name


def _known_fields(part: str, kind: type) -> dict[str, Field]:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in PARTS}
    return {name: Field(part, name, hint in (Decimal, Decimal | None), known=True) for name, hint in hints.items()}


FIELDS = {
    part: _known_fields(part, kind)
    for part, kind in zip(PARTS, (Receipt, DocumentTotal, Line, Settlement), strict=True)
}
"""The fields that the canonical receipt defines, by part and name."""

_PARTS_BY_LOWER_NAME = {part.lower(): part for part in PARTS if part}
_FIELDS_BY_LOWER_NAME = {
    (part, name.lower()): field for part, fields in FIELDS.items() for name, field in fields.items()
}


def find_field(path: str) -> Field | None:
    """Find the field with a path such as `lines.productCode` or `grossTotal`. The letter case is ignored.

    An unknown path becomes a text field. `lines.colour` belongs to the lines, because it starts with the name of a
    part and a dot. `colour` belongs to the receipt itself. Return None if the path is only the name of a part.
    """
    known = _FIELDS_BY_LOWER_NAME.get
    first, _, rest = path.partition(".")
    part = _PARTS_BY_LOWER_NAME.get(first.lower())
    if part is None:
        return known((TOTAL, path.lower())) or known((RECEIPT, path.lower())) or Field(RECEIPT, path)
    return (known((part, rest.lower())) or Field(part, rest)) if rest else None


def text_json(text: str) -> str:
    """Write a text as a JSON string with quotes. An empty text stays empty, without quotes."""
    return encode(text).decode() if text else ""


def quote(text: str) -> str:
    """Quote a text for the message of a fault. A long text is truncated."""
    return text_json(shorten(text))


def amount_json(text: str, *, comma_may_group: bool = False) -> str:
    """Write an amount as a JSON number. Any other text becomes a JSON string, and validation reports it.

    A decimal comma is accepted: `1,50` becomes `1.50`. If `comma_may_group` is True, a comma may also separate
    thousands. A text such as `1,500` is then ambiguous and becomes a string.
    """
    if _JSON_NUMBER.fullmatch(text):
        return text
    bare = text.strip()
    if bare.count(",") == 1 and "." not in bare and not (comma_may_group and _THOUSANDS.fullmatch(bare)):
        bare = bare.replace(",", ".")
    number = amount(bare)
    if isinstance(number, Decimal):
        return f"{number:f}"
    return text_json(text) if bare else ""


class Members(dict[str, str]):
    """A cache that maps the texts of one field to JSON object members. For `storeID`, `12` gives `"storeID":"12",`.

    An empty text gives an empty member. The cache holds at most `limit` members. Long texts rarely repeat, so they
    are not cached.
    """

    def __init__(self, field: Field, write: Callable[[str], str], limit: int) -> None:
        super().__init__()
        self._prefix = f"{text_json(field.name)}:"
        self._write = write
        self._limit = limit

    def __missing__(self, text: str) -> str:
        written = self._write(text)
        member = f"{self._prefix}{written}," if written else ""
        if len(text) <= _CACHED_TEXT_CHARS:
            if len(self) >= self._limit:
                self.clear()
            self[text] = member
        return member


def receipt_json(receipt: str, total: str, lines: Sequence[str], settlements: Sequence[str]) -> bytes:
    """Build a canonical receipt from JSON object members. Every member ends with a comma: `"storeID":"12",`.

    `receipt` and `total` hold all members of the receipt itself and of its totals. Each item of `lines` and
    `settlements` holds all members of one line or settlement.
    """
    text = "{" + receipt
    if total:
        text += f'"documentTotal":{{{total[:-1]}}},'
    for name, objects in (("lines", lines), ("settlements", settlements)):
        if objects:
            text += f'"{name}":[{{{"},{".join([each[:-1] for each in objects])}}}],'
    return f"{text.removesuffix(',')}}}".encode()
