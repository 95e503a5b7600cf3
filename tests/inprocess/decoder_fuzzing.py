"""Fuzzing of decoders. Any bytes must become receipts, skips or faults, in bounded time and memory."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import takewhile
from types import FrameType
from typing import NamedTuple

import msgspec

from tests.support import documents
from tests.support.mutations import Mutator
from tillstream.config.settings import Settings
from tillstream.formats import json as formats_json
from tillstream.formats import registry, xml_records
from tillstream.formats.base import HEAD_BYTES, Decoded, Decoder, Record, Skip, Unreadable
from tillstream.formats.csv import table
from tillstream.formats.square import decoder as square_decoder
from tillstream.receipt.model import HEAD_COLUMNS, Fault
from tillstream.receipt.validation import ReceiptError, Validator

RECEIVED_US = 1_795_435_200_000_000
RECEIPT_LIMIT_BYTES = 4_096
"""This limit is small, so mutations often exceed it."""

MAX_LIMIT_MULTIPLE = 16
"""The maximum size of an item, as a multiple of the limit."""

CPU_LIMIT_S = 10.0
"""The CPU time limit for a mutation. Most mutations take about one millisecond."""

MAX_READS_AFTER_END = 64
SMALL_WINDOWS_EVERY = 8
WHOLE_BYTES = 16
NEW_DECODER_EVERY = 16
SINGLE_EVERY = 4
MAX_ATTEMPTS = 400

SETTINGS = Settings(receipt_limit_bytes=RECEIPT_LIMIT_BYTES, zone="Europe/Paris", currency="EUR")


class DecoderError(AssertionError):
    """A decoder violated a rule for all decoders."""


class EndlessDecoding(DecoderError):
    """A decoder did not end."""


class Finding(NamedTuple):
    """A mutation that causes an error."""

    payload: bytes
    error: Exception
    number: int


class Source(io.BytesIO):
    """A byte stream that raises `EndlessDecoding` if a decoder keeps reading after the end."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self._reads_after_end = 0

    def read(self, size: int | None = -1, /) -> bytes:
        return self._count(super().read(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._count(super().readline(size))

    def _count(self, data: bytes) -> bytes:
        self._reads_after_end += not data
        if self._reads_after_end > MAX_READS_AFTER_END:
            raise EndlessDecoding(f"the decoder reads {self._reads_after_end} times after the end")
        return data


@contextmanager
def watchdog(limit_s: float = CPU_LIMIT_S) -> Iterator[None]:
    """Raise `EndlessDecoding` in a block that uses too much CPU time."""

    def on_timeout(_signal: int, _frame: FrameType | None) -> None:
        raise EndlessDecoding(f"the decoder uses more than {limit_s} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, on_timeout)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def small_windows(whole_bytes: int, window_bytes: int) -> Iterator[None]:
    """Make decoders read files of more than `whole_bytes` in windows of `window_bytes`, like large files."""
    sizes = {**dict.fromkeys(_WHOLE_LIMITS, whole_bytes), **dict.fromkeys(_WINDOWS, window_bytes)}
    defaults = {(module, name): getattr(module, name) for module, name in sizes}
    try:
        for (module, name), size in sizes.items():
            setattr(module, name, size)
        yield
    finally:
        for (module, name), size in defaults.items():
            setattr(module, name, size)


_WHOLE_LIMITS = ((formats_json, "WHOLE_BYTES"), (square_decoder, "WHOLE_BYTES"))
_WINDOWS = ((formats_json, "_WINDOW_BYTES"), (table, "_BLOCK_BYTES"), (xml_records, "WINDOW_BYTES"))


def documents_of(decoder: Decoder) -> list[bytes]:
    """Valid files of the decoder's format."""
    return documents.of(decoder.media_types[0], decoder.example)


class Fuzz:
    """Mutations of one format, and checks of its decoder. The seed and a number determine a mutation."""

    def __init__(self, kind: type[Decoder], seed: str) -> None:
        self.name = f"{kind.name} ({kind.media_types[0]})"
        self._kind = kind
        self._seed = seed
        self._decoder = kind(SETTINGS)
        self._validator = Validator(SETTINGS)
        others = [each for other in registry.load(SETTINGS) if type(other) is not kind for each in documents_of(other)]
        self._documents = documents_of(self._decoder)
        self._mutator = Mutator(self._documents, others)

    def receipts_of_valid_files(self) -> int:
        """The number of receipts in the unchanged documents."""
        found = [each for payload in self._documents for each in self._decoder.decode(Source(payload))]
        for each in found:
            if isinstance(each, Record):
                self._validator.check(each.body, RECEIVED_US, "fuzz/test", each.day)
        return sum(isinstance(each, Record) for each in found)

    def payload(self, number: int) -> bytes:
        return self._mutator.mutation(f"{self._seed}/{self._kind.media_types[0]}/{number}")

    def finding(self, number: int) -> Finding | None:
        """The error of this mutation with a minimized input, or None."""
        payload = self.payload(number)
        error = self._error(payload, number)
        if error is None:
            return None
        if not isinstance(error, EndlessDecoding):
            payload = _minimize(payload, lambda shorter: type(self._error(shorter, number)) is type(error))
        return Finding(payload, error, number)

    def _error(self, payload: bytes, number: int) -> Exception | None:
        try:
            with watchdog():
                if number % SMALL_WINDOWS_EVERY:
                    self._check_mutation(payload, number)
                else:
                    self._check_mutation_in_windows(payload)
        except Exception as error:  # noqa: BLE001 - any exception is a finding
            return error
        return None

    def _check_mutation(self, payload: bytes, number: int) -> None:
        """Decode a mutation, and raise `DecoderError` if the decoder violates a rule."""
        decoder = self._decoder
        if not isinstance(decoder.recognises(payload[:HEAD_BYTES]), bool):
            raise DecoderError("`recognises` does not return a bool")
        found = list(_items(decoder, payload))
        for each in found:
            self._check_item(each, payload)
        if number % NEW_DECODER_EVERY == 1 and list(_items(self._kind(SETTINGS), payload)) != found:
            raise DecoderError("a new decoder has a different result than a used one")
        if number % SINGLE_EVERY == 1:
            one = payload[:RECEIPT_LIMIT_BYTES]
            self._check_item(decoder.one(one), one)

    def _check_mutation_in_windows(self, payload: bytes) -> None:
        """Decode a mutation with two small window sizes. The result must not depend on the size."""
        with small_windows(WHOLE_BYTES, 64):
            found = list(_items(self._decoder, payload))
        for each in found:
            self._check_item(each, payload)
        with small_windows(WHOLE_BYTES, 7 if len(payload) < 4_096 else 1_000):
            again = list(_items(self._decoder, payload))
        if _items_before_a_large_one(again) != _items_before_a_large_one(found):
            raise DecoderError("the result depends on the window size")

    def _check_item(self, each: Decoded, payload: bytes) -> None:
        if isinstance(each, Skip):
            if not each.kind or len(each.kind) > 100 or not each.kind.isprintable():
                raise DecoderError(f"a skip has the kind {each.kind!r}")
        elif isinstance(each, Unreadable):
            _check_faults(each.faults)
            _check_size(each.original, payload)
        elif isinstance(each, Record):
            _check_size(each.original, payload)
            _check_size(each.body, payload)
            try:
                head, _, day = self._validator.check(each.body, RECEIVED_US, each.source or "fuzz/test", each.day)
            except ReceiptError as error:
                _check_faults(error.faults)
                return
            msgspec.json.decode(each.body, type=msgspec.Raw)
            date.fromisoformat(day)
            if head.count(b"\n") != 1 or len(head.split(b"\t")) != len(HEAD_COLUMNS):
                raise DecoderError(f"a head has wrong columns: {head!r}")
        else:
            raise DecoderError(f"the decoder yields {each!r}")


def _items(decoder: Decoder, payload: bytes) -> Iterator[Decoded]:
    """The items that the decoder yields, at most one per byte."""
    for number, each in enumerate(decoder.decode(Source(payload))):
        if number > len(payload):
            raise DecoderError(f"the decoder yields {number} items for {len(payload)} bytes")
        yield each


def _items_before_a_large_one(found: Sequence[Decoded]) -> list[Decoded]:
    """The items before the first one above the limit, without reasons. Later items may depend on the window size."""
    return list(takewhile(_is_small, map(_without_reasons, found)))


def _is_small(each: Decoded) -> bool:
    parts = () if isinstance(each, Skip) else (each.original, *([each.body] if isinstance(each, Record) else ()))
    return all(len(part) < RECEIPT_LIMIT_BYTES for part in parts)


def _without_reasons(each: Decoded) -> Decoded:
    return Unreadable((), each.original) if isinstance(each, Unreadable) else each


def _check_faults(faults: Sequence[Fault]) -> None:
    if not faults:
        raise DecoderError("a rejection has no fault")
    for fault in faults:
        if not fault.path.startswith("$") or not fault.error:
            raise DecoderError(f"a fault has no path or no reason: {fault}")
        fault.error.encode(), fault.path.encode(), fault.hint.encode()


def _check_size(part: bytes, payload: bytes) -> None:
    # A decoder may return an unchanged part of the document of any size.
    if len(part) > MAX_LIMIT_MULTIPLE * RECEIPT_LIMIT_BYTES and part not in payload:
        raise DecoderError(f"an item has {len(part)} bytes, and the limit is {RECEIPT_LIMIT_BYTES}")


def _minimize(payload: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Remove parts of the payload that are not necessary for the failure, with a limited number of attempts."""
    size, attempts = len(payload) // 2, MAX_ATTEMPTS
    while size and attempts:
        offset = 0
        while offset < len(payload) and attempts:
            attempts -= 1
            shorter = payload[:offset] + payload[offset + size :]
            if fails(shorter):
                payload = shorter
            else:
                offset += size
        size //= 2
    return payload
