"""JSON and NDJSON: one receipt, an array of receipts, or one receipt per line. Bodies keep the bytes as sent."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO

import msgspec

from tillstream.formats.base import BOM, LIMIT_HINT, Decoded, Decoder, Record, Unreadable, text_of

_SPACE = b" \t\r\n"

# Smaller payloads are split in one call, which is ten times as fast as reading them value by value.
WHOLE_BYTES = 32 * 1024 * 1024
_WINDOW_BYTES = 1024 * 1024

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions of msgspec for bytes that are not the expected JSON."""

TOO_DEEP = "it is nested too deeply"

# Receipts have fewer commas than one per this number of bytes, because the names of their fields are longer.
_DENSE_COMMA_BYTES = 10

_GAP = re.compile(r"[ \t\r\n,]*")
_START, _END = re.compile(r"\["), re.compile(r"\]")
_LOOK_AHEAD_CHARS = 4_096
# At the end of a window, a `1` may still become `1.5` or `1e+5`.
_UNDECIDED_CHARS = 2

# Numbers are not converted, because Python refuses numbers of thousands of digits.
_SCAN = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode

elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Split a JSON array into its elements. Raises one of `JSON_ERRORS`."""


class JsonDecoder(Decoder):
    """Decoder of one JSON object or an array of objects."""

    name = "json"
    title = "JSON"
    help = (
        "One receipt as an object, or several as an array of objects. The example shows the names. An array that is "
        "not valid JSON is refused as a whole: use NDJSON if a broken receipt must not affect the others."
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

    def recognises(self, head: bytes) -> bool:
        return text_of(head)[:1] in ("{", "[")

    def one(self, payload: bytes) -> Record:
        # Validation reports an array with a better message.
        return Record(payload.removeprefix(BOM))

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        payload = source.read(WHOLE_BYTES)
        if len(payload) == WHOLE_BYTES:
            yield from _decode_stream(payload, source, self.settings.receipt_limit_bytes)
            return
        body = payload.removeprefix(BOM)
        if not body.lstrip(_SPACE).startswith(b"["):
            if body.strip(_SPACE):
                yield Record(body)
            return
        try:
            if is_dense(body):
                msgspec.json.decode(body, type=msgspec.Raw)
                records = _decode_stream(body, source, len(body))
            else:
                records = (Record(bytes(element)) for element in elements(body))
        except JSON_ERRORS as error:
            yield _bad_array(reason(error), payload)
            return
        yield from records


class NdjsonDecoder(Decoder):
    """Decoder of one JSON object per line. Blank lines are ignored."""

    name = "json"
    title = "NDJSON"
    help = "One receipt per line, each an object as for `application/json`. A broken line does not affect the others."
    media_types = ("application/x-ndjson", "application/ndjson", "application/jsonl")
    suffixes = (".ndjson", ".jsonl")
    example = (
        '{"cashReceiptID": "1047", "storeID": "12", "date": "2026-11-23 10:15:00", '
        '"documentTotal": {"grossTotal": 2.40}}'
    )

    def recognises(self, head: bytes) -> bool:
        first, newline, rest = text_of(head).partition("\n")
        return bool(newline) and rest.lstrip().startswith("{") and is_object(first.encode())

    def may_be(self, head: bytes) -> bool:
        # The head may hold one object, or the start of a first line that is longer than the head.
        text = text_of(head)
        return text.startswith("{") and "\n" not in text

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        for number, line in lines(source, self.settings.receipt_limit_bytes):
            if isinstance(line, Unreadable):
                yield line
            elif body := (line if number > 1 else line.removeprefix(BOM)).strip(_SPACE):
                yield Record(body)


def reason(error: Exception) -> str:
    """Short text of a JSON decoding error."""
    return TOO_DEEP if isinstance(error, RecursionError) else str(error).removeprefix("JSON is malformed: ")


def is_object(line: bytes) -> bool:
    """Whether the line is a complete JSON object. Then the next line is another document."""
    body = line.removeprefix(BOM).strip()
    try:
        return body.startswith(b"{") and bool(msgspec.json.decode(body, type=msgspec.Raw))
    except JSON_ERRORS:
        return False


def is_dense(array: bytes) -> bool:
    """Whether splitting the array in one call could create an object for every few bytes. No array of receipts does."""
    return array.count(b",") * _DENSE_COMMA_BYTES > len(array)


def lines(
    source: BinaryIO, limit_bytes: int, already_read: Sequence[bytes] = ()
) -> Iterator[tuple[int, bytes | Unreadable]]:
    """Read the lines of a source with their numbers from 1. A line over the limit becomes a fault and is not held.

    `already_read` has the lines that the caller has read with `source.readline(limit_bytes + 2)`.
    """
    for number, line in enumerate(chain(already_read, iter(lambda: source.readline(limit_bytes + 2), b"")), 1):
        if len(line) <= limit_bytes or line.endswith(b"\n"):
            yield number, line
            continue
        size = len(line)
        while (rest := source.readline(_WINDOW_BYTES)) and not rest.endswith(b"\n"):
            size += len(rest)
        error = f"the line has {size + len(rest)} bytes, more than {limit_bytes}"
        yield number, Unreadable.because(error, LIMIT_HINT, line[:limit_bytes], f"line {number}")


def _bad_array(why: str, payload: bytes, where: str = "") -> Unreadable:
    return Unreadable.because(f"not a JSON array: {why}", "send an array of objects", payload, where)


def _decode_stream(payload: bytes, source: BinaryIO, limit_bytes: int) -> Iterator[Decoded]:
    """Decode a sequence of arrays and objects of any total size."""
    values, inside = ValueReader(payload, source, limit_bytes), False
    while values.peek():
        if values.skip(_END if inside else _START):
            inside = not inside
            continue
        value = values.read()
        yield Record(value) if isinstance(value, bytes) else value
        if isinstance(value, Unreadable):
            return
    if inside:
        yield values.missing_end()


class ValueReader:
    """Reads JSON values one by one from a source of any size. It holds one window and one value.

    Bytes that are not UTF-8 are kept as they are. Validation reports them.
    """

    def __init__(self, payload: bytes, source: BinaryIO, limit_bytes: int) -> None:
        """`payload` is the part of the source that the caller has read."""
        self._source = source
        self._already_read = io.BytesIO(payload.removeprefix(BOM))
        self._limit_bytes = limit_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = self._dropped_chars = 0
        self._ended = False

    def peek(self) -> str:
        """The next character other than white space and commas. Empty at the end of the source."""
        while True:
            found = _GAP.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text) or not self._fill():
                return self._text[self._at : self._at + 1]

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """Skip a match of the pattern here. The pattern sees at least `_LOOK_AHEAD_CHARS` characters."""
        while len(self._text) - self._at < _LOOK_AHEAD_CHARS and self._fill():
            pass
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found is not None

    def read(self) -> bytes | Unreadable:
        """Read the value at this position. After a broken or too large value the reader cannot continue."""
        while True:
            end, why = self._at, f"a value takes more than {self._limit_bytes} bytes"
            try:
                _, end = _SCAN(self._text, self._at)
            except json.JSONDecodeError as error:
                # An error past the limit may only be the end of the text in this window.
                why = error.msg if error.pos <= self._at + self._limit_bytes else why
            except RecursionError:
                why = TOO_DEEP
            if end > self._at and (end + _UNDECIDED_CHARS < len(self._text) or self._ended):
                value, self._at = self._text[self._at : end], end
                return value.encode("utf-8", "surrogateescape")
            if self._ended or len(self._text) - self._at > self._limit_bytes:
                original = self._text[self._at :].encode("utf-8", "surrogateescape")[: self._limit_bytes]
                return _bad_array(why, original, self._where)
            self._fill()

    def missing_end(self) -> Unreadable:
        """Fault for an array that is not closed, as in a truncated file."""
        return _bad_array("the array is not closed", b"", self._where)

    @property
    def _where(self) -> str:
        return f"character {self._dropped_chars + self._at}"

    def _fill(self) -> bool:
        """Read the next window and drop the text before the position. False at the end of the source."""
        if self._ended:
            return False
        read = self._already_read.read(_WINDOW_BYTES) or self._source.read(_WINDOW_BYTES)
        self._ended = not read
        rest = self._text[self._at :]
        self._text = rest + self._utf8.decode(read, self._ended)
        self._dropped_chars, self._at = self._dropped_chars + self._at, 0
        return not self._ended
