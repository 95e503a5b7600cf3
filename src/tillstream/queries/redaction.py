"""Hides whom a receipt names: who bought and who sold never leaves the log by the page or the API.

What came is a text of any format, and may be broken. What can be read is masked by what it is and is otherwise as it
came; of the rest more is hidden than need be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.parsers import expat

from tillstream.formats.fields import find_field
from tillstream.receipt.model import PERSONAL

MASK = "•••"
_QUOTED = f'"{MASK}"'

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?P<colon>\s*:\s*)?', re.DOTALL)
_JSON = json.JSONDecoder(strict=False)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_VALUE = re.compile(r"\"[^\"\r\n]*+\"?|'[^'\r\n]*+'?|[\[{(].*+|[^\r\n,;&<>{}|\t]*+", re.DOTALL)
_ATTRIBUTE = re.compile(r"(\s(?!xmlns)[^\s=<>\"']++\s*+=\s*+)(?:\"[^\"]*+\"|'[^']*+')")
_DELIMITERS = ",;\t"
_LEAST_COLUMNS = 4
_PATH = re.compile(r"[.\[\]]")


class _Names(NamedTuple):
    """The names of personal fields: as they are compared, and what to look for in a text."""

    folded: frozenset[str]
    element: re.Pattern[str]
    attribute: re.Pattern[str]
    word: re.Pattern[str]

    def hides(self, path: str) -> bool:
        """Whether a name, or the last part of a path, is one of them."""
        return next(filter(None, reversed(_PATH.split(path.strip(' "')))), "").casefold() in self.folded


@lru_cache(maxsize=64)
def _names(names: frozenset[str]) -> _Names:
    either = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    apart = "|".join(
        "[-_ .]?".join(map(re.escape, _WORD.findall(name))) for name in sorted(names, key=len, reverse=True)
    )
    tag = rf"(?:[^\s<>/:&]{{0,64}}+:)?({either})(?=[\s/>])([^<>\"']*(?:(?:\"[^\"<]*\"|'[^'<]*')[^<>\"']*)*)>"
    value = r"(?:\"[^\"<]*+\"?|'[^'<]*+'?|[^\s<>\"']++)"
    return _Names(
        frozenset(name.casefold() for name in names),
        re.compile(rf"<(/?){tag}", re.IGNORECASE),
        re.compile(rf"(\s(?:[^\s=<>\"':]{{0,64}}+:)?(?:{either})\s*+=\s*+){value}", re.IGNORECASE),
        re.compile(rf"(?:{apart})[\"'\])\s\\]*+[:=>]++\s*+", re.IGNORECASE),
    )


def mask(text: str, personal: Iterable[str] = PERSONAL) -> str:
    """The text with what the personal fields hold hidden, whatever its format is; as it is where there are none."""
    names = _names(frozenset(personal))
    if not names.folded:
        return text
    if _is_json(text):
        return _in_json(text, names)
    if _is_xml(text):
        return _in_xml(text, names)
    return _in_table(text, names) or _in_form(text, names) or _anywhere(text, names)


def _anywhere(text: str, names: _Names) -> str:
    """Of what cannot be read as anything: where a name stands, up to where its value may end."""
    text = _in_xml(_in_json(text, names), names)
    parts, start = [], 0
    for found in names.word.finditer(text):
        if found.start() >= start:
            value = _VALUE.match(text, found.end())
            assert value is not None
            parts += [text[start : found.end()], MASK if value[0].strip() and MASK not in value[0] else value[0]]
            start = value.end()
    return "".join([*parts, text[start:]])


# -- JSON


def _is_json(text: str) -> bool:
    """Whether it is JSON, or JSON in every line."""
    return _reads(text) or ("\n" in text and all(_reads(line) for line in text.splitlines() if line.strip()))


def _reads(text: str) -> bool:
    try:
        return not text[_JSON.raw_decode(text, len(text) - len(text.lstrip("\ufeff \t\r\n")))[1] :].strip()
    except (ValueError, RecursionError):
        return False


def _in_json(text: str, names: _Names) -> str:
    """Where it breaks off or cannot be read behind a personal field, all that follows is hidden."""
    parts: list[str] = []
    start = 0
    for match in _STRING.finditer(text):
        if match.start() < start or match["colon"] is None or not _hides(match.group().rstrip(": \t\r\n"), names):
            continue
        parts += [text[start : match.end()], _QUOTED]
        try:
            start = _JSON.raw_decode(text, match.end())[1]
        except (ValueError, RecursionError):
            return "".join(parts)
    return "".join([*parts, text[start:]])


def _hides(key: str, names: _Names) -> bool:
    try:
        return json.loads(key, strict=False).casefold() in names.folded
    except ValueError:
        return False


# -- XML


def _is_xml(text: str) -> bool:
    """Whether it is one element that is well-formed, whatever its prefixes; what declares entities isn't looked at."""
    if not text.lstrip("\ufeff \t\r\n").startswith("<") or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return False
    try:
        expat.ParserCreate("utf-8").Parse(text.lstrip("\ufeff \t\r\n").encode("utf-8", "replace"), True)
    except expat.ExpatError:
        return False
    return True


