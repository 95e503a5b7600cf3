"""Cuts records out of an XML document as bytes, in constant memory, and parses them one by one.

A record is an element with a given name, such as `receipt`. A broken record affects no other record. Reading ends at a
document type definition (DTD), so the parser never sees one.
"""

from __future__ import annotations

import codecs
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from tillstream.formats.base import BOM, LIMIT_HINT, Unreadable, read_up_to

WINDOW_BYTES = 256 * 1024
"""The number of bytes that are read at a time."""

# Limits for the elements that surround the records. Real documents stay far below these limits.
_TAG_LIMIT_BYTES = 64 * 1024
_DEPTH_LIMIT = 64
_TAGS_BETWEEN_RECORDS_LIMIT = 100_000
# The namespace declarations around a record are parsed again with each record. Many declarations slow this down.
_NAMESPACES_LIMIT_BYTES = 4 * 1024
_PREFIX_LIMIT_BYTES = 64

_BROKEN_HINT = "fix it and send it again"
_NOT_XML_HINT = "send XML, in UTF-8 if possible"
_DTD_HINT = "remove <!DOCTYPE …>"
_TRUNCATED_HINT = "send the whole document"

_SPACE = b" \t\r\n"
_DECLARED_ENCODING = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")
# UTF-8 and the eight-bit encodings that extend ASCII. Tags can be found in these encodings without decoding.
_ENCODINGS = frozenset(
    {"utf-8", "ascii", "koi8-r", "cp437", "cp850", "cp852", "cp858"}
    | {f"iso8859-{part}" for part in range(1, 17)}
    | {f"cp125{page}" for page in range(9)}
)

# The groups are not possessive, because Python before 3.11.5 has a bug with possessive groups.
_REST = rb"(?P<attributes>[^<>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^<>\"']*)*)>"
_TAG_REST = re.compile(_REST)
_START_TAG = re.compile(rb"<(?P<name>[^\s<>/!?=\"'&]++)" + _REST)
_END_TAG = re.compile(rb"</([^\s<>/]++)\s*+>")
_NAMESPACE = re.compile(rb"\s(xmlns(?::[^\s=:]++)?)\s*+=\s*+(\"[^\"<]*+\"|'[^'<]*+')")

# Start and end of comments, CDATA sections and processing instructions. Tags inside them have no meaning.
_SECTIONS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_SECTION_START = re.compile(rb"<!--|<!\[CDATA\[|<\?")
_LONGEST_SECTION_START = max(map(len, _SECTIONS))


class Root(NamedTuple):
    """The local name and the namespace of the root element. The namespace may be empty."""

    name: str
    namespace: str


class XmlRecord(NamedTuple):
    """A parsed record, its original bytes, and its position in the document, such as `record 7`."""

    element: ET.Element
    original: bytes
    where: str

    def fault(self, error: str, hint: str = "", path: str = "$") -> Unreadable:
        """Return an `Unreadable` for this record."""
        return Unreadable.because(error, hint, self.original, self.where, path)


class _Ended(Exception):
    """The rest of the document cannot be read. `fault` contains the reason."""

    def __init__(self, fault: Unreadable) -> None:
        super().__init__()
        self.fault = fault


class _OpenElement(NamedTuple):
    """An open element around the records. `context` is empty, or a start tag with all namespaces of the element."""

    name: bytes
    context: bytes


