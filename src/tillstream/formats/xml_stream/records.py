"""Records of an XML stream: cuts them out as bytes, so that a broken record affects no other, and parses them."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from tillstream.formats.base import LIMIT_HINT, Unreadable
from tillstream.formats.xml_stream import scanner
from tillstream.formats.xml_stream.scanner import BROKEN_HINT, TAG_LIMIT_BYTES, TRUNCATED_HINT, ScanEnded, StartTag
from tillstream.formats.xml_stream.syntax import NAMESPACE, SECTIONS, TAG_REST, RecordTags, record_tags
from tillstream.receipt.model import Fault


class Root(NamedTuple):
    """The root element: its local name and its namespace, which may be empty."""

    name: str
    namespace: str


class XmlRecord(NamedTuple):
    """A record as it was sent, with its number from 1 and what is needed to parse it alone.

    `context` is a start tag with the namespace declarations around the record. It is empty if there are none.
    """

    original: bytes
    number: int
    context: str
    encoding: str

    def parse(self) -> ET.Element | Unreadable:
        """Parse the record. Without a DTD there are no entities to expand and nothing to fetch."""
        try:
            text = self.original.decode(self.encoding)
        except UnicodeDecodeError as error:
            return self.fault(
                Fault("$", f"byte {error.start} of the record is not {self.encoding.upper()}", BROKEN_HINT)
            )
        try:
            return ET.fromstring(f"{self.context}{text}</_>")[0] if self.context else ET.fromstring(text)
        except ET.ParseError as error:
            line, column = error.position
            column -= len(self.context) if line == 1 else 0
            place = f"line {line}, character {max(column, 0) + 1} of the record"
            problem = f"it is not well-formed: {expat.ErrorString(error.code)} ({place})"
            return self.fault(Fault("$", problem, BROKEN_HINT))

    def fault(self, fault: Fault) -> Unreadable:
        """This record with the fault that makes it unreadable."""
        return Unreadable([fault], self.original, f"record {self.number}")


class XmlRecordReader:
    """Reads one XML stream once, in windows: first `root`, then `records`.

    Inside a record, only the tags with the record's own name and the sections around them are looked at. Expat checks
    the rest when the record is parsed. In well-formed XML, a `<` starts nothing else.
    """

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self._scanner = scanner.XmlScanner(source, limit_bytes)
        # A search for the end of a record has failed up to this offset: no record that starts before it has another
        # record inside.
        self._no_nesting_until = 0
        self._missing_section_ends: set[bytes] = set()

    def root(self) -> Root | Unreadable:
        """Find the root element without consuming it, or the fault of a document without one."""
        try:
            self._scanner.read_prolog()
            tag = self._scanner.next_start_tag()
        except ScanEnded as end:
            return end.fault
        if tag is None:
            return self.fault("there is no receipt in it", scanner.NOT_XML_HINT)
        prefix, colon, name = tag.name.rpartition(b":")
        declared = dict(NAMESPACE.findall(tag.attributes)).get(b"xmlns:" + prefix if colon else b"xmlns", b"''")
        return Root(self._scanner.decode(name), self._scanner.decode(declared[1:-1]))

    def fault(self, error: str, hint: str) -> Unreadable:
        """A fault of the document at the current position."""
        return self._scanner.fault(error, hint)

    def records(self, name: str) -> Iterator[XmlRecord | Unreadable]:
        """Read every outermost element with this local name, whatever its prefix."""
        document, tags = self._scanner, record_tags(name.encode())
        try:
            while True:
                tag = document.next_start_tag(tags)
                yield from self._broken_tags()
                if tag is None:
                    break
                if tag.local_name == tags.name:
                    document.begin_record()
                    yield from self._record(tags, tag)
                else:
                    document.enter(tag)
        except ScanEnded as end:
            yield from self._broken_tags()
            yield end.fault
            return
        if fault := document.missing_end_tag():
            yield fault

    def _broken_tags(self) -> Iterator[Unreadable]:
        yield from self._scanner.broken_tags
        self._scanner.broken_tags.clear()

    def _record(self, tags: RecordTags, tag: StartTag) -> Iterator[XmlRecord | Unreadable]:
        """Cut out the record at the position and move behind it."""
        document = self._scanner
        size, next_record = tag.size, 0
        if not tag.is_empty_element:
            size = 0 if self._offset() < self._no_nesting_until else self._simple_size(tag)
        if not size:
            size, next_record = self._full_size(tags, tag)
        if size:
            yield self._cut(size)
        elif next_record:
            yield document.fault("not closed before the next record begins", BROKEN_HINT, next_record)
            document.position += next_record
        elif document.unread_bytes > document.limit_bytes:
            yield document.fault(f"the record has more than {document.limit_bytes} bytes", LIMIT_HINT)
            document.position += tag.size
            self._skip_oversized(tags)
        else:
            yield document.fault("the document is cut off inside a record", TRUNCATED_HINT)
            document.skip_all()

    def _offset(self, position: int | None = None) -> int:
        """Offset in the whole stream of a position in the window."""
        return self._scanner.dropped_bytes + (self._scanner.position if position is None else position)

    def _cut(self, size: int) -> XmlRecord | Unreadable:
        document, fault = self._scanner, None
        if size > document.limit_bytes:
            error = f"the record has {size} bytes, more than {document.limit_bytes}"
            fault = document.fault(error, LIMIT_HINT, size)
        start = document.position
        document.position += size
        original = document.buffer[start : document.position]
        return fault or XmlRecord(original, document.record_number, document.context, document.encoding)

    def _simple_size(self, tag: StartTag) -> int:
        """Size of a record that has no sections and no other records inside. 0 if it has them, or no end in sight."""
        document = self._scanner
        end_tag, nested_tag = b"</%b>" % tag.name, b"<%b" % tag.name
        end = document.buffer.find(end_tag, document.position + tag.size)
        while end < 0:
            if document.unread_bytes > document.limit_bytes or not document.read_more():
                return 0
            searched = len(document.buffer) - scanner.WINDOW_BYTES - len(end_tag)
            end = document.buffer.find(end_tag, max(tag.size, searched))
        at = document.position + tag.size
        if document.buffer.find(b"<!", at, end) >= 0 or document.buffer.find(b"<?", at, end) >= 0:
            return 0
        while (at := document.buffer.find(nested_tag, at, end)) >= 0:
            at += len(nested_tag)
            if document.buffer[at] in b" \t\r\n/>":
                return 0
        return end + len(end_tag) - document.position

    def _full_size(self, tags: RecordTags, tag: StartTag) -> tuple[int, int]:
        """Size of any record, found token by token. If the array is not closed: 0 and the distance to the next record, or 0."""
        document = self._scanner
        depth, at, next_record = 1, tag.size, 0
        while at <= document.limit_bytes:
            token = tags.inside.search(document.buffer, document.position + at)
            if token is None:
                at = max(at, document.unread_bytes - tags.longest)
            end = self._token_end(token) if token else None
            if token is None or end is None:
                at = token.start() - document.position if token else at
                if document.unread_bytes > document.limit_bytes or not document.read_more():
                    break
                continue
            if token[1]:
                depth -= 1
            elif token[1] is not None and not document.buffer.endswith(b"/>", 0, end):
                depth += 1
                next_record = next_record or token.start() - document.position
                if self._offset(token.start()) < self._no_nesting_until:
                    return 0, next_record
            at = end - document.position
            if depth == 0:
                return at, 0
        if not next_record and document.ended and document.unread_bytes <= document.limit_bytes:
            # Other records may follow a section that has no end.
            found = tags.start.search(document.buffer, document.position + tag.size)
            next_record = found.start() - document.position if found else 0
        if next_record:
            self._no_nesting_until = self._offset(len(document.buffer))
        return 0, next_record

    def _token_end(self, token: re.Match[bytes]) -> int | None:
        """Position behind the tag or section that the token starts. None if it is not in the window.

        Raises `ScanEnded` at a DTD.
        """
        document = self._scanner
        if token[1] is not None:
            if rest := TAG_REST.match(document.buffer, token.end()):
                return rest.end()
            # Another tag interrupts this one. Expat reports that.
            broken = document.buffer.find(b"<", token.end())
            if broken < 0 and len(document.buffer) - token.start() > TAG_LIMIT_BYTES:
                return token.end()
            return broken if broken >= 0 else None
        section_end = SECTIONS.get(token[0])
        if section_end is None:
            raise ScanEnded(document.dtd_fault())
        missing = section_end in self._missing_section_ends
        end = -1 if missing else document.buffer.find(section_end, token.end())
        if end < 0 and document.ended:
            self._missing_section_ends.add(section_end)
        return end + len(section_end) if end >= 0 else None

    def _skip_oversized(self, tags: RecordTags) -> None:
        """Move to the end of an oversized record, or to the next record, without holding it."""
        document = self._scanner
        while True:
            token = tags.inside.search(document.buffer, document.position)
            document.position = token.start() if token else max(document.position, len(document.buffer) - tags.longest)
            if token and token[1] is None:
                document.skip_section()
                continue
            if token and not token[1]:
                return
            end = self._token_end(token) if token else None
            if end is not None:
                document.position = end
                return
            if not document.read_more():
                document.skip_all()
                return


def root_of(head: bytes) -> Root:
    """The root element of a document that starts with these bytes. Both parts are empty if there is none."""
    root = XmlRecordReader(io.BytesIO(head), len(head)).root() if b"<" in head else None
    return root if isinstance(root, Root) else Root("", "")


def element_text(element: ET.Element | None) -> str:
    """Text of an element without white space around it. Empty if there is no element."""
    return (element.text or "").strip(" \t\r\n") if element is not None else ""
