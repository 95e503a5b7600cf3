"""Hides whom a receipt names: what customers and agents are called never leaves the log by the page or the API."""

from __future__ import annotations

import json
import re

PERSONAL = frozenset({"customerid", "agentid"})
"""Fields that name a person, in lower case."""

MASK = '"•••"'

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"(?P<colon>\s*:\s*)?', re.DOTALL)
_DECODER = json.JSONDecoder()


def mask(text: str) -> str:
    """The JSON text with the values of personal fields hidden, and otherwise as it came.

    Where the text breaks off or cannot be read behind such a field, all that follows is hidden.
    """
    parts: list[str] = []
    start = 0
    for match in _STRING.finditer(text):
        if match.start() < start or match["colon"] is None or not _personal(match.group().rstrip(": \t\r\n")):
            continue
        parts += [text[start : match.end()], MASK]
        try:
            start = _DECODER.raw_decode(text, match.end())[1]
        except (ValueError, RecursionError):
            return "".join(parts)
    return "".join([*parts, text[start:]])


def _personal(key: str) -> bool:
    try:
        return json.loads(key, strict=False).casefold() in PERSONAL
    except ValueError:
        return False
