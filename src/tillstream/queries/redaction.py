"""Redaction of personal data: masks the customer and the cashier in the original body of a record.

The text may have any format and may be broken. If the text can be parsed, only the values of personal fields are
masked. Otherwise more text than necessary may be masked.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.parsers import expat

from tillstream.formats.base import Decoder
from tillstream.formats.canonical import find_field
from tillstream.formats.registry import BUILT_IN
from tillstream.log.base import Log
from tillstream.receipt.model import HEAD_COLUMNS, PERSONAL, RECEIPT

MASK = "•••"
_QUOTED_MASK = f'"{MASK}"'
_SPACE = "\ufeff \t\r\n"

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?P<colon>\s*:\s*)?', re.DOTALL)
_JSON = json.JSONDecoder(strict=False)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_VALUE = re.compile(r"\"[^\"\r\n]*+\"?|'[^'\r\n]*+'?|[\[{(].*+|[^\r\n,;&<>{}|\t]*+", re.DOTALL)
_ATTRIBUTE = re.compile(r"(\s(?!xmlns)[^\s=<>\"']++\s*+=\s*+)(?:\"[^\"]*+\"|'[^']*+')")
_DELIMITERS = ",;\t"
_MIN_COLUMNS = 4
_PATH = re.compile(r"[.\[\]]")


_KIND, _SOURCE = HEAD_COLUMNS.index("kind"), HEAD_COLUMNS.index("source")

# UTF-32 must come first, because its byte order mark begins with the byte order mark of UTF-16.
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
    """Reads original bodies from the log and masks their personal fields."""

    def __init__(self, log: Log, formats: Iterable[Decoder | type[Decoder]] = BUILT_IN) -> None:
        self._log = log
        self._personal: defaultdict[str, set[str]] = defaultdict(set)
        for each in formats:
            self._personal[each.name].update(each.personal)
        self._all = frozenset(PERSONAL).union(*self._personal.values())

    def text(self, record_id: int) -> str | None:
        """Return the redacted original of a record, or None if the log no longer contains the record."""
        found = self._log.fetch([record_id]).get(record_id)
        if found is None:
            return None
        head, body, original = found
        raw = original or body
        charset = next((charset for mark, charset in _CHARSETS if raw.startswith(mark)), "utf-8")
        names = self._personal_names(head.decode("utf-8", "replace").split("\t"))
        return redact(raw.decode(charset, "replace"), names)

    def _personal_names(self, head: list[str]) -> frozenset[str]:
        """Return the names of the personal fields in the format of a record.

        If the format is unknown or the record is not a receipt, return the names of all formats.
        """
        name = head[_SOURCE].partition("/")[0] if len(head) > _SOURCE else ""
        if head[_KIND] != RECEIPT or name not in self._personal:
            return self._all
        return frozenset(self._personal[name])


def fields(body: bytes, schema: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield the path, the value and the SQL type of each field in a JSON body, in the order of the schema.

    Nulls are skipped. If the body is not valid JSON, nothing is yielded.
    """
    try:
        value = json.loads(body, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_first_of_each)
    except (ValueError, ArithmeticError, RecursionError):
        return
    yield from _walk(value, schema, "$")


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. If a name is repeated, the first value counts, as in the engine."""
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


class _PersonalNames(NamedTuple):
    """The names of personal fields in lower case, and patterns that find these names in a text."""

    folded: frozenset[str]
    element: re.Pattern[str]
    attribute: re.Pattern[str]
    word: re.Pattern[str]

    def has(self, path: str) -> bool:
        """Return whether the last part of a path is the name of a personal field."""
        return next(filter(None, reversed(_PATH.split(path.strip(' "')))), "").casefold() in self.folded


@lru_cache(maxsize=64)
def _personal_names(names: frozenset[str]) -> _PersonalNames:
    either = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    words = "|".join(
        "[-_ .]?".join(map(re.escape, _WORD.findall(name))) for name in sorted(names, key=len, reverse=True)
    )
    tag = rf"(?:[^\s<>/:&]{{0,64}}+:)?({either})(?=[\s/>])([^<>\"']*(?:(?:\"[^\"<]*\"|'[^'<]*')[^<>\"']*)*)>"
    value = r"(?:\"[^\"<]*+\"?|'[^'<]*+'?|[^\s<>\"']++)"
    return _PersonalNames(
        frozenset(name.casefold() for name in names),
        re.compile(rf"<(/?){tag}", re.IGNORECASE),
        re.compile(rf"(\s(?:[^\s=<>\"':]{{0,64}}+:)?(?:{either})\s*+=\s*+){value}", re.IGNORECASE),
        re.compile(rf"(?:{words})[\"'\])\s\\]*+[:=>]++\s*+", re.IGNORECASE),
    )


def redact(text: str, personal: Iterable[str] = PERSONAL) -> str:
    """Mask the values of personal fields in a text. A text without personal fields is unchanged."""
    names = _personal_names(frozenset(personal))
    if not names.folded:
        return text
    if _is_json(text):
        return _redact_json(text, names)
    if _is_xml(text):
        return _redact_xml(text, names)
    return _redact_table(text, names) or _redact_form(text, names) or _redact_anything(text, names)


def _redact_anything(text: str, names: _PersonalNames) -> str:
    """Mask personal data in a text of unknown format.

    If a sign such as `:` or `=` follows a personal name, the text after it is masked up to a delimiter such as a comma.
    """
    text = _redact_xml(_redact_json(text, names), names)
    parts, start = [], 0
    for found in names.word.finditer(text):
        if found.start() >= start:
            value = _VALUE.match(text, found.end())
            assert value is not None
            parts += [text[start : found.end()], MASK if value[0].strip() and MASK not in value[0] else value[0]]
            start = value.end()
    return "".join([*parts, text[start:]])


def _is_json(text: str) -> bool:
    """Return whether the text, or each of its lines, is JSON."""
    return _parses(text) or ("\n" in text and all(_parses(line) for line in text.splitlines() if line.strip()))


def _parses(text: str) -> bool:
    try:
        return not text[_JSON.raw_decode(text, len(text) - len(text.lstrip(_SPACE)))[1] :].strip()
    except (ValueError, RecursionError):
        return False


def _redact_json(text: str, names: _PersonalNames) -> str:
    """Mask personal fields in JSON. If the value of a personal field is broken, all text after its name is masked."""
    parts: list[str] = []
    start = 0
    for match in _STRING.finditer(text):
        if match.start() < start or match["colon"] is None:
            continue
        if not _is_personal(match.group().rstrip(": \t\r\n"), names):
            continue
        parts += [text[start : match.end()], _QUOTED_MASK]
        try:
            start = _JSON.raw_decode(text, match.end())[1]
        except (ValueError, RecursionError):
            return "".join(parts)
    return "".join([*parts, text[start:]])


def _is_personal(key: str, names: _PersonalNames) -> bool:
    try:
        return json.loads(key, strict=False).casefold() in names.folded
    except ValueError:
        return False


def _is_xml(text: str) -> bool:
    """Return whether the text is well-formed XML without a document type or entity declarations."""
    stripped = text.lstrip(_SPACE)
    if not stripped.startswith("<") or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return False
    try:
        expat.ParserCreate("utf-8").Parse(stripped.encode("utf-8", "replace"), True)
    except expat.ExpatError:
        return False
    return True


def _redact_xml(text: str, names: _PersonalNames) -> str:
    """Mask the content and the attributes of personal elements, and the personal attributes of other elements.

    If a personal element is not closed, all text after its start is masked.
    """
    parts: list[str] = []
    start = 0
    while found := names.element.search(text, start):
        if found[1]:
            parts.append(text[start : found.end()])
            start = found.end()
            continue
        tag = found[0]
        parts += [text[start : found.start()], _ATTRIBUTE.sub(rf"\g<1>{_QUOTED_MASK}", tag)]
        start = found.end()
        if tag.endswith("/>"):
            continue
        end = _end_of_element(text, found, names)
        parts.append(MASK if text[start:end].strip() else text[start:end])
        start = end
    return names.attribute.sub(rf"\g<1>{_QUOTED_MASK}", "".join([*parts, text[start:]]))


def _end_of_element(text: str, opened: re.Match[str], names: _PersonalNames) -> int:
    depth = 1
    for tag in names.element.finditer(text, opened.end()):
        if tag[2] != opened[2] or tag[0].endswith("/>"):
            continue
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.start()
    return len(text)


def _redact_table(text: str, names: _PersonalNames) -> str:
    """Mask the cells of personal columns. If the table has no header, mask all cells.

    If a row has more or fewer cells than the header, its cells may be shifted. The first cell that may be personal and
    all cells after it are then masked. If the text is not a table, return an empty text.
    """
    header, _, _ = text.partition("\n")
    delimiter = max(_DELIMITERS, key=header.count)
    columns = [name.strip(' "') for name in header.strip("\ufeff\r").split(delimiter)]
    hidden = [index for index, name in enumerate(columns) if names.has(name)]
    headless = not any((known := find_field(name)) and known.known for name in columns)
    if len(columns) < _MIN_COLUMNS or not (hidden or headless) or columns[0].startswith(("{", "[", "<")):
        return ""
    cell = re.compile(rf" *+(?:\"[^\"]*(?:\"\"[^\"]*)*\"[^{delimiter}\r\n]*+|[^{delimiter}\r\n]*+)")
    if headless:
        hidden, header, text = list(range(len(columns))), "", f"\n{text}"
    parts, start = [header], len(header)
    while start < len(text):
        cells = []
        while found := cell.match(text, start + 1):
            cells.append(text[start] + found[0])
            start = found.end()
            if text[start : start + 1] != delimiter:
                break
        shift = abs(len(cells) - len(columns))
        indexes = range(min(hidden) - shift, len(cells)) if shift else hidden
        parts += [_redact_cell(each) if index in indexes else each for index, each in enumerate(cells)]
    return "".join(parts).removeprefix("\n") if headless else "".join(parts)


def _redact_cell(cell: str) -> str:
    """Mask a cell, but keep its first character, which is a delimiter or a line break."""
    return cell[0] + MASK if cell[1:].strip() else cell


def _redact_form(text: str, names: _PersonalNames) -> str:
    """Mask personal fields in a form such as `till=3&agentID=7`. If the text is not a form, return an empty text."""
    fields = text.strip().split("&")
    if any(sign in text.strip() for sign in " \r\n<>{}") or not all("=" in each or not each for each in fields):
        return ""
    pairs = (each.partition("=") for each in fields)
    return "&".join(
        f"{name}={MASK}" if value and names.has(unquote_plus(name)) else f"{name}{equals}{value}"
        for name, equals, value in pairs
    )