class _RecordTags:
    """Patterns that find the tags of elements with a given local name and any namespace prefix."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        tag = rb"(?:[^\s<>/:&]{0,%d}+:)?%b(?=[\s/>])" % (_PREFIX_LIMIT_BYTES, re.escape(name))
        self.start = re.compile(rb"<" + tag)
        other = rb"!--|!\[CDATA\[|\?|!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)"
        self.inside = re.compile(rb"<(?:" + other + rb"|(/?)" + tag + rb")")
        """Finds tags, sections and declarations. Group 1 is empty (start tag), `/` (end tag) or None (all others)."""
        self.longest = _PREFIX_LIMIT_BYTES + len(name) + _LONGEST_SECTION_START


class XmlRecordReader:
    """Reads the records of one XML document. Call `root` once, then `records` once.

    Only one window is in memory: the part of the document around a record. The reader looks inside a record only for
    comments, sections and tags with the name of the record. The parser checks everything else.
    """

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self._source = source
        self._limit_bytes = limit_bytes
        self._window = b""
        self._position = self._dropped_bytes = 0
        self._ended = False
        self._encoding = "utf-8"
        self._open: list[_OpenElement] = []
        self._record_number = 0
        self._tags_between_records = 0
        # If the end of a record is not found, the bytes before this offset are not searched for nested records again,
        # because that would take quadratic time. In these bytes, every start tag of a record begins the next record.
        self._no_nesting_until = 0
        self._missing_section_ends: set[bytes] = set()

    def root(self) -> Root | Unreadable:
        """Return the root element, or a fault if the document has no root element or cannot be read."""
        try:
            self._read_prolog()
            tag = self._next_start_tag(None)
        except _Ended as ended:
            return ended.fault
        if tag is None or isinstance(tag, Unreadable):
            return tag or self.fault("there is no receipt in it", _NOT_XML_HINT)
        prefix, colon, name = tag["name"].rpartition(b":")
        declared = dict(_NAMESPACE.findall(tag["attributes"])).get(b"xmlns:" + prefix if colon else b"xmlns", b"''")
        return Root(self._decode(name), self._decode(declared[1:-1]))

    def records(self, name: str) -> Iterator[XmlRecord | Unreadable]:
        """Yield every outermost element with this local name and any namespace prefix."""
        tags = _RecordTags(name.encode())
        try:
            while (tag := self._next_start_tag(tags)) is not None:
                if isinstance(tag, Unreadable):
                    yield tag
                elif tag["name"].rpartition(b":")[2] == tags.name:
                    yield from self._read_record(tags, tag)
                elif tag["attributes"].endswith(b"/"):
                    self._position += len(tag[0])
                else:
                    self._open_element(tag)
        except _Ended as ended:
            yield ended.fault
            return
        if self._open:
            yield self.fault(f"the document is cut off before </{self._decode(self._open[-1].name)}>", _TRUNCATED_HINT)

    def fault(self, error: str, hint: str, size: int | None = None) -> Unreadable:
        """Return a fault for the next `size` bytes, or for all unread bytes in memory if `size` is None."""
        end = self._position + min(self._limit_bytes, self._unread_bytes if size is None else size)
        where = f"record {self._record_number}" if self._record_number else ""
        return Unreadable.because(error, hint, self._window[self._position : end], where)

    @property
    def _unread_bytes(self) -> int:
        return len(self._window) - self._position

    def _decode(self, name: bytes) -> str:
        return name.decode(self._encoding, "replace")

    def _read_more(self) -> bool:
        """Append more bytes to the window and drop those before the position. Return False if the document ended."""
        if self._ended:
            return False
        more = read_up_to(WINDOW_BYTES, self._source)
        self._ended = len(more) < WINDOW_BYTES
        self._dropped_bytes += self._position
        self._window, self._position = self._window[self._position :] + more, 0
        return bool(more)

    def _read_prolog(self) -> None:
        """Check the start of the document and find its encoding. Raises `_Ended` if the document cannot be read."""
        while self._unread_bytes < _TAG_LIMIT_BYTES and self._read_more():
            pass
        if self._window.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in self._window[:4]:
            raise _Ended(self.fault("its charset is UTF-16 or UTF-32", "send it in UTF-8"))
        self._position = len(BOM) if self._window.startswith(BOM) else 0
        text = self._window[self._position : self._position + _TAG_LIMIT_BYTES].lstrip(_SPACE)
        if text and not text.startswith(b"<"):
            raise _Ended(self.fault(f"not XML: it begins with {ascii(text[:8])[1:]}", _NOT_XML_HINT))
        if declared := _DECLARED_ENCODING.match(text):
            self._encoding = _python_encoding(declared[1].decode())
        if self._encoding not in _ENCODINGS:
            raise _Ended(self.fault(f"its charset is {self._encoding}", "send it in UTF-8"))

    def _next_start_tag(self, tags: _RecordTags | None) -> re.Match[bytes] | Unreadable | None:
        """Move to the next start tag and return it. Return None at the end of the document.

        If a tag is broken, move to the next record and return a fault. If none follows in the window, raise `_Ended`.
        """
        while self._tags_between_records < _TAGS_BETWEEN_RECORDS_LIMIT:
            self._tags_between_records += 1
            start = self._window.find(b"<", self._position)
            start = start if start >= 0 else len(self._window)
            if not self._open and self._window[self._position : start].strip(_SPACE):
                raise _Ended(self.fault("there is text after the end of the document", "send one document"))
            self._position = start
            if self._unread_bytes < _LONGEST_SECTION_START and self._read_more():
                continue
            if not self._unread_bytes:
                return None
            if self._window.startswith((b"<!", b"<?"), self._position):
                self._skip_section()
            elif end_tag := _END_TAG.match(self._window, self._position):
                self._close(end_tag[1])
                self._position = end_tag.end()
            elif tag := _START_TAG.match(self._window, self._position):
                return tag
            elif self._unread_bytes > _TAG_LIMIT_BYTES or not self._read_more():
                return self._skip_broken_tag(tags)
        raise _Ended(self.fault("there are too many other elements between the records", "send only the records"))

    def _skip_section(self) -> None:
        """Skip a comment, CDATA section or processing instruction. Raises `_Ended` for a DTD or a missing end."""
        start = _SECTION_START.match(self._window, self._position)
        if start is None:
            raise self._dtd()
        end, self._position = _SECTIONS[start[0]], start.end()
        while (at := self._window.find(end, self._position)) < 0:
            self._position = max(self._position, len(self._window) - len(end) + 1)
            if not self._read_more():
                raise _Ended(self.fault(f"the document is cut off before {end.decode()}", _TRUNCATED_HINT))
        self._position = at + len(end)

    def _dtd(self) -> _Ended:
        return _Ended(self.fault("it has a DTD or entity declarations, which are not accepted", _DTD_HINT))

    def _skip_broken_tag(self, tags: _RecordTags | None) -> Unreadable:
        """Move from a broken tag to the next record and return a fault. Raises `_Ended` if no record follows."""
        found = tags.start.search(self._window, self._position + 1) if tags else None
        size = found and found.start() - self._position
        fault = self.fault("it is not well-formed: a tag is broken", _BROKEN_HINT, size)
        if found is None:
            raise _Ended(fault)
        self._position = found.start()
        return fault

    def _open_element(self, tag: re.Match[bytes]) -> None:
        """Open an element that is not a record. Raises `_Ended` if a limit is exceeded."""
        if len(self._open) == _DEPTH_LIMIT:
            raise _Ended(self.fault("it is nested too deeply", _NOT_XML_HINT))
        context = self._open[-1].context if self._open else b""
        if declared := dict(_NAMESPACE.findall(tag["attributes"])):
            namespaces = dict(_NAMESPACE.findall(context)) | declared
            context = b"<_%b>" % b"".join(b" %b=%b" % each for each in namespaces.items())
            if len(context) > _NAMESPACES_LIMIT_BYTES:
                error = f"its namespace declarations take more than {_NAMESPACES_LIMIT_BYTES} bytes"
                raise _Ended(self.fault(error, _NOT_XML_HINT))
        self._open.append(_OpenElement(tag["name"], context))
        self._position += len(tag[0])

    def _close(self, name: bytes) -> None:
        """Close the innermost element with this name and all elements inside it."""
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth].name == name:
                del self._open[depth:]
                return

    def _read_record(self, tags: _RecordTags, tag: re.Match[bytes]) -> Iterator[XmlRecord | Unreadable]:
        """Cut out and parse the record at the position. Raises `_Ended` if no other record can be read."""
        self._record_number += 1
        self._tags_between_records = 0
        size, next_record = len(tag[0]), 0
        if not tag["attributes"].endswith(b"/"):
            size, next_record = self._measure(tags, size)
        if 0 < size <= self._limit_bytes:
            original = self._window[self._position : self._position + size]
            self._position += size
            context = self._decode(self._open[-1].context) if self._open else ""
            yield parse_record(original, f"record {self._record_number}", context, self._encoding)
        elif next_record:
            yield self.fault("not closed before the next record begins", _BROKEN_HINT, next_record)
            self._position += next_record
        elif self._unread_bytes > self._limit_bytes:
            yield self.fault(f"the record has more than {self._limit_bytes} bytes", LIMIT_HINT)
            self._position += size or len(tag[0])
            if not size:
                self._skip_to_record_tag(tags)
        else:
            raise _Ended(self.fault("the document is cut off inside a record", _TRUNCATED_HINT))

    def _measure(self, tags: _RecordTags, at: int) -> tuple[int, int]:
        """Find the end of the record at the position. `at` is the size of its start tag.

        Return the size of the record and 0. If its end is not found, return 0 and the distance to the next record, or
        two zeros if no record follows. Sizes and distances are in bytes. Raises `_Ended` for a DTD.
        """
        depth, next_record = 1, 0
        while at <= self._limit_bytes:
            token = tags.inside.search(self._window, self._position + at)
            end = self._token_end(token) if token else None
            if token is None or end is None:
                at = token.start() - self._position if token else max(at, self._unread_bytes - tags.longest)
                if self._unread_bytes > self._limit_bytes or not self._read_more():
                    break
                continue
            if token[1]:
                depth -= 1
            elif token[1] is not None and not self._window.endswith(b"/>", 0, end):
                depth += 1
                next_record = next_record or token.start() - self._position
                if self._dropped_bytes + token.start() < self._no_nesting_until:
                    return 0, next_record
            at = end - self._position
            if depth == 0:
                return at, 0
        if not next_record and self._ended and self._unread_bytes <= self._limit_bytes:
            # The loop stops at a section without an end, such as an open comment. Records may follow after it.
            found = tags.start.search(self._window, self._position + 1)
            next_record = found.start() - self._position if found else 0
        if next_record:
            self._no_nesting_until = self._dropped_bytes + len(self._window)
        return 0, next_record

    def _token_end(self, token: re.Match[bytes]) -> int | None:
        """Return the end of the tag or section that starts with the token, or None if the end is not in the window.

        Raises `_Ended` for a DTD.
        """
        if token[1] is not None:
            if rest := _TAG_REST.match(self._window, token.end()):
                return rest.end()
            # A broken tag ends where the next tag starts. The parser reports the fault.
            broken = self._window.find(b"<", token.end())
            return broken if broken >= 0 else None
        section_end = _SECTIONS.get(token[0])
        if section_end is None:
            raise self._dtd()
        end = -1 if section_end in self._missing_section_ends else self._window.find(section_end, token.end())
        if end < 0 and self._ended:
            self._missing_section_ends.add(section_end)
        return end + len(section_end) if end >= 0 else None

    def _skip_to_record_tag(self, tags: _RecordTags) -> None:
        """Skip the content of an oversized record: move to its end tag or to the next record."""
        while True:
            token = tags.inside.search(self._window, self._position)
            if token is not None:
                self._position = token.start()
                if token[1] is not None:
                    return
                self._skip_section()
                continue
            self._position = max(self._position, len(self._window) - tags.longest)
            if not self._read_more():
                self._position = len(self._window)
                self._open.clear()
                return


def parse_record(original: bytes, where: str, context: str = "", encoding: str = "utf-8") -> XmlRecord | Unreadable:
    """Parse a record. `context` is empty, or a start tag with the namespace declarations around the record."""
    try:
        text = original.decode(encoding)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} of the record is not {encoding.upper()}"
        return Unreadable.because(problem, _BROKEN_HINT, original, where)
    try:
        element = ET.fromstring(f"{context}{text}</_>")[0] if context else ET.fromstring(text)
    except ET.ParseError as error:
        line, column = error.position
        column -= len(context) if line == 1 else 0
        place = f"line {line}, character {max(column, 0) + 1} of the record"
        problem = f"it is not well-formed: {expat.ErrorString(error.code)} ({place})"
        return Unreadable.because(problem, _BROKEN_HINT, original, where)
    return XmlRecord(element, original, where)


def root_of(head: bytes) -> Root:
    """Return the root element of a document that starts with `head`. If there is none, both texts are empty."""
    root = XmlRecordReader(io.BytesIO(head), len(head)).root() if b"<" in head else None
    return root if isinstance(root, Root) else Root("", "")


def element_text(element: ET.Element | None) -> str:
    """Return the text of an element without surrounding white space, or an empty text if `element` is None."""
    return (element.text or "").strip(" \t\r\n") if element is not None else ""


def child_text(element: ET.Element, name: str) -> str:
    """Return the `element_text` of the first child with this name, or an empty text if no child has it."""
    return element.findtext(name, "").strip(" \t\r\n")


def _python_encoding(declared: str) -> str:
    """Return Python's name for an encoding, or the declared name if Python does not support the encoding."""
    try:
        return codecs.lookup(declared).name
    except LookupError:
        return declared
