"""Scanner of an XML document: reads it window by window and finds the start tags outside of records."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from tillstream.formats.base import BOM, Unreadable
from tillstream.formats.xml_stream.syntax import (
    DECLARED_ENCODING,
    ENCODINGS,
    END_TAG,
    LONGEST_SECTION_START,
    NAMESPACE,
    SECTIONS,
    SPACE,
    START_TAG,
    RecordTags,
    normalised_encoding,
)
from tillstream.receipt.model import Fault

WINDOW_BYTES = 256 * 1024

# Limits outside of records. The tags and the nesting of real documents are far below them.
TAG_LIMIT_BYTES = 64 * 1024
_DEPTH_LIMIT = 64
_TAGS_BETWEEN_RECORDS_LIMIT = 100_000
# The namespace declarations in scope are parsed again with every record.
_NAMESPACES_LIMIT_BYTES = 4 * 1024

BROKEN_HINT = "fix it and send it again"
NOT_XML_HINT = "send XML, in UTF-8 if possible"
TRUNCATED_HINT = "send the whole document"


class ScanEnded(Exception):
    """The rest of the document cannot be read; `fault` says why."""

    def __init__(self, fault: Unreadable) -> None:
        super().__init__()
        self.fault = fault


class StartTag(NamedTuple):
    """A start tag: its length, its name with prefix, and the bytes between the name and `>`."""

    size: int
    name: bytes
    attributes: bytes

    @property
    def local_name(self) -> bytes:
        return self.name.rpartition(b":")[2]

    @property
    def is_empty_element(self) -> bool:
        return self.attributes.endswith(b"/")


class _OpenElement(NamedTuple):
    """An open element: its name, the namespace declarations in scope, and a start tag that has all of these."""

    name: bytes
    namespaces: dict[bytes, bytes]
    context: str


class XmlScanner:
    """Reads an XML document once. The unread part of its window `buffer` begins at `position`."""

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.buffer = b""
        self.position = 0
        self.dropped_bytes = 0
        """Number of bytes of the document before the window."""
        self.ended = False
        self.encoding = "utf-8"
        self.record_number = 0
        self.broken_tags: list[Unreadable] = []
        """Faults of the broken tags that the scanner has passed, for the caller to take."""
        self._source = source
        self._open: list[_OpenElement] = []
        self._tags_between_records = 0

    @property
    def unread_bytes(self) -> int:
        return len(self.buffer) - self.position

    @property
    def context(self) -> str:
        """A start tag that declares the namespaces in scope. Empty if there are none."""
        return self._open[-1].context if self._open else ""

    def read_more(self) -> bool:
        """Read another window after the unread bytes. False at the end of the stream."""
        if self.ended:
            return False
        pieces, size = [self.buffer[self.position :]], 0
        while size < WINDOW_BYTES:
            piece = self._source.read(WINDOW_BYTES - size)
            if not piece:
                self.ended = True
                break
            pieces.append(piece)
            size += len(piece)
        self.dropped_bytes += self.position
        self.buffer, self.position = b"".join(pieces), 0
        return size > 0

    def decode(self, name: bytes) -> str:
        return name.decode(self.encoding, "replace")

    def fault(self, error: str, hint: str, size: int | None = None) -> Unreadable:
        """Make a fault of the `size` bytes at the position, or of all unread bytes."""
        end = self.position + min(self.limit_bytes, self.unread_bytes if size is None else size)
        where = f"record {self.record_number}" if self.record_number else ""
        return Unreadable([Fault("$", error, hint)], self.buffer[self.position : end], where)

    def dtd_fault(self) -> Unreadable:
        return self.fault("it has a DTD or entity declarations, which are not accepted", "remove <!DOCTYPE …>")

    def read_prolog(self) -> None:
        """Check the start of the document and its encoding. Raises `ScanEnded` if records cannot be cut out of it."""
        while self.unread_bytes < TAG_LIMIT_BYTES and self.read_more():
            pass
        if self.buffer.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in self.buffer[:4]:
            raise ScanEnded(self.fault("its charset is UTF-16 or UTF-32", "send it in UTF-8"))
        self.position = len(BOM) if self.buffer.startswith(BOM) else 0
        text = self.buffer[self.position : self.position + TAG_LIMIT_BYTES].lstrip(SPACE)
        if text and not text.startswith(b"<"):
            raise ScanEnded(self.fault(f"not XML: it begins with {ascii(text[:8])[1:]}", NOT_XML_HINT))
        if declared := DECLARED_ENCODING.match(text):
            self.encoding = normalised_encoding(declared[1].decode())
        if self.encoding not in ENCODINGS:
            raise ScanEnded(self.fault(f"its charset is {self.encoding}", "send it in UTF-8"))

    def next_start_tag(self, wanted: RecordTags | None = None) -> StartTag | None:
        """Move the position to the next start tag. None at the end of the document.

        After a broken tag, the scan goes on at the next start tag of `wanted`. Raises `ScanEnded`.
        """
        while self._tags_between_records < _TAGS_BETWEEN_RECORDS_LIMIT:
            self._tags_between_records += 1
            at = self.buffer.find(b"<", self.position)
            at = at if at >= 0 else len(self.buffer)
            if not self._open and self.buffer[self.position : at].strip(SPACE):
                raise ScanEnded(self.fault("there is text after the end of the document", "send one document"))
            self.position = at
            if self.unread_bytes < LONGEST_SECTION_START and self.read_more():
                continue
            if not self.unread_bytes:
                return None
            if self.buffer.startswith((b"<!", b"<?"), self.position):
                self.skip_section()
            elif end_tag := END_TAG.match(self.buffer, self.position):
                self._close(end_tag[1])
                self.position = end_tag.end()
            elif tag := START_TAG.match(self.buffer, self.position):
                return StartTag(tag.end() - tag.start(), tag[1], tag[2])
            elif self.unread_bytes > TAG_LIMIT_BYTES or not self.read_more():
                self._skip_broken_tag(wanted)
        raise ScanEnded(self.fault("there are too many other elements between the records", "send only the records"))

    def begin_record(self) -> None:
        """Count a record that begins at the position."""
        self.record_number += 1
        self._tags_between_records = 0

    def enter(self, tag: StartTag) -> None:
        """Move past the start tag at the position and remember the element. Raises `ScanEnded`."""
        if not tag.is_empty_element:
            self._open_element(tag)
        self.position += tag.size

    def skip_section(self) -> None:
        """Skip the comment, CDATA section or processing instruction here. Raises `ScanEnded` at a DTD or at the end."""
        for start, end in SECTIONS.items():
            if not self.buffer.startswith(start, self.position):
                continue
            self.position += len(start)
            while (at := self.buffer.find(end, self.position)) < 0:
                self.position = max(self.position, len(self.buffer) - len(end) + 1)
                if not self.read_more():
                    raise ScanEnded(self.fault(f"the document is cut off before {end.decode()}", TRUNCATED_HINT))
            self.position = at + len(end)
            return
        raise ScanEnded(self.dtd_fault())

    def skip_all(self) -> None:
        """End the scan in the middle of the document without another fault."""
        self.position = len(self.buffer)
        self._open.clear()

    def missing_end_tag(self) -> Unreadable | None:
        """Fault of the innermost element that is still open, for the end of the document."""
        if not self._open:
            return None
        return self.fault(f"the document is cut off before </{self.decode(self._open[-1].name)}>", TRUNCATED_HINT)

    def _open_element(self, tag: StartTag) -> None:
        if len(self._open) == _DEPTH_LIMIT:
            raise ScanEnded(self.fault("it is nested too deeply", NOT_XML_HINT))
        namespaces, context = (self._open[-1].namespaces, self._open[-1].context) if self._open else ({}, "")
        if declared := dict(NAMESPACE.findall(tag.attributes)):
            namespaces = {**namespaces, **declared}
            context = f"<_{self.decode(b''.join(b' %b=%b' % each for each in namespaces.items()))}>"
            if len(context) > _NAMESPACES_LIMIT_BYTES:
                error = f"its namespace declarations take more than {_NAMESPACES_LIMIT_BYTES} bytes"
                raise ScanEnded(self.fault(error, NOT_XML_HINT))
        self._open.append(_OpenElement(tag.name, namespaces, context))

    def _close(self, name: bytes) -> None:
        """Close the innermost element with this name, and the elements inside it that have no end tag."""
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth].name == name:
                del self._open[depth:]
                return

    def _skip_broken_tag(self, wanted: RecordTags | None) -> None:
        """Note the broken tag here and move to the next record in the window. Raises `ScanEnded` if there is none."""
        found = wanted.start.search(self.buffer, self.position + 1) if wanted else None
        size = found.start() - self.position if found else None
        fault = self.fault("it is not well-formed: a tag is broken", BROKEN_HINT, size)
        if not size:
            raise ScanEnded(fault)
        self.broken_tags.append(fault)
        self.position += size
