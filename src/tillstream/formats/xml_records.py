"""Records cut out of an XML stream as the very bytes that came, so that one that is broken spoils no other."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from tillstream.formats.base import Record, Unreadable
from tillstream.formats.xml_parts import (
    BOM,
    BROKEN,
    DECLARED,
    ENCODINGS,
    END,
    LONGEST_OPENER,
    NAMESPACE,
    SKIPPED,
    SPACE,
    START,
    TAG_REST,
    Cut,
    Known,
    Root,
    Tags,
    encoding,
    tags,
)
from tillstream.receipt.model import Fault

_WINDOW_BYTES = 256 * 1024

# Outside records: a tag of any document that people write is far smaller, and so is all of its nesting.
_TAG_LIMIT_BYTES = 64 * 1024
_DEPTH_LIMIT = 64
_ALIKE_BYTES = 16 * 1024
_BETWEEN_LIMIT_TAGS = 100_000
# All declarations of namespaces stand before every record as it is parsed, so they may not be many.
_NAMESPACES_LIMIT_BYTES = 4 * 1024

_NO_XML = "send XML, in UTF-8 if possible"
_ALL = "send all of it"


class _Stop(Exception):
    """Nothing more can be read; what to tell of it."""

    def __init__(self, told: Unreadable) -> None:
        super().__init__()
        self.told = told


class XmlRecords:
    """One XML stream, read once and in windows: first `root`, then `records`.

    Of what stands inside a record only comments and the like and the tags of the record's own name matter here;
    expat judges the rest when the record is parsed. In XML that is well-formed a `<` begins nothing else.
    """

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self._source = source
        self._limit = limit_bytes
        # What is wanted of it begins at `_at`; `_gone` bytes stood before it.
        self._buffer, self._at, self._gone, self._ended = b"", 0, 0, False
        self._encoding = "utf-8"
        # The elements that are open: their names, the namespaces declared, and those as a start tag.
        self._open: list[tuple[bytes, dict[bytes, bytes], str]] = []
        self._number, self._between = 0, 0
        self._strays: list[Unreadable] = []
        # What stood between the last two records together with the start tag, the size of that without it, the end tag.
        self._usual, self._gap, self._closer = b"", 0, b""
        # Up to here the end of a record was looked for in vain: what opens there isn't inside another one.
        self._strict_until = 0
        self._absent: set[bytes] = set()

    def root(self) -> Root | Unreadable:
        """The document's root, or why there is none. Consumes nothing but what stands before it."""
        try:
            self._prolog()
            found = self._outside()
        except _Stop as stop:
            return stop.told
        if found is None:
            return self.told("there is no receipt in it", _NO_XML)
        _, qualified, attributes = found
        prefix, colon, name = qualified.rpartition(b":")
        declared = dict(NAMESPACE.findall(attributes)).get(b"xmlns:" + prefix if colon else b"xmlns", b"''")
        return Root(self._decode(name), self._decode(declared[1:-1]))

    def records(self, name: str, known: Known | None = None) -> Iterator[Cut | Record | Unreadable]:
        """Every element of that name, whatever its prefix, that stands in no other of them.

        Of one that `known` knows by its layout what that makes of it.
        """
        wanted = tags(name.encode())
        known = known if self._encoding == "utf-8" else None
        try:
            while True:
                while known and (record := self._alike(known)):
                    yield record
                gone = self._gone + self._at
                found = self._outside(wanted)
                if self._strays:
                    yield from self._strays
                    self._strays.clear()
                if found is None:
                    break
                size, qualified, attributes = found
                if qualified.rpartition(b":")[2] == wanted.name:
                    self._number, self._between = self._number + 1, 0
                    self._note_usual(gone, qualified, size)
                    for each in self._record(wanted, qualified, size, attributes.endswith(b"/")):
                        yield (known and isinstance(each, Cut) and known(each.original, each.before)) or each
                    continue
                if not attributes.endswith(b"/"):
                    self._push(qualified, attributes)
                self._at += size
        except _Stop as stop:
            yield from self._strays
            yield stop.told
            return
        if self._open:
            yield self.told(f"the document broke off before </{self._decode(self._open[-1][0])}>", _ALL)

    def _note_usual(self, gone: int, name: bytes, opened: int) -> None:
        """How this record followed what came before it, so that the next one is found at once if it does so too."""
        gap = self._gone + self._at - gone
        usual = self._buffer[max(self._at - gap, 0) : self._at]
        if self._open and len(usual) == gap and not usual.strip(SPACE):
            self._gap, self._closer = gap, b"</%b>" % name
            self._usual = usual + self._buffer[self._at : self._at + opened]
        else:
            self._usual = b""

    def _alike(self, known: Known) -> Record | None:
        """The next record, if it follows like the one before it and is known."""
        if not self._ended and len(self._buffer) - self._at < _ALIKE_BYTES:
            self._more()
        buffer, start = self._buffer, self._at + self._gap
        if not self._usual or not buffer.startswith(self._usual, self._at):
            return None
        # A short search is much the faster one: Python prepares for a long one.
        end = buffer.find(self._closer, start, start + min(_ALIKE_BYTES, self._limit))
        if end < 0:
            return None
        end += len(self._closer)
        record = known(buffer[start:end], self._open[-1][2])
        if record is not None:
            self._at = end
            self._number += 1
        return record

    # -- reading

    def _more(self) -> bool:
        """Read another window behind what is still wanted; False at the end of the stream."""
        if self._ended:
            return False
        pieces, size = [self._buffer[self._at :]], 0
        while size < _WINDOW_BYTES:
            piece = self._source.read(_WINDOW_BYTES - size)
            if not piece:
                self._ended = True
                break
            pieces.append(piece)
            size += len(piece)
        self._gone += self._at
        self._buffer, self._at = b"".join(pieces), 0
        return size > 0

    def _left(self) -> int:
        return len(self._buffer) - self._at

    def _prolog(self) -> None:
        """Look at how it begins. Raises `_Stop` where that is no XML, or in an encoding that can't be cut."""
        while self._left() < _TAG_LIMIT_BYTES and self._more():
            pass
        if self._buffer.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in self._buffer[:4]:
            raise _Stop(self.told("its charset is UTF-16 or UTF-32", "send it in UTF-8"))
        self._at = len(BOM) if self._buffer.startswith(BOM) else 0
        text = self._buffer[self._at : self._at + _TAG_LIMIT_BYTES].lstrip(SPACE)
        if text and not text.startswith(b"<"):
            raise _Stop(self.told(f"not XML: it begins with {ascii(text[:8])[1:]}", _NO_XML))
        if declared := DECLARED.match(text):
            self._encoding = encoding(declared[1].decode())
        if self._encoding not in ENCODINGS:
            raise _Stop(self.told(f"its charset is {self._encoding}", "send it in UTF-8"))

    def _decode(self, name: bytes) -> str:
        return name.decode(self._encoding, "replace")

    def told(self, error: str, hint: str, size: int | None = None) -> Unreadable:
        """A fault of the record or of what else begins at `_at`."""
        end = self._at + min(self._limit, self._left() if size is None else size)
        where = f"record {self._number}" if self._number else ""
        return Unreadable([Fault("$", error, hint)], self._buffer[self._at : end], where)

    # -- outside records

    def _outside(self, wanted: Tags | None = None) -> tuple[int, bytes, bytes] | None:
        """The next start tag, to which `_at` moves: its length, its name, and the rest of it.

        None at the end of the document. Raises `_Stop` where nothing more can be read.
        """
        while self._between < _BETWEEN_LIMIT_TAGS:
            self._between += 1
            at = self._buffer.find(b"<", self._at)
            at = at if at >= 0 else len(self._buffer)
            if not self._open and self._buffer[self._at : at].strip(SPACE):
                raise _Stop(self.told("there is something behind the document's end", "send one document"))
            self._at = at
            if self._left() < LONGEST_OPENER and self._more():
                continue
            if not self._left():
                return None
            if self._buffer.startswith((b"<!", b"<?"), self._at):
                self._pass_over()
            elif tag := END.match(self._buffer, self._at):
                self._pop(tag[1])
                self._at = tag.end()
            elif tag := START.match(self._buffer, self._at):
                return tag.end() - tag.start(), tag[1], tag[2]
            elif self._left() > _TAG_LIMIT_BYTES or not self._more():
                self._astray(wanted)
        raise _Stop(self.told("there are too many other elements between its records", "send the records alone"))

    def _pass_over(self) -> None:
        """A comment, a processing instruction or the like. Raises `_Stop` at a DTD and at the end."""
        for opener, closer in SKIPPED:
            if not self._buffer.startswith(opener, self._at):
                continue
            self._at += len(opener)
            while (end := self._buffer.find(closer, self._at)) < 0:
                self._at = max(self._at, len(self._buffer) - len(closer) + 1)
                if not self._more():
                    raise _Stop(self.told(f"the document broke off before {closer.decode()}", _ALL))
            self._at = end + len(closer)
            return
        raise _Stop(self._dtd())

    def _dtd(self) -> Unreadable:
        return self.told("it has a DTD or declares entities, which are never read", "leave <!DOCTYPE …> away")

    def _push(self, name: bytes, attributes: bytes) -> None:
        """Raises `_Stop` where too many elements are open, or too many namespaces declared."""
        if len(self._open) == _DEPTH_LIMIT:
            raise _Stop(self.told("it is nested too deeply", _NO_XML))
        known, before = self._open[-1][1:] if self._open else ({}, "")
        if found := dict(NAMESPACE.findall(attributes)):
            known = {**known, **found}
            before = f"<_{self._decode(b''.join(b' %b=%b' % each for each in known.items()))}>"
            if len(before) > _NAMESPACES_LIMIT_BYTES:
                raise _Stop(self.told(f"its namespaces take more than {_NAMESPACES_LIMIT_BYTES} bytes", _NO_XML))
        self._open.append((name, known, before))

    def _pop(self, name: bytes) -> None:
        """Close that element, and with it those inside that were left open."""
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place][0] == name:
                del self._open[place:]
                return

    def _astray(self, wanted: Tags | None) -> None:
        """What begins at `_at` is no tag: go on at the next record in sight. Raises `_Stop` where there is none."""
        found = wanted and wanted.start.search(self._buffer, self._at + 1)
        size = found.start() - self._at if found else None
        told = self.told("it is not well-formed: a tag is broken", BROKEN, size)
        if not size:
            raise _Stop(told)
        self._strays.append(told)
        self._at += size

    # -- one record

    def _record(self, wanted: Tags, name: bytes, opened: int, empty: bool) -> Iterator[Cut | Unreadable]:
        """The record that begins at `_at`; `opened` is the length of its start tag."""
        size, again = opened, 0
        if not empty:
            strict = self._gone + self._at < self._strict_until
            size = 0 if strict else self._quick_size(name, opened)
        if not size:
            size, again = self._slow_size(wanted, opened)
        if size:
            yield self._cut(size)
        elif again:
            yield self.told("not closed before the next one begins", BROKEN, again)
            self._at += again
        elif self._left() > self._limit:
            yield self._too_large("")
            self._at += opened
            self._discard(wanted)
        else:
            yield self.told("the document broke off inside a record", _ALL)
            self._at = len(self._buffer)
            self._open.clear()

    def _cut(self, size: int) -> Cut | Unreadable:
        start = self._at
        told = self._too_large(f"{size} bytes, ", size) if size > self._limit else None
        self._at += size
        before = self._open[-1][2] if self._open else ""
        return told or Cut(self._buffer[start : self._at], self._number, before, self._encoding)

    def _too_large(self, count: str, size: int | None = None) -> Unreadable:
        error = f"the record has {count}more than {self._limit}{'' if count else ' bytes'}"
        return self.told(error, "the setting is receipt_limit_bytes", size)

    def _quick_size(self, name: bytes, opened: int) -> int:
        """The size of a record without comments and the like, and without others of its name; 0: look closely."""
        closer, opener = b"</%b>" % name, b"<%b" % name
        end = self._buffer.find(closer, self._at + opened)
        while end < 0:
            if self._left() > self._limit or not self._more():
                return 0
            end = self._buffer.find(closer, max(opened, len(self._buffer) - _WINDOW_BYTES - len(closer)))
        body = self._at + opened
        if self._buffer.find(b"<!", body, end) >= 0 or self._buffer.find(b"<?", body, end) >= 0:
            return 0
        while (body := self._buffer.find(opener, body, end)) >= 0:
            body += len(opener)
            if self._buffer[body] in b" \t\r\n/>":
                return 0
        return end + len(closer) - self._at

    def _slow_size(self, wanted: Tags, opened: int) -> tuple[int, int]:
        """The size of a record, token by token, or 0; and then where the next one seems to begin in it, or 0."""
        depth, place, again = 1, opened, 0
        while place <= self._limit:
            token = wanted.inside.search(self._buffer, self._at + place)
            if token is None:
                place = max(place, self._left() - wanted.longest)
            end = self._token_end(token) if token else None
            if token is None or end is None:
                place = token.start() - self._at if token else place
                if self._left() > self._limit or not self._more():
                    break
                continue
            if token[1]:
                depth -= 1
            elif token[1] is not None and not self._buffer.endswith(b"/>", 0, end):
                depth += 1
                again = again or token.start() - self._at
                if self._gone + token.start() < self._strict_until:
                    return 0, again
            place = end - self._at
            if depth == 0:
                return place, 0
        if not again and self._ended and self._left() <= self._limit:
            # Behind a comment that never ends there may still be others.
            found = wanted.start.search(self._buffer, self._at + opened)
            again = found.start() - self._at if found else 0
        if again:
            self._strict_until = self._gone + len(self._buffer)
        return 0, again

    def _token_end(self, token: re.Match[bytes]) -> int | None:
        """Where what the token begins ends; None where that isn't in the buffer. Raises `_Stop` at a DTD."""
        if token[1] is not None:
            if tag := TAG_REST.match(self._buffer, token.end()):
                return tag.end()
            # A tag that another one breaks off is none; expat will say so.
            broken = self._buffer.find(b"<", token.end())
            if broken < 0 and len(self._buffer) - token.start() > _TAG_LIMIT_BYTES:
                return token.end()
            return broken if broken >= 0 else None
        closer = dict(SKIPPED).get(token[0])
        if closer is None:
            raise _Stop(self._dtd())
        end = -1 if closer in self._absent else self._buffer.find(closer, token.end())
        if end < 0 and self._ended:
            self._absent.add(closer)
        return end + len(closer) if end >= 0 else None

    def _discard(self, wanted: Tags) -> None:
        """Go on behind a record that is too large, without holding it: at its end, or where another one begins."""
        while True:
            token = wanted.inside.search(self._buffer, self._at)
            self._at = token.start() if token else max(self._at, len(self._buffer) - wanted.longest)
            if token and token[1] is None:
                self._pass_over()
                continue
            if token and not token[1]:
                return
            end = self._token_end(token) if token else None
            if end is not None:
                self._at = end
                return
            if not self._more():
                self._at = len(self._buffer)
                self._open.clear()
                return


def root_of(head: bytes) -> Root:
    """The root of a document that begins with these bytes; empty where it has none."""
    root = XmlRecords(io.BytesIO(head), len(head)).root() if b"<" in head else None
    return root if isinstance(root, Root) else Root("", "")
