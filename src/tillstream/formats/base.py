"""The interface of input formats: a decoder turns bytes into receipts, skips and faults."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import BinaryIO, ClassVar, NamedTuple

from tillstream.config.settings import Settings
from tillstream.receipt.model import PERSONAL, Fault

BOM = b"\xef\xbb\xbf"
"""UTF-8 byte-order mark, which decoders ignore at the start of a payload."""

LIMIT_HINT = "the limit is the setting receipt_limit_bytes"
"""Hint for everything that exceeds the size limit of a receipt."""

HEAD_BYTES = 4_096
"""Size of the head of a payload or file, which is all that format detection looks at."""

_SHOWN_CHARS = 60


class Record(NamedTuple):
    """One decoded receipt as canonical JSON, not validated yet.

    `original` is the receipt as it was sent, if that differs from `body`.
    `day` is the till's own business day, YYYY-MM-DD, if the format carries one. It overrides the chain's rule.
    `source` is the format and entrance (`poslog/import`), if another program decoded the receipt.
    """

    body: bytes
    original: bytes = b""
    day: str = ""
    source: str = ""


class Skip(NamedTuple):
    """A valid record that is not a sale, such as a till's sign-on. Skips are counted by kind."""

    kind: str


class Unreadable(NamedTuple):
    """Input, or a part of it, that cannot become a receipt.

    `original` is that part, cut to the size limit of a receipt. `where` is its position for people: `line 7`.
    """

    faults: Sequence[Fault]
    original: bytes
    where: str = ""
    source: str = ""

    @classmethod
    def because(cls, error: str, hint: str, original: bytes, where: str = "", path: str = "$") -> Unreadable:
        """Make an `Unreadable` with one fault."""
        return cls([Fault(path, error, hint)], original, where)


Decoded = Record | Skip | Unreadable


class DecodeError(Exception):
    """The faults of input that cannot become a receipt."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


class Decoder(ABC):
    """One input format. A decoder serves many requests and files, one at a time, in a single thread."""

    name: ClassVar[str]
    """First part of a record's source: `json`. Related formats may share a name."""

    title: ClassVar[str]
    """Name of the format for people, used in the docs."""

    help: ClassVar[str]
    """Description of the format for the docs: a few sentences of Markdown."""

    media_types: ClassVar[tuple[str, ...]]
    """Media types in lower case. `+suffix` matches every `application/*+suffix`."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File name suffixes in lower case: `.json`."""

    example: ClassVar[str] = ""
    """A small payload with one receipt for the docs. A test decodes it."""

    personal: ClassVar[tuple[str, ...]] = PERSONAL
    """Names of the fields, elements or columns that identify a customer or a cashier, in any letter case.

    The page and the API redact their values in originals.
    """

    sent_by_pages: ClassVar[bool] = False
    """Whether any web page can make a browser send this format without a preflight request.

    Ingest checks the origin of such requests.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        """Decode everything in the source, in order and in constant memory.

        Bad input never raises: a bad record becomes `Unreadable` and decoding goes on with the next one. A decoder
        holds and yields at most a small multiple of `receipt_limit_bytes`, however large the source is.
        """

    def recognises(self, head: bytes) -> bool:  # noqa: ARG002 - subclasses use it
        """Whether the head (`HEAD_BYTES` of a payload, or all of it) certainly belongs to this format."""
        return False

    def may_be(self, head: bytes) -> bool:  # noqa: ARG002 - subclasses use it
        """Whether the head fits this format without proving it. If so, a file's suffix decides."""
        return False

    def one(self, payload: bytes) -> Decoded:
        """Decode a payload that must hold exactly one receipt. Several receipts are `Unreadable`."""
        found: Record | Unreadable | None = None
        skip: Skip | None = None
        for item in self.decode(io.BytesIO(payload)):
            if isinstance(item, Skip):
                skip = skip or item
            elif found:
                return several(payload)
            else:
                found = item
        return found or skip or Unreadable.because("there is no receipt in it", "send one", payload)


def several(payload: bytes) -> Unreadable:
    """Refuse a payload with several receipts where one was expected."""
    return Unreadable.because("expected one receipt, got several", "send several receipts to /receipts", payload)


def read_up_to(limit_bytes: int, source: BinaryIO, start: bytes = b"") -> bytes:
    """Read from the source until there are `limit_bytes` bytes, including `start`, or the source ends."""
    pieces, left = [start], limit_bytes - len(start)
    while left > 0 and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)[:limit_bytes]


def shorten(text: str) -> str:
    """Cut a text to the length that fits in a fault."""
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def text_of(head: bytes) -> str:
    """Text of a payload's head without byte-order mark and leading white space, for `recognises`."""
    return head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
