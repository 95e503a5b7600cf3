"""A receipt as names and texts, as CSV and forms write it: which field a name means, and its text as JSON."""

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
"""The parts of a receipt that have fields of their own, in the order in which `body` takes them."""

LISTS = (LINES, SETTLEMENTS)
"""Those of which a receipt has several."""

NEEDED = ("cashReceiptID", "storeID", "date", "documentTotal.grossTotal")
"""By these names: what no receipt can be without."""

KEY = ("storeID", "terminalID", "cashReceiptID", "date")

Choose = Callable[[list[str]], Sequence[str]]

# Of all columns together; a column's are forgotten when they are full, and long texts don't come twice.
_KEPT = 100_000
_KEPT_OF_ONE = 4_096
_KEPT_LENGTH = 64
_SHOWN = 60

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)


class Field(NamedTuple):
    """One field: the part it stands in, its JSON name, whether it is an amount and whether it is known."""

    part: str
    name: str
    amount: bool = False
    known: bool = False

    @property
    def path(self) -> str:
        """As CSV names it: `lines.productCode`."""
        return f"{self.part}.{self.name}" if self.part else self.name


def _known() -> dict[tuple[str, str], Field]:
    found = {}
    for part, kind in zip(PARTS, (Receipt, DocumentTotal, Line, Settlement), strict=True):
        for name, hint in get_type_hints(kind).items():
            if name not in PARTS:
                found[part, name.lower()] = Field(part, name, hint in (Decimal, Decimal | None), known=True)
    return found


_KNOWN = _known()
_PARTS = {part.lower(): part for part in PARTS if part}


def field(path: str) -> Field | None:
    """The field that a name such as `lines.productCode` or `grossTotal` means, whatever its case.

    Names that are not known are fields too, of texts: behind a part's name in that part, else of the receipt. None
    where a part is named and no field of it.
    """
    first, _, rest = path.partition(".")
    part = _PARTS.get(first.lower())
    if part is None:
        bare = _KNOWN.get((TOTAL, path.lower()))
        return bare or _KNOWN.get((RECEIPT, path.lower())) or Field(RECEIPT, path)
    return (_KNOWN.get((part, rest.lower())) or Field(part, rest)) if rest else None


def short(text: str) -> str:
    """As much of a text as a fault tells of it."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def text_json(text: str) -> str:
    """A text as JSON; empty for an empty one."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"' if text else ""
    return encode(text).decode()


def amount_json(text: str, *, careful: bool = False) -> str:
    """An amount as JSON; what is no number stays a text, for validation to tell of it by its path.

    A comma is a decimal one, unless `careful` is set and the text may as well have thousands in it: `1,500`.
    """
    if _NUMBER.fullmatch(text):
        return text
    bare = text.strip()
    if bare.count(",") == 1 and "." not in bare and not (careful and _THOUSANDS.fullmatch(bare)):
        bare = bare.replace(",", ".")
        if _NUMBER.fullmatch(bare):
            return bare
    number = amount(bare)
    if isinstance(number, Decimal):
        return f"{number:f}"
    return text_json(text) if bare else ""


careful_amount_json = partial(amount_json, careful=True)


class Values(dict[str, str]):
    """What texts are as members of a JSON object, with the field's name and a comma behind; empty for those that say
    nothing. `among` so many others, each remembers a bounded number of them.
    """

    def __init__(self, field: Field, write: Callable[[str], str], among: int) -> None:
        super().__init__()
        self._prefix = f"{text_json(field.name)}:"
        self._write = write
        self._limit = min(_KEPT_OF_ONE, 1 + _KEPT // among)

    def __missing__(self, text: str) -> str:
        written = self._write(text)
        made = f"{self._prefix}{written}," if written else ""
        if len(text) <= _KEPT_LENGTH:
            if len(self) >= self._limit:
                self.clear()
            self[text] = made
        return made


def chooser(places: Sequence[int]) -> Choose:
    """What takes the texts in these places from a list of them."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda texts: [texts[at] for at in places]


def body(receipt: str, total: str, lines: Sequence[str], settlements: Sequence[str]) -> bytes:
    """The canonical receipt: members of it, of its totals, of each line and of each settlement, as `Values` has them."""
    text = "{" + receipt
    if total:
        text += f'"documentTotal":{{{total[:-1]}}},'
    if lines:
        text += f'"lines":[{{{"},{".join([each[:-1] for each in lines])}}}],'
    if settlements:
        text += f'"settlements":[{{{"},{".join([each[:-1] for each in settlements])}}}],'
    return f"{text.removesuffix(',')}}}".encode()
