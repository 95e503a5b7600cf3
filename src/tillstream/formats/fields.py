"""Receipts as flat names and texts, as CSV files and forms have them: names become fields, texts become JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import NamedTuple, get_type_hints

from tillstream.formats.canonical import amount, encode
from tillstream.receipt.model import DocumentTotal, Line, Receipt, Settlement

RECEIPT, TOTAL, LINES, SETTLEMENTS = "", "documentTotal", "lines", "settlements"
PARTS = (RECEIPT, TOTAL, LINES, SETTLEMENTS)
"""The parts of a receipt that have fields, in the order of the parameters of `receipt_json`."""

LISTS = (LINES, SETTLEMENTS)
"""The parts that repeat within one receipt."""

REQUIRED = ("cashReceiptID", "storeID", "date", "documentTotal.grossTotal")
"""Paths of the fields that every receipt needs."""

KEY = ("storeID", "terminalID", "cashReceiptID", "date")

Selector = Callable[[list[str]], Sequence[str]]

# The cache entries are shared out among all columns of a table. A full cache is cleared. Long texts rarely repeat.
_CACHE_ENTRIES = 100_000
_CACHE_ENTRIES_PER_FIELD = 4_096
_CACHED_TEXT_CHARS = 64
_SHOWN_CHARS = 60

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)


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


def _known_fields() -> dict[tuple[str, str], Field]:
    found = {}
    for part, kind in zip(PARTS, (Receipt, DocumentTotal, Line, Settlement), strict=True):
        for name, hint in get_type_hints(kind).items():
            if name not in PARTS:
                found[part, name.lower()] = Field(part, name, hint in (Decimal, Decimal | None), known=True)
    return found


_KNOWN = _known_fields()
_PARTS_BY_NAME = {part.lower(): part for part in PARTS if part}


def find_field(path: str) -> Field | None:
    """Find the field with a path such as `lines.productCode` or `grossTotal`, in any letter case.

    An unknown name is a text field of the part before the dot, or else of the receipt. The result is None if the path
    names a part but no field.
    """
    first, _, rest = path.partition(".")
    part = _PARTS_BY_NAME.get(first.lower())
    if part is None:
        known = _KNOWN.get((TOTAL, path.lower())) or _KNOWN.get((RECEIPT, path.lower()))
        return known or Field(RECEIPT, path)
    return (_KNOWN.get((part, rest.lower())) or Field(part, rest)) if rest else None


def shorten(text: str) -> str:
    """Cut a text to the length that fits in a fault."""
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def text_json(text: str) -> str:
    """Write a text as a JSON string. An empty text becomes an empty result."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"' if text else ""
    return encode(text).decode()


def amount_json(text: str, *, comma_may_group: bool = False) -> str:
    """Write an amount as a JSON number. A text that is not a number stays a text, so that validation reports its path.

    A comma is read as the decimal point. With `comma_may_group`, an ambiguous text such as `1,500` stays a text.
    """
    if _NUMBER.fullmatch(text):
        return text
    bare = text.strip()
    if bare.count(",") == 1 and "." not in bare and not (comma_may_group and _THOUSANDS.fullmatch(bare)):
        bare = bare.replace(",", ".")
        if _NUMBER.fullmatch(bare):
            return bare
    number = amount(bare)
    if isinstance(number, Decimal):
        return f"{number:f}"
    return text_json(text) if bare else ""


unambiguous_amount_json = partial(amount_json, comma_may_group=True)


class Members(dict[str, str]):
    """Cache from the texts of one field to JSON object members, each with the field's name and a trailing comma.

    A text without a value maps to an empty member. The cache is bounded; `fields` is the number of fields sharing it.
    """

    def __init__(self, field: Field, write: Callable[[str], str], fields: int) -> None:
        super().__init__()
        self._prefix = f"{text_json(field.name)}:"
        self._write = write
        self._limit = min(_CACHE_ENTRIES_PER_FIELD, 1 + _CACHE_ENTRIES // fields)

    def __missing__(self, text: str) -> str:
        written = self._write(text)
        member = f"{self._prefix}{written}," if written else ""
        if len(text) <= _CACHED_TEXT_CHARS:
            if len(self) >= self._limit:
                self.clear()
            self[text] = member
        return member


def selector(indexes: Sequence[int]) -> Selector:
    """Make a function that selects the texts at these indexes from a list."""
    if len(indexes) > 1:
        return itemgetter(*indexes)
    return lambda texts: [texts[at] for at in indexes]


def receipt_json(receipt: str, total: str, lines: Sequence[str], settlements: Sequence[str]) -> bytes:
    """Build the canonical receipt from the `Members` of its own fields, its totals, its lines and its settlements."""
    text = "{" + receipt
    if total:
        text += f'"documentTotal":{{{total[:-1]}}},'
    if lines:
        text += f'"lines":[{{{"},{".join([each[:-1] for each in lines])}}}],'
    if settlements:
        text += f'"settlements":[{{{"},{".join([each[:-1] for each in settlements])}}}],'
    return f"{text.removesuffix(',')}}}".encode()
