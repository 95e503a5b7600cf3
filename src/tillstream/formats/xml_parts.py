"""The parts of an XML stream: what its tags look like as bytes, its encoding, and a record that is cut out of it."""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from xml.parsers import expat

from tillstream.formats.base import Record, Unreadable
from tillstream.receipt.model import Fault

_PREFIX_LIMIT_BYTES = 64

BOM = b"\xef\xbb\xbf"
SPACE = b" \t\r\n"
DECLARED = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")
ENCODINGS = frozenset(
    {"utf-8", "ascii", "koi8-r", "cp437", "cp850", "cp852", "cp858"}
    | {f"iso8859-{part}" for part in range(1, 17)}
    | {f"cp125{page}" for page in range(9)}
)
"""Eight bits or UTF-8, and ASCII where XML's own signs are: these can be cut without being decoded."""

# Groups are not possessive: in Python before 3.11.5 such ones match what they should not.
_REST = rb"([^<>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^<>\"']*)*)>"
TAG_REST = re.compile(_REST)
START = re.compile(rb"<([^\s<>/!?=\"'&]++)" + _REST)
END = re.compile(rb"</([^\s<>/]++)\s*+>")
NAMESPACE = re.compile(rb"\s(xmlns(?::[^\s=:]++)?)\s*+=\s*+(\"[^\"<]*+\"|'[^'<]*+')")
SKIPPED = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))
LONGEST_OPENER = len(b"<![CDATA[")

BROKEN = "mend it and send it again"


class Root(NamedTuple):
    """The outermost element: its name without a prefix, and its namespace (empty: none)."""

    name: str
    namespace: str


class Cut(NamedTuple):
    """One record: the very bytes, its number from 1, and what must stand before the bytes to parse them."""

    original: bytes
    number: int
    before: str
    encoding: str

    @property
    def where(self) -> str:
        return f"record {self.number}"


def parsed(cut: Cut) -> tuple[str, ET.Element] | Unreadable:
    """The record's characters, and the element that they are."""
    try:
        text = cut.original.decode(cut.encoding)
    except UnicodeDecodeError as error:
        return _broken(cut, f"its byte {error.start} is not {cut.encoding.upper()}")
    read = element(cut, text)
    return read if isinstance(read, Unreadable) else (text, read)


def element(cut: Cut, text: str) -> ET.Element | Unreadable:
    """The record parsed; `text` is its characters. Without a DTD there is nothing to expand or to fetch."""
    try:
        return ET.fromstring(f"{cut.before}{text}</_>")[0] if cut.before else ET.fromstring(text)
    except ET.ParseError as error:
        line, column = error.position
        column -= len(cut.before) if line == 1 else 0
        place = f"its line {line}, character {max(column, 0) + 1}"
        return _broken(cut, f"it is not well-formed: {expat.ErrorString(error.code)} ({place})")


def content(found: ET.Element | None) -> str:
    """An element's text without blanks around it; empty where there is no element."""
    return (found.text or "").strip(" \t\r\n") if found is not None else ""


def _broken(cut: Cut, problem: str) -> Unreadable:
    return Unreadable([Fault("$", problem, BROKEN)], cut.original, cut.where)


Known = Callable[[bytes, str], "Record | None"]
"""Makes something of a record in UTF-8 that is known by its layout, else None; takes a `Cut`'s bytes and `before`."""


class Tags:
    """What to look for of the records of a name."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        tag = rb"(?:[^\s<>/:&]{0,%d}+:)?%b(?=[\s/>])" % (_PREFIX_LIMIT_BYTES, re.escape(name))
        self.start = re.compile(rb"<" + tag)
        # The look ahead passes over nearly all tags three times as fast.
        ahead = rb"<(?=[!?/%b]|[^\s<>/:&]{1,%d}+:)" % (re.escape(name[:1]), _PREFIX_LIMIT_BYTES)
        other = rb"!--|!\[CDATA\[|\?|!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)"
        self.inside = re.compile(ahead + rb"(?:" + other + rb"|(/?)" + tag + rb")")
        self.longest = _PREFIX_LIMIT_BYTES + len(name) + LONGEST_OPENER


@lru_cache(maxsize=16)
def tags(name: bytes) -> Tags:
    return Tags(name)


def encoding(declared: str) -> str:
    """The one name that Python has for an encoding; the declared one where Python has none."""
    try:
        return codecs.lookup(declared).name
    except LookupError:
        return declared
