"""Promises of every decoder: any bytes become receipts, skips or faults, in bounded time and memory."""

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
"""A small limit, which mutations often exceed."""

MAX_LIMIT_MULTIPLE = 16
"""Decoders may yield items up to this multiple of the limit."""

CPU_LIMIT_S = 10.0
"""CPU time limit for one mutation. Most take about one millisecond."""

READS_AFTER_END = 64
SMALL_WINDOWS_EVERY = 8
WHOLE_BYTES = 16
NEW_DECODER_EVERY = 16
SINGLE_EVERY = 4
TRIES = 400

SETTINGS = Settings(receipt_limit_bytes=RECEIPT_LIMIT_BYTES, zone="Europe/Paris", currency="EUR")


class BrokenPromise(AssertionError):
    """A decoder broke a promise."""


class EndlessDecoding(BrokenPromise):
    """A decoder did not end."""


class Finding(NamedTuple):
    """A mutation that breaks a promise, and the error."""

    payload: bytes
    error: Exception
    number: int


class Source(io.BytesIO):
    """A byte stream that raises if a decoder keeps reading after the end."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self._reads_after_end = 0

    def read(self, size: int | None = -1, /) -> bytes:
        return self._count(super().read(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._count(super().readline(size))

    def _count(self, data: bytes) -> bytes:
        self._reads_after_end += not data
        if self._reads_after_end > READS_AFTER_END:
            raise EndlessDecoding(f"it reads after the end, {self._reads_after_end} times")
        return data


@contextmanager
def watchdog(limit_s: float = CPU_LIMIT_S) -> Iterator[None]:
    """Raise `EndlessDecoding` in a block that uses too much CPU time. CPU time does not depend on the load of the machine."""

    def on_timeout(_signal: int, _frame: FrameType | None) -> None:
        raise EndlessDecoding(f"it uses more than {limit_s} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, on_timeout)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def small_windows(whole_bytes: int, window_bytes: int) -> Iterator[None]:
    """Make decoders read files over `whole_bytes` in windows of this size, as they read large files."""
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
    """Mutations of one format, and checks of the decoder's promises. The seed and a number determine a mutation."""

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
        """The minimized finding for this mutation, or None."""
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
                    self._examine(payload, number)
                else:
                    self._examine_in_windows(payload)
        except Exception as error:  # noqa: BLE001 - any exception is a finding
            return error
        return None

    def _examine(self, payload: bytes, number: int) -> None:
        """Check the promises, and raise an error for a broken one."""
        decoder = self._decoder
        if not isinstance(decoder.recognises(payload[:HEAD_BYTES]), bool):
            raise BrokenPromise("`recognises` does not return a bool")
        found = list(_items(decoder, payload))
        for each in found:
            self._check_item(each, payload)
        if number % NEW_DECODER_EVERY == 1 and list(_items(self._kind(SETTINGS), payload)) != found:
            raise BrokenPromise("a new decoder has another result than a used one")
        if number % SINGLE_EVERY == 1:
            one = payload[:RECEIPT_LIMIT_BYTES]
            self._check_item(decoder.one(one), one)

    def _examine_in_windows(self, payload: bytes) -> None:
        """Check the promises with small windows. The result must not depend on the window size."""
        with small_windows(WHOLE_BYTES, 64):
            found = list(_items(self._decoder, payload))
        for each in found:
            self._check_item(each, payload)
        with small_windows(WHOLE_BYTES, 7 if len(payload) < 4_096 else 1_000):
            again = list(_items(self._decoder, payload))
        if _until_one_is_too_large(again) != _until_one_is_too_large(found):
            raise BrokenPromise("with another window size it has another result")

    def _check_item(self, each: Decoded, payload: bytes) -> None:
        if isinstance(each, Skip):
            if not each.kind or len(each.kind) > 100 or not each.kind.isprintable():
                raise BrokenPromise(f"a skip of the kind {each.kind!r}")
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
                raise BrokenPromise(f"a head with other columns: {head!r}")
        else:
            raise BrokenPromise(f"it yields {each!r}")


def _items(decoder: Decoder, payload: bytes) -> Iterator[Decoded]:
    """The decoder's items. It may yield at most one item per byte."""
    for number, each in enumerate(decoder.decode(Source(payload))):
        if number > len(payload):
            raise BrokenPromise(f"it yields more items than bytes: {number} for {len(payload)}")
        yield each


def _until_one_is_too_large(found: Sequence[Decoded]) -> list[Decoded]:
    """The items before the first that is too large, without reasons. Both depend on the window size after that."""
    return list(takewhile(_is_small, map(_without_reasons, found)))


def _is_small(each: Decoded) -> bool:
    parts = () if isinstance(each, Skip) else (each.original, *([each.body] if isinstance(each, Record) else ()))
    return all(len(part) < RECEIPT_LIMIT_BYTES for part in parts)


def _without_reasons(each: Decoded) -> Decoded:
    return Unreadable((), each.original) if isinstance(each, Unreadable) else each


def _check_faults(faults: Sequence[Fault]) -> None:
    if not faults:
        raise BrokenPromise("something is rejected without a fault")
    for fault in faults:
        if not fault.path.startswith("$") or not fault.error:
            raise BrokenPromise(f"a fault without a path or a reason: {fault}")
        fault.error.encode(), fault.path.encode(), fault.hint.encode()


def _check_size(part: bytes, payload: bytes) -> None:
    # A decoder may return a part of the document unchanged, whatever its size.
    if len(part) > MAX_LIMIT_MULTIPLE * RECEIPT_LIMIT_BYTES and part not in payload:
        raise BrokenPromise(f"it yields {len(part)} bytes from {len(payload)}, and the limit is {RECEIPT_LIMIT_BYTES}")


def _minimize(payload: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Remove parts of the payload while it still fails, with a bounded number of tries."""
    size, tries = len(payload) // 2, TRIES
    while size and tries:
        at = 0
        while at < len(payload) and tries:
            tries -= 1
            shorter = payload[:at] + payload[at + size :]
            if fails(shorter):
                payload = shorter
            else:
                at += size
        size //= 2
    return payload
