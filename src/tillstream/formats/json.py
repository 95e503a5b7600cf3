"""JSON and NDJSON: one receipt, an array of receipts, or one receipt per line.

A receipt in JSON needs no conversion: the bytes that were sent become the body of the record.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import BinaryIO

import msgspec

from tillstream.formats.base import BOM, LIMIT_HINT, Decoded, Decoder, Record, Unreadable, text_of

_SPACE = b" \t\r\n"

# Smaller payloads are split into receipts in one call. This is ten times as fast as reading one value after another.
WHOLE_BYTES = 32 * 1024 * 1024
_WINDOW_BYTES = 1024 * 1024

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions that `msgspec.json` raises for bytes that are not the expected JSON."""

TOO_DEEP = "it is nested too deeply"

# An array of receipts has long field names, so it has at most one comma per 10 bytes. An array with more commas has
# tiny elements, such as numbers. Splitting it in one call would take a lot of memory.
_DENSE_COMMA_BYTES = 10

_GAP = re.compile(r"[ \t\r\n,]*")
_START, _END = re.compile(r"\["), re.compile(r"\]")
_LOOK_AHEAD_CHARS = 4_096
# If a value ends this close to the end of the text read so far, the next bytes may continue it: `1` may be the start of
# `1.5` or `1e+5`.
_UNDECIDED_CHARS = 2

# Numbers are not converted, because Python rejects integers with thousands of digits.
_SCAN = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode

elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Split a JSON array into its elements. Raises one of `JSON_ERRORS`."""


class JsonDecoder(Decoder):
    """The format with one JSON object or an array of objects."""

    name = "json"
    title = "JSON"
    help = (
        "One receipt as an object, or several receipts as an array of objects. The example shows the names. If an "
        "array is not valid JSON, all of its receipts are rejected. In NDJSON, a broken receipt affects no other."
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
        # An array is not rejected here, because validation rejects it with a better message.
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
    """The format with one JSON object per line. Blank lines are ignored."""

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
        # If the head has no line break, it may be the start of a long first line.
        text = text_of(head)
        return text.startswith("{") and "\n" not in text

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        for number, line in lines(source, self.settings.receipt_limit_bytes):
            if isinstance(line, Unreadable):
                yield line
            elif body := (line if number > 1 else line.removeprefix(BOM)).strip(_SPACE):
                yield Record(body)


def reason(error: Exception) -> str:
    """Return a short reason for one of `JSON_ERRORS`."""
    return TOO_DEEP if isinstance(error, RecursionError) else str(error).removeprefix("JSON is malformed: ")


def is_object(line: bytes) -> bool:
    """Whether the line is a complete JSON object."""
    body = line.removeprefix(BOM).strip()
    try:
        return body.startswith(b"{") and bool(msgspec.json.decode(body, type=msgspec.Raw))
    except JSON_ERRORS:
        return False


def is_dense(array: bytes) -> bool:
    """Whether an array has too many elements to be split in one call. Arrays of receipts stay below this limit."""
    return array.count(b",") * _DENSE_COMMA_BYTES > len(array)


def lines(
    source: BinaryIO, limit_bytes: int, already_read: Sequence[bytes] = ()
) -> Iterator[tuple[int, bytes | Unreadable]]:
    """Yield the lines of a source with their line numbers. A line with more than `limit_bytes` bytes is `Unreadable`.

    `already_read` holds the first lines if the caller has already read them with `source.readline(limit_bytes + 2)`.
    """
    for number, line in enumerate(chain(already_read, iter(partial(source.readline, limit_bytes + 2), b"")), 1):
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
    """Decode a sequence of arrays and objects. The sequence may be larger than memory."""
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
    """Reads JSON values one by one from a source of any size.

    It reads the source in windows of `_WINDOW_BYTES`. Only one value and one window are in memory. Bytes that are not
    UTF-8 stay in the values, so that validation reports them.
    """

    def __init__(self, payload: bytes, source: BinaryIO, limit_bytes: int) -> None:
        """`payload` holds the first bytes of the source, which the caller has already read."""
        self._source = source
        self._already_read = io.BytesIO(payload.removeprefix(BOM))
        self._limit_bytes = limit_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._position = self._dropped_chars = 0
        self._ended = False

    def peek(self) -> str:
        """Skip white space and commas, and return the next character. Return an empty text at the end of the source."""
        while True:
            found = _GAP.match(self._text, self._position)
            self._position = found.end() if found else self._position
            if self._position < len(self._text) or not self._fill():
                return self._text[self._position : self._position + 1]

    def skip(self, pattern: re.Pattern[str]) -> bool:
        """If the pattern matches at the position, skip the match. Return whether it matched.

        A match with more than `_LOOK_AHEAD_CHARS` characters may be missed.
        """
        while len(self._text) - self._position < _LOOK_AHEAD_CHARS and self._fill():
            pass
        found = pattern.match(self._text, self._position)
        self._position = found.end() if found else self._position
        return found is not None

    def read(self) -> bytes | Unreadable:
        """Return the value at the position, or a fault if it is broken or too large. Do not read on after a fault."""
        while True:
            end, why = self._position, f"a value takes more than {self._limit_bytes} bytes"
            try:
                _, end = _SCAN(self._text, self._position)
            except json.JSONDecodeError as error:
                # If the error lies beyond the size limit, the reason may be that the text read so far ends inside the
                # value. So the size is reported instead.
                why = error.msg if error.pos <= self._position + self._limit_bytes else why
            except RecursionError:
                why = TOO_DEEP
            if end > self._position and (end + _UNDECIDED_CHARS < len(self._text) or self._ended):
                value, self._position = self._text[self._position : end], end
                return value.encode("utf-8", "surrogateescape")
            if self._ended or len(self._text) - self._position > self._limit_bytes:
                original = self._text[self._position :].encode("utf-8", "surrogateescape")[: self._limit_bytes]
                return _bad_array(why, original, self._where)
            self._fill()

    def missing_end(self) -> Unreadable:
        """Return a fault for an array that is not closed, as in a truncated file."""
        return _bad_array("the array is not closed", b"", self._where)

    @property
    def _where(self) -> str:
        return f"character {self._dropped_chars + self._position}"

    def _fill(self) -> bool:
        """Read another window and drop the text before the position. Return False at the end of the source."""
        if self._ended:
            return False
        read = self._already_read.read(_WINDOW_BYTES) or self._source.read(_WINDOW_BYTES)
        self._ended = not read
        rest = self._text[self._position :]
        self._text = rest + self._utf8.decode(read, self._ended)
        self._dropped_chars, self._position = self._dropped_chars + self._position, 0
        return not self._ended
