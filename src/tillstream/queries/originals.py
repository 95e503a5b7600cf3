"""Original bodies of records: their text with personal data redacted, their fields, and a comparison of two bodies."""

from __future__ import annotations

import codecs
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from tillstream.database.base import Row
from tillstream.formats.base import Decoder
from tillstream.formats.registry import BUILT_IN
from tillstream.log.base import Log
from tillstream.queries.redaction import MASK, redact
from tillstream.receipt.amounts import NOISE_UNIT
from tillstream.receipt.model import HEAD_COLUMNS, PERSONAL, RECEIPT
from tillstream.receipt.normalization import CONTENT_SCHEMA

FIELDS_LIMIT = 1_000
"""Maximum number of fields in one comparison."""

_KIND, _SOURCE = HEAD_COLUMNS.index("kind"), HEAD_COLUMNS.index("source")

# UTF-32 comes first, because its byte order mark begins with that of UTF-16.
_CHARSETS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
)


class Originals:
    """Reads original bodies from the log and redacts the personal fields of their formats."""

    def __init__(self, log: Log, formats: Iterable[Decoder | type[Decoder]] = BUILT_IN) -> None:
        self._log = log
        self._personal: defaultdict[str, set[str]] = defaultdict(set)
        for each in formats:
            self._personal[each.name].update(each.personal)
        self._all = frozenset(PERSONAL).union(*self._personal.values())

    def text(self, record_id: int) -> str | None:
        """The original of a record as redacted text; None if the log no longer has it."""
        found = self._log.fetch([record_id]).get(record_id)
        if found is None:
            return None
        head, body, original = found
        raw = original or body
        charset = next((charset for mark, charset in _CHARSETS if raw.startswith(mark)), "utf-8")
        names = self._personal_names(head.decode("utf-8", "replace").split("\t"))
        return redact(raw.decode(charset, "replace"), names)

    def _personal_names(self, head: list[str]) -> frozenset[str]:
        """The personal fields of the record's format; those of all formats for a refusal, which may be in any."""
        name = head[_SOURCE].partition("/")[0] if len(head) > _SOURCE else ""
        if head[_KIND] != RECEIPT or name not in self._personal:
            return self._all
        return frozenset(self._personal[name])


def fields(body: bytes, schema: Any) -> Iterator[tuple[str, Any, str]]:
    """Path, value and SQL type of each field of a JSON body that the schema has, in order; nulls are left out."""
    try:
        value = json.loads(body, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_first_of_each)
    except (ValueError, ArithmeticError, RecursionError):
        return
    yield from _walk(value, schema, "$")


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The first value of a repeated name counts, as in the engine."""
    return dict(reversed(pairs))


def _walk(value: Any, schema: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    if isinstance(schema, Mapping):
        for name, part in schema.items() if isinstance(value, dict) else ():
            yield from _walk(value.get(name), part, f"{path}.{name}")
    elif isinstance(schema, list):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _walk(item, schema[0], f"{path}[{index}]")
    elif value is not None:
        yield path, value, schema


def differences(first: bytes, second: bytes) -> list[Row]:
    """The content fields of two versions of a receipt: both texts (None if absent), and whether they differ."""
    a, b = (
        {path: _text(value, kind) for path, value, kind in islice(fields(body, CONTENT_SCHEMA), FIELDS_LIMIT)}
        for body in (first, second)
    )
    return [_difference(path, a.get(path), b.get(path)) for path in sorted({**a, **b}, key=_order)]


def _difference(path: str, first: str | None, second: str | None) -> Row:
    personal = path.rpartition(".")[2] in PERSONAL
    texts = {"first": first, "second": second}
    shown = {side: MASK if personal and text is not None else text for side, text in texts.items()}
    return {"path": path, **shown, "differs": first != second}


def _text(value: Any, kind: str) -> str:
    """A value as the engine compares it: numbers, also quoted ones, without trailing zeros and rounding noise."""
    if not kind.startswith("DECIMAL"):
        return str(value)
    try:
        number = Decimal(value).quantize(NOISE_UNIT)
    except (ArithmeticError, TypeError, ValueError):
        return str(value)
    return format(number.normalize(), "f")


def _order(path: str) -> list[tuple[int, str]]:
    """Sort key that puts line 2 before line 10."""
    return [
        (int(part), "") if part.isdecimal() else (0, part)
        for part in path.replace("]", "").replace("[", ".").split(".")
    ]