def _in_xml(text: str, names: _Names) -> str:
    """All that such an element holds, and such attributes; to the end where the element isn't closed."""
    parts: list[str] = []
    start = 0
    while found := names.element.search(text, start):
        if found[1]:
            parts.append(text[start : found.end()])
            start = found.end()
            continue
        opened = found[0]
        parts += [text[start : found.start()], _ATTRIBUTE.sub(rf"\g<1>{_QUOTED}", opened)]
        start = found.end()
        if opened.endswith("/>"):
            continue
        end = _end_of_element(text, found, names)
        parts.append(MASK if text[start:end].strip() else text[start:end])
        start = end
    return names.attribute.sub(rf"\g<1>{_QUOTED}", "".join([*parts, text[start:]]))


def _end_of_element(text: str, opened: re.Match[str], names: _Names) -> int:
    depth = 1
    for tag in names.element.finditer(text, opened.end()):
        if tag[2] != opened[2] or tag[0].endswith("/>"):
            continue
        depth += -1 if tag[1] else 1
        if not depth:
            return tag.start()
    return len(text)


# -- tables and forms


def _in_table(text: str, names: _Names) -> str:
    """Cells of personal columns, and all of a table that has no header; empty where it is no table with any.

    In a row that is longer or shorter than the header, columns stand elsewhere: all that may be meant is hidden.
    """
    header, _, _ = text.partition("\n")
    delimiter = max(_DELIMITERS, key=header.count)
    columns = [name.strip(' "') for name in header.strip("\ufeff\r").split(delimiter)]
    hidden = [at for at, name in enumerate(columns) if names.hides(name)]
    headless = not any((known := find_field(name)) and known.known for name in columns)
    if len(columns) < _LEAST_COLUMNS or not (hidden or headless) or columns[0].startswith(("{", "[", "<")):
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
        off = abs(len(cells) - len(columns))
        hide = range(min(hidden) - off, len(cells)) if off else hidden
        parts += [_hidden_cell(each) if at in hide else each for at, each in enumerate(cells)]
    return "".join(parts).removeprefix("\n") if headless else "".join(parts)


def _hidden_cell(cell: str) -> str:
    """A cell with the sign before it."""
    return cell[0] + MASK if cell[1:].strip() else cell


def _in_form(text: str, names: _Names) -> str:
    """Values of personal fields; empty where it is no form."""
    fields = text.strip().split("&")
    if any(sign in text.strip() for sign in " \r\n<>{}") or not all("=" in each or not each for each in fields):
        return ""
    shown = (each.partition("=") for each in fields)
    return "&".join(
        f"{name}={MASK}" if value and names.hides(unquote_plus(name)) else f"{name}{equals}{value}"
        for name, equals, value in shown
    )
