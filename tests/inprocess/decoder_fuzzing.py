"""What must hold of a decoder whatever the bytes are: receipts, skips or faults, and an end."""

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
from tillstream.formats import registry
from tillstream.formats.base import HEAD_BYTES, Decoded, Decoder, Record, Skip, Unreadable
from tillstream.formats.csv import rows
from tillstream.formats.square import decoder as square_decoder
from tillstream.formats.xml_stream import scanner
from tillstream.receipt.model import HEAD_COLUMNS, Fault
from tillstream.receipt.validation import ReceiptError, Validator

RECEIVED_US = 1_795_435_200_000_000
RECEIPT_LIMIT_BYTES = 4_096
"""Small, so that mutations go beyond it."""

LARGEST = 16
"""Nothing that a decoder yields is larger than so many times the limit: its own promise is some multiple of it."""

CPU_LIMIT_S = 10.0
"""Of this process for one mutation; most take a thousandth of a second."""

READS_BEHIND_THE_END = 64
PIECES_EVERY = 8
WHOLE_BYTES = 16
FRESH_EVERY = 16
ONE_EVERY = 4
TRIES = 400

SETTINGS = Settings(receipt_limit_bytes=RECEIPT_LIMIT_BYTES, zone="Europe/Paris", currency="EUR")


class BrokenPromise(AssertionError):
    """A decoder did what it must never do."""


class EndlessDecoding(BrokenPromise):
    """It came to no end."""


class Finding(NamedTuple):
    """A mutation that breaks a promise, and how."""

    payload: bytes
    error: Exception
    number: int


class Source(io.BytesIO):
    """Bytes whose reader must come to an end: asking on and on behind it is a loop."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self._behind = 0

    def read(self, size: int | None = -1, /) -> bytes:
        return self._count(super().read(size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._count(super().readline(size))

    def _count(self, came: bytes) -> bytes:
        self._behind += not came
        if self._behind > READS_BEHIND_THE_END:
            raise EndlessDecoding(f"it reads on behind the end, {self._behind} times")
        return came


@contextmanager
def watchdog(limit_s: float = CPU_LIMIT_S) -> Iterator[None]:
    """Ends a block that takes too long with `Broken`: by this process's own time, so that a busy machine is no hang."""

    def bark(_signal: int, _frame: FrameType | None) -> None:
        raise EndlessDecoding(f"it takes more than {limit_s} s of the processor")

    before = signal.signal(signal.SIGVTALRM, bark)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def small_windows(whole_bytes: int, window_bytes: int) -> Iterator[None]:
    """Only what is smaller than `whole_bytes` is read at once, all else in windows, as large files are."""
    sizes = {**dict.fromkeys(_WHOLES, whole_bytes), **dict.fromkeys(_WINDOWS, window_bytes)}
    shipped = {(module, name): getattr(module, name) for module, name in sizes}
    try:
        for (module, name), size in sizes.items():
            setattr(module, name, size)
        yield
    finally:
        for (module, name), size in shipped.items():
            setattr(module, name, size)


_WHOLES = ((formats_json, "WHOLE_BYTES"), (square_decoder, "WHOLE_BYTES"))
_WINDOWS = ((formats_json, "_WINDOW_BYTES"), (rows, "_BLOCK_BYTES"), (scanner, "WINDOW_BYTES"))


def documents_of(decoder: Decoder) -> list[bytes]:
    """Valid files of the decoder's format."""
    return documents.of(decoder.media_types[0], decoder.example)


