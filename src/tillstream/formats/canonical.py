"""Helpers that write canonical receipts: exact amounts, local dates, and fields that are found by their names.

Plug-ins use them. Their JSON has the same field names and number formats as the JSON of the built-in formats.
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
"""Encode a receipt as JSON bytes. Decimals become JSON numbers with the same digits."""

unit = minor_unit


def amount(text: str) -> Decimal | str:
    """Parse a decimal number. Other text is returned unchanged, and validation reports it with its path."""
    stripped = text.strip()
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else text


def without_gaps(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the members that are None or an empty text."""
    return {name: part for name, part in parts.items() if part is not None and part != ""}


def local_date(settings: Settings, store: str, moment: datetime) -> str:
    """Convert an aware datetime to the store's local time, `YYYY-MM-DD HH:MM:SS`."""
    zone = ZoneInfo(settings.store_zones.get(store, settings.zone))
    return moment.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds")


def spread(total: Decimal, weights: Sequence[Decimal], least: Decimal) -> list[Decimal]:
    """Split the total in proportion to the weights, by the largest remainder method. The parts add up to the total.

    Every part is a multiple of `least`, the minor unit. A rest of the total below `least` goes to the first part.
    The parts are equal if all weights are zero. The signs of the weights are ignored.
    """
    if not weights:
        return []
    units = int((total / least).to_integral_value(ROUND_FLOOR))
    finest = min(0, *(int(weight.as_tuple().exponent) for weight in weights))
    sizes = [abs(int(weight.scaleb(-finest))) for weight in weights]
    if not any(sizes):
        sizes = [1] * len(sizes)
    whole = sum(sizes)
    shares = [divmod(units * size, whole) for size in sizes]
    parts = [share * least for share, _ in shares]
    missing = units - sum(share for share, _ in shares)
    for index in sorted(range(len(shares)), key=lambda index: shares[index][1], reverse=True)[:missing]:
        parts[index] += least
    parts[0] += total - sum(parts)
    return parts


# -- fields by their names

RECEIPT, TOTAL, LINES, SETTLEMENTS = "", "documentTotal", "lines", "settlements"
PARTS = (RECEIPT, TOTAL, LINES, SETTLEMENTS)
"""The parts of a receipt that have fields, in the order of the parameters of `receipt_json`."""

LISTS = (LINES, SETTLEMENTS)
"""The parts that repeat within one receipt."""


class Field(NamedTuple):
    """A field of a receipt: its part, its JSON name, whether it is an amount, whether the canonical receipt has it."""

    part: str
    name: str
    amount: bool = False
    known: bool = False

    @property
    def path(self) -> str:
        """The path of the field without an index: `lines.productCode`."""
        return f"{self.part}.{self.name}" if self.part else self.name


def _known_fields(part: str, kind: type) -> dict[str, Field]:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in PARTS}
    return {name: Field(part, name, hint in (Decimal, Decimal | None), known=True) for name, hint in hints.items()}


FIELDS = {
    part: _known_fields(part, kind)
    for part, kind in zip(PARTS, (Receipt, DocumentTotal, Line, Settlement), strict=True)
}
"""The fields of the canonical receipt by part and name."""

_PARTS_BY_LOWER_NAME = {part.lower(): part for part in PARTS if part}
_FIELDS_BY_LOWER_NAME = {
    (part, name.lower()): field for part, fields in FIELDS.items() for name, field in fields.items()
}


def find_field(path: str) -> Field | None:
    """Find the field with a path such as `lines.productCode` or `grossTotal`, in any letter case.

    An unknown name is a text field of the part before the dot, or else of the receipt. The result is None if the path
    names a part but no field.
    """
    known = _FIELDS_BY_LOWER_NAME.get
    first, _, rest = path.partition(".")
    part = _PARTS_BY_LOWER_NAME.get(first.lower())
    if part is None:
        return known((TOTAL, path.lower())) or known((RECEIPT, path.lower())) or Field(RECEIPT, path)
    return (known((part, rest.lower())) or Field(part, rest)) if rest else None


def text_json(text: str) -> str:
    """Write a text as a JSON string. The result is empty if the text is empty."""
    return encode(text).decode() if text else ""


def quote(text: str) -> str:
    """Quote a text in a fault. A long text is cut."""
    return text_json(shorten(text))


def amount_json(text: str, *, comma_may_group: bool = False) -> str:
    """Write an amount as a JSON number. A text that is not a number becomes a JSON string, which validation reports.

    A comma is read as the decimal point. With `comma_may_group`, an ambiguous text such as `1,500` becomes a string.
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
    """Bounded cache from the texts of one field to JSON object members: `"name":"text",`.

    A text without a value has an empty member. Texts longer than 64 characters rarely repeat and are not cached.
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
    """Build the canonical receipt from the `Members` of its own fields, its totals, its lines and its settlements."""
    text = "{" + receipt
    if total:
        text += f'"documentTotal":{{{total[:-1]}}},'
    for name, objects in (("lines", lines), ("settlements", settlements)):
        if objects:
            text += f'"{name}":[{{{"},{".join([each[:-1] for each in objects])}}}],'
    return f"{text.removesuffix(',')}}}".encode()
