"""JSON as tills send it: one object, an array of them, or one a line. Bodies are the very bytes that came."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO

import msgspec

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Unreadable, several, text_of
from tillstream.receipt.model import Fault

BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"

# Up to here an array is cut at once, which is ten times as fast as piece by piece.
WHOLE_BYTES = 32 * 1024 * 1024
_WINDOW_BYTES = 1024 * 1024

TOO_DEEP = "it is nested too deeply"

# A comma in every so many bytes is no array of receipts, whose names alone are longer.
_CROWDED_BYTES = 10

_GAP = re.compile(r"[ \t\r\n,]*")
_AHEAD_CHARS = 4_096
# With what comes behind it a `1` may be `1.5` or `1e+5`.
_UNDECIDED_CHARS = 2

# Numbers are only passed over: Python would refuse to make one of thousands of digits.
_SCAN = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode


class JsonDecoder(Decoder):
    """An object or an array of objects."""

    name = "json"
    title = "JSON"
    help = (
        "One receipt as an object, or several as an array of objects. The names are those of the example. "
        "An array that is not JSON is refused whole: send NDJSON where a broken receipt shall spoil no other."
    )
    media_types = ("application/json", "+json")
    suffixes = (".json",)
    example = """{
  "cashReceiptID": "1047", "storeID": "12", "terminalID": "2", "date": "2026-11-23 10:15:00",
  "lines": [
    {"lineNumber": 1, "productCode": "0102", "productDescription": "Baguette", "productCategoryName": "Pain",
     "quantity": 2, "unitPrice": 1.14, "creditAmount": 2.28, "taxPercentage": 5.5, "settlementAmount": 2.40}
  ],
  "documentTotal": {"grossTotal": 2.40, "netTotal": 2.28, "taxPayable": 0.12},
  "settlements": [{"paymentMechanism": "CB", "settlementAmount": 2.40}]
}"""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._slices = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def recognises(self, head: bytes) -> bool:
        return text_of(head)[:1] in ("{", "[")

    def one(self, payload: bytes) -> Record:
        # An array is told by validation, which knows what to say of it.
        return Record(payload.removeprefix(BOM))

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        payload = source.read(WHOLE_BYTES)
        if len(payload) == WHOLE_BYTES:
            yield from _windows(payload, source, self.settings.receipt_limit_bytes)
            return
        body = payload.removeprefix(BOM)
        if not body.lstrip(_SPACE).startswith(b"["):
            if body.strip(_SPACE):
                yield Record(body)
            return
        try:
            if crowded(body):
                msgspec.json.decode(body, type=msgspec.Raw)
                pieces: Iterable[bytes | msgspec.Raw] = _one_by_one(body.decode())
            else:
                pieces = self._slices(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield _no_array(reason(error), payload)
            return
        for piece in pieces:
            yield Record(bytes(piece))


class NdjsonDecoder(Decoder):
    """One object a line; blank lines mean nothing."""

    name = "json"
    title = "NDJSON"
    help = "One receipt a line, each the object that `application/json` takes. A broken line spoils no other."
    media_types = ("application/x-ndjson", "application/ndjson", "application/jsonl")
    suffixes = (".ndjson", ".jsonl")
    example = (
        '{"cashReceiptID": "1047", "storeID": "12", "date": "2026-11-23 10:15:00", '
        '"documentTotal": {"grossTotal": 2.40}}'
    )

    def recognises(self, head: bytes) -> bool:
        first, newline, rest = text_of(head).partition("\n")
        if not newline or not first.startswith("{") or not rest.lstrip().startswith("{"):
            return False
        try:
            msgspec.json.decode(first.encode(), type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def may_be(self, head: bytes) -> bool:
        # One object, or the beginning of a first line that is longer than the head.
        text = text_of(head)
        return text.startswith("{") and "\n" not in text

    def one(self, payload: bytes) -> Decoded:
        found = list(self.decode(io.BytesIO(payload)))
        if len(found) == 1:
            return found[0]
        return several(payload) if found else super().one(payload)

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        for number, line in lines(source, self.settings.receipt_limit_bytes):
            if isinstance(line, Unreadable):
                yield line
                continue
            body = (line if number > 1 else line.removeprefix(BOM)).strip(_SPACE)
            if body:
                yield Record(body)


def reason(error: Exception) -> str:
    """What is wrong with JSON that raised this, in few words."""
    return TOO_DEEP if isinstance(error, RecursionError) else str(error).removeprefix("JSON is malformed: ")


def crowded(array: bytes) -> bool:
    """Whether cutting it at once would make an object of every few bytes: no array of receipts is like that."""
    return array.count(b",") * _CROWDED_BYTES > len(array)


def lines(source: BinaryIO, limit_bytes: int, begun: Sequence[bytes] = ()) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The lines with their numbers from 1; one over the limit is told and passed over without being held.

    `begun` is what was read already, each by `source.readline(limit_bytes + 2)`.
    """
    for number, line in enumerate(chain(begun, iter(lambda: source.readline(limit_bytes + 2), b"")), 1):
        if len(line) <= limit_bytes or line.endswith(b"\n"):
            yield number, line
            continue
        size = len(line)
        while (rest := source.readline(_WINDOW_BYTES)) and not rest.endswith(b"\n"):
            size += len(rest)
        error = f"the line has {size + len(rest)} bytes, more than {limit_bytes}"
        fault = Fault("$", error, "the setting is receipt_limit_bytes")
        yield number, Unreadable([fault], line[:limit_bytes], f"line {number}")