class Fuzz:
    """Mutations of one format, each a function of the seed and its number, and what must hold of each."""

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
        """How many receipts the documents have as they are, so that mutations start from something right."""
        found = [each for payload in self._documents for each in self._decoder.decode(Source(payload))]
        for each in found:
            if isinstance(each, Record):
                self._validator.check(each.body, RECEIVED_US, "fuzz/test", each.day)
        return sum(isinstance(each, Record) for each in found)

    def payload(self, number: int) -> bytes:
        return self._mutator.mutation(f"{self._seed}/{self._kind.media_types[0]}/{number}")

    def finding(self, number: int) -> Finding | None:
        """What is wrong with the mutation of this number, made small; None: nothing."""
        payload = self.payload(number)
        error = self._error(payload, number)
        if error is None:
            return None
        if not isinstance(error, EndlessDecoding):
            payload = _smaller(payload, lambda less: type(self._error(less, number)) is type(error))
        return Finding(payload, error, number)

    def _error(self, payload: bytes, number: int) -> Exception | None:
        try:
            with watchdog():
                if number % PIECES_EVERY:
                    self._examine(payload, number)
                else:
                    self._examine_in_pieces(payload)
        except Exception as error:  # noqa: BLE001 - whatever comes out of a decoder is what is looked for
            return error
        return None

    def _examine(self, payload: bytes, number: int) -> None:
        """Raises whatever is wrong."""
        decoder = self._decoder
        if not isinstance(decoder.recognises(payload[:HEAD_BYTES]), bool):
            raise BrokenPromise("it doesn't know whether it recognises this")
        found = list(_items(decoder, payload))
        for each in found:
            self._judge(each, payload)
        if number % FRESH_EVERY == 1 and list(_items(self._kind(SETTINGS), payload)) != found:
            raise BrokenPromise("a new decoder finds something else than one that was used")
        if number % ONE_EVERY == 1:
            one = payload[:RECEIPT_LIMIT_BYTES]
            self._judge(decoder.one(one), one)

    def _examine_in_pieces(self, payload: bytes) -> None:
        """The same as a large file; whatever the size of the pieces, the same comes of it."""
        with small_windows(WHOLE_BYTES, 64):
            found = list(_items(self._decoder, payload))
        for each in found:
            self._judge(each, payload)
        with small_windows(WHOLE_BYTES, 7 if len(payload) < 4_096 else 1_000):
            again = list(_items(self._decoder, payload))
        if _until_one_is_too_large(again) != _until_one_is_too_large(found):
            raise BrokenPromise("in pieces of another size it finds something else")

    def _judge(self, each: Decoded, payload: bytes) -> None:
        if isinstance(each, Skip):
            if not each.kind or len(each.kind) > 100 or not each.kind.isprintable():
                raise BrokenPromise(f"a skip of the kind {each.kind!r}")
        elif isinstance(each, Unreadable):
            _judge_faults(each.faults)
            _bounded(each.original, payload)
        elif isinstance(each, Record):
            _bounded(each.original, payload)
            _bounded(each.body, payload)
            try:
                head, _, day = self._validator.check(each.body, RECEIVED_US, each.source or "fuzz/test", each.day)
            except ReceiptError as error:
                _judge_faults(error.faults)
                return
            msgspec.json.decode(each.body, type=msgspec.Raw)
            date.fromisoformat(day)
            if head.count(b"\n") != 1 or len(head.split(b"\t")) != len(HEAD_COLUMNS):
                raise BrokenPromise(f"a head of other columns: {head!r}")
        else:
            raise BrokenPromise(f"it yields {each!r}")


def _items(decoder: Decoder, payload: bytes) -> Iterator[Decoded]:
    """What it yields; of every byte it can make one thing at most."""
    for number, each in enumerate(decoder.decode(Source(payload))):
        if number > len(payload):
            raise BrokenPromise(f"it yields more than there are bytes: {number} of {len(payload)}")
        yield each


def _until_one_is_too_large(found: Sequence[Decoded]) -> list[Decoded]:
    """Without reasons: how far it saw is in them. Whether it saw the end of what is over the limit is chance too."""
    return list(takewhile(_is_small, map(_without_reasons, found)))


def _is_small(each: Decoded) -> bool:
    parts = () if isinstance(each, Skip) else (each.original, *([each.body] if isinstance(each, Record) else ()))
    return all(len(part) < RECEIPT_LIMIT_BYTES for part in parts)


def _without_reasons(each: Decoded) -> Decoded:
    return Unreadable((), each.original) if isinstance(each, Unreadable) else each


def _judge_faults(faults: Sequence[Fault]) -> None:
    if not faults:
        raise BrokenPromise("something is refused without a fault")
    for fault in faults:
        if not fault.path.startswith("$") or not fault.error:
            raise BrokenPromise(f"a fault without a path or a reason: {fault}")
        fault.error.encode(), fault.path.encode(), fault.hint.encode()


def _bounded(part: bytes, payload: bytes) -> None:
    # A document that is held whole anyway may be handed on as it is.
    if len(part) > LARGEST * RECEIPT_LIMIT_BYTES and part not in payload:
        raise BrokenPromise(f"it makes {len(part)} bytes of {len(payload)}, and the limit is {RECEIPT_LIMIT_BYTES}")


def _smaller(payload: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """What fails still when parts of it are left out, after a bounded number of tries."""
    size, tries = len(payload) // 2, TRIES
    while size and tries:
        at = 0
        while at < len(payload) and tries:
            tries -= 1
            less = payload[:at] + payload[at + size :]
            if fails(less):
                payload = less
            else:
                at += size
        size //= 2
    return payload
