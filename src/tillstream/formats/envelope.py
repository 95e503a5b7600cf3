"""Envelopes: the JSON lines in which the import sends decoded receipts, with their original bytes, to ingest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec
from msgspec import Struct

from tillstream.formats.base import BOM, Decoded, Decoder, Record, Unreadable, text_of
from tillstream.formats.json import JSON_ERRORS, lines, reason
from tillstream.receipt.model import Fault

MEDIA_TYPE = "application/vnd.tillstream.records+ndjson"

_SOURCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,39}/[a-z]{1,20}")
_HEAD = re.compile(r'\{\s*"source":\s*"')
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class _Envelope(Struct, omit_defaults=True):
    """One line: a `receipt`, or the `faults` of a rejected record. In the JSON, `original` is base64."""

    source: str
    receipt: msgspec.Raw = msgspec.Raw()
    original: bytes = b""
    day: str = ""
    faults: list[Fault] = []


class EnvelopeDecoder(Decoder):
    """The format with one envelope per line."""

    name = "records"
    title = "Records"
    help = (
        "The format that `tillstream import` and the inbox send. Each line is a JSON object. It has the `source`, such "
        "as `poslog/import`, and either the canonical `receipt` or the `faults` of a rejected record. It may have the "
        "business `day` and the `original` bytes in base64. A gateway with its own decoder can use this format to send "
        "the originals, too."
    )
    media_types = (MEDIA_TYPE,)
    # A rejected envelope is stored as it was sent, and masked when it is shown. `original` may contain personal data.
    personal = (*Decoder.personal, "original")
    example = (
        '{"source": "mine/gateway", "original": "MTA0Nzsy", "receipt": {"cashReceiptID": "1047", "storeID": "12", '
        '"date": "2026-11-23 10:15:00", "documentTotal": {"grossTotal": 2.40}}}'
    )

    def recognises(self, head: bytes) -> bool:
        return _HEAD.match(text_of(head)) is not None

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        # The receipt and its original may each be as large as the size limit. Base64 makes the original a third larger.
        # So a line needs less than three times the limit.
        for number, line in lines(source, 3 * self.settings.receipt_limit_bytes):
            if isinstance(line, Unreadable):
                yield line
            elif body := line.removeprefix(BOM).strip():
                yield _open(body, f"line {number}")


def _open(line: bytes, where: str) -> Decoded:
    try:
        envelope = msgspec.json.decode(line, type=_Envelope)
    except JSON_ERRORS as error:
        return Unreadable([_not_an_envelope(error, line)], line, where)
    if not _SOURCE.fullmatch(envelope.source):
        return Unreadable.because("expected format/entrance in lower case", "", line, where, "$.source")
    if envelope.day and not _DAY.fullmatch(envelope.day):
        return Unreadable.because("expected YYYY-MM-DD", "", line, where, "$.day")
    body = bytes(envelope.receipt)
    if envelope.faults or not body:
        faults = [_normalised(each) for each in envelope.faults]
        faults = faults or [Fault("$.receipt", "it is missing", "an envelope needs a receipt or faults")]
        return Unreadable(faults, envelope.original or line, where, envelope.source)
    return Record(body, envelope.original, envelope.day, envelope.source)


def _not_an_envelope(error: Exception, line: bytes) -> Fault:
    try:
        line.decode()
    except UnicodeDecodeError as found:
        return Fault("$", f"byte {found.start} is not UTF-8", "send envelopes in UTF-8")
    return Fault("$", f"not an envelope: {reason(error)}", "see docs/formats.md")


def _normalised(fault: Fault) -> Fault:
    path = fault.path if fault.path.startswith("$") else f"$.{fault.path}".removesuffix(".")
    return Fault(path, fault.error or "it was refused", fault.hint)


_encode = msgspec.json.Encoder().encode


def receipt(record: Record, source: str) -> bytes:
    """Encode a record as one line, without a line feed at the end. `source` is used if the record has no source.

    Line breaks in the body are removed. The unchanged body then becomes the original, unless the record has one.
    Raises `msgspec.DecodeError` if the body is not JSON.
    """
    body, original = record.body, record.original
    if b"\n" in body:
        body, original = msgspec.json.format(body, indent=-1), original or body
    else:
        msgspec.json.decode(body, type=msgspec.Raw)
    return _encode(_Envelope(record.source or source, msgspec.Raw(body), original, record.day))


def refusal(faults: Sequence[Fault], original: bytes, source: str) -> bytes:
    """Encode a rejected record as one line, without a line feed at the end. Ingest puts the record into quarantine."""
    return _encode(_Envelope(source, original=original, faults=list(faults)))
