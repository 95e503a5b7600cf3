"""Two versions of one receipt, field by field: what made them a conflict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from tillstream.database.base import Row
from tillstream.queries.redaction import MASK
from tillstream.receipt.amounts import NOISE_UNIT
from tillstream.receipt.model import PERSONAL
from tillstream.receipt.normalization import CONTENT_SCHEMA

FIELDS_LIMIT = 1_000
"""Most fields of one comparison."""


def differences(first: bytes, second: bytes) -> list[Row]:
    """The known fields that count as content, each with both texts (None: it is not there) and whether they differ."""
    a, b = (dict(islice(_fields(_read(body)), FIELDS_LIMIT)) for body in (first, second))
    paths = [*a, *(path for path in b if path not in a)]
    return [_row(path, a.get(path), b.get(path)) for path in sorted(paths, key=_order)]


def _row(path: str, first: str | None, second: str | None) -> Row:
    hide = path.rpartition(".")[2] in PERSONAL
    shown = {"first": first, "second": second}
    texts = {side: MASK if hide and text is not None else text for side, text in shown.items()}
    return {"path": path, **texts, "differs": first != second}


def _read(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_first_of_each)
    except (ValueError, ArithmeticError, RecursionError):
        return {}


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As the engine reads an object in which a name stands twice."""
    return dict(reversed(pairs))


def _fields(value: Any, shape: Any = CONTENT_SCHEMA, path: str = "$") -> Iterator[tuple[str, str]]:
    if isinstance(shape, Mapping):
        for name, part in shape.items() if isinstance(value, dict) else ():
            yield from _fields(value.get(name), part, f"{path}.{name}")
    elif isinstance(shape, list):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _fields(item, shape[0], f"{path}[{index}]")
    elif value is not None:
        yield path, _text(value, shape)


def _text(value: Any, kind: str) -> str:
    """As both versions are compared: numbers without idle zeros and noise, whether they stood in quotes or not."""
    if not kind.startswith("DECIMAL"):
        return str(value)
    try:
        number = Decimal(value).quantize(NOISE_UNIT)
    except (ArithmeticError, TypeError, ValueError):
        return str(value)
    return format(number.normalize(), "f")


def _order(path: str) -> list[tuple[int, str]]:
    """Line 2 before line 10."""
    return [
        (int(part), "") if part.isdecimal() else (0, part)
        for part in path.replace("]", "").replace("[", ".").split(".")
    ]
