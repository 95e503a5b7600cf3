"""JSON as tills send it: one object, an array of them, or one a line. Bodies are the very bytes that came."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator

import msgspec

from tillstream.formats.base import Decoder, Record, Unreadable
from tillstream.receipt import Fault

BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"

# A comma in every so many bytes is no array of receipts, whose names alone are longer.
_CROWDED_BYTES = 10

_SCAN = json.JSONDecoder().raw_decode


class JsonDecoder(Decoder):
    """An object or an array of objects."""

    name = "json"
    media_types = ("application/json", "+json")

    def __init__(self) -> None:
        self._slices = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def one(self, payload: bytes) -> Record | Unreadable:
        return Record(payload.removeprefix(BOM))

    def many(self, payload: bytes) -> Iterator[Record | Unreadable]:
        body = payload.removeprefix(BOM)
        if not body.lstrip(_SPACE).startswith(b"["):
            yield Record(body)
            return
        try:
            if body.count(b",") * _CROWDED_BYTES > len(body):
                msgspec.json.decode(body, type=msgspec.Raw)
                pieces: Iterable[bytes | msgspec.Raw] = _one_by_one(body.decode())
            else:
                pieces = self._slices(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = str(error).removeprefix("JSON is malformed: ")
            yield Unreadable([Fault("$", f"not a JSON array: {reason}", "send an array of objects")], payload)
            return
        for piece in pieces:
            yield Record(bytes(piece))


class NdjsonDecoder(Decoder):
    """One object a line; blank lines mean nothing."""

    name = "json"
    media_types = ("application/x-ndjson", "application/ndjson", "application/jsonl")

    def one(self, payload: bytes) -> Record | Unreadable:
        records = list(self.many(payload))
        if len(records) == 1:
            return records[0]
        error = f"expected one receipt, got {len(records)}"
        return Unreadable([Fault("$", error, "send several receipts to /receipts")], payload)

    def many(self, payload: bytes) -> Iterator[Record | Unreadable]:
        for line in io.BytesIO(payload.removeprefix(BOM)):
            body = line.strip(_SPACE)
            if body:
                yield Record(body)


def _one_by_one(array: str) -> Iterator[bytes]:
    """The elements of an array that is known to be right, each cut out when it is asked for.

    Slicing makes an object of every element at once: millions, where a hostile array has nothing but zeros.
    """
    at = array.index("[") + 1
    while True:
        while array[at] in " \t\r\n,":
            at += 1
        if array[at] == "]":
            return
        _, end = _SCAN(array, at)
        yield array[at:end].encode()
        at = end


def looks_like_json(payload: bytes) -> bool:
    """Whether a body without a media type is to be taken for JSON."""
    return payload.removeprefix(BOM).lstrip(_SPACE)[:1] in (b"{", b"[")