def _no_array(why: str, payload: bytes, where: str = "") -> Unreadable:
    return Unreadable([Fault("$", f"not a JSON array: {why}", "send an array of objects")], payload, where)


def _one_by_one(array: str) -> Iterator[bytes]:
    """The elements of an array that is known to be right, each cut out when it is asked for.

    Slicing makes an object of every element at once: millions, where a hostile array has nothing but zeros.
    """
    at = array.index("[") + 1
    while gap := _GAP.match(array, at):
        at = gap.end()
        if array[at] == "]":
            return
        _, end = _SCAN(array, at)
        yield array[at:end].encode()
        at = end


def _windows(payload: bytes, source: BinaryIO, limit_bytes: int) -> Iterator[Decoded]:
    """The objects of arrays of any size, and those that stand in none, one behind the other."""
    values, inside = Values(payload, source, limit_bytes), False
    while char := values.peek():
        if char == ("]" if inside else "["):
            inside = not inside
            values.step()
            continue
        value = values.cut()
        yield Record(value) if isinstance(value, bytes) else value
        if isinstance(value, Unreadable):
            return
    if inside:
        yield values.no_end()


class Values:
    """The JSON values of a source of any size, cut out one behind the other: it holds a window and a value.

    Bytes that are no UTF-8 go through unharmed: whoever reads the value tells of them.
    """

    def __init__(self, payload: bytes, source: BinaryIO, limit_bytes: int) -> None:
        """`payload` is what was read of the source already."""
        self._source = source
        self._begun = io.BytesIO(payload.removeprefix(BOM))
        self._limit_bytes = limit_bytes
        self._reading = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = self._gone = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is neither a blank nor a comma; empty at the end."""
        while True:
            found = _GAP.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def step(self, pattern: re.Pattern[str] | None = None) -> bool:
        """Pass over one character, or over what the pattern matches here; it sees some thousand characters."""
        if pattern is None:
            self._at += 1
            return True
        while len(self._text) - self._at < _AHEAD_CHARS and self._more():
            pass
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found is not None

    def cut(self) -> bytes | Unreadable:
        """The value that begins here. Behind what is none, or larger than the limit, nothing more can be told."""
        while True:
            end, why = self._at, f"a value takes more than {self._limit_bytes} bytes"
            try:
                _, end = _SCAN(self._text, self._at)
            except json.JSONDecodeError as error:
                # What goes wrong behind the limit may only be where the text that was read ends.
                why = error.msg if error.pos <= self._at + self._limit_bytes else why
            except RecursionError:
                why = TOO_DEEP
            if end > self._at and (end + _UNDECIDED_CHARS < len(self._text) or self._ended):
                value, self._at = self._text[self._at : end], end
                return value.encode("utf-8", "surrogateescape")
            if self._ended or len(self._text) - self._at > self._limit_bytes:
                came = self._text[self._at :].encode("utf-8", "surrogateescape")[: self._limit_bytes]
                return _no_array(why, came, self._where)
            self._more()

    def no_end(self) -> Unreadable:
        """What to say where an array was not closed: the file was cut off."""
        return _no_array("it has no end", b"", self._where)

    @property
    def _where(self) -> str:
        return f"character {self._gone + self._at}"

    def _more(self) -> bool:
        """Read on, unless that was the end; what is passed is let go."""
        if self._ended:
            return False
        read = self._begun.read(_WINDOW_BYTES) or self._source.read(_WINDOW_BYTES)
        self._ended = not read
        rest = self._text[self._at :]
        self._text, self._gone, self._at = rest + self._reading.decode(read, self._ended), self._gone + self._at, 0
        return not self._ended
