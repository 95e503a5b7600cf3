"""The interface of input formats: a `Decoder` converts bytes into receipts, skipped records and faults."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import BinaryIO, ClassVar, NamedTuple

from tillstream.config.settings import Settings
from tillstream.receipt.model import PERSONAL, Fault

BOM = b"\xef\xbb\xbf"
"""The UTF-8 byte-order mark. Decoders ignore it at the start of a payload."""

LIMIT_HINT = "the limit is the setting receipt_limit_bytes"
"""The hint of every fault for input that exceeds the size limit of a receipt."""

HEAD_BYTES = 4_096
"""The number of bytes that are read from the start of a payload or file to detect its format."""

_SHOWN_CHARS = 60


class Record(NamedTuple):
    """A decoded receipt. The receipt is not validated yet.

    `body` holds the receipt as canonical JSON, the JSON into which every format is decoded.
    `original` holds the bytes that were sent, if they differ from `body`.
    `day` is the business day (YYYY-MM-DD) if the till sent one. It replaces the business day computed from the date.
    `source` is set if another program decoded the receipt. It names the format and that program: `poslog/import`.
    """

    body: bytes
    original: bytes = b""
    day: str = ""
    source: str = ""


class Skip(NamedTuple):
    """A valid record that is not a sale, such as the sign-on of a cashier. Skips are counted by kind."""

    kind: str


class Unreadable(NamedTuple):
    """A part of the input that cannot become a receipt.

    `original` holds the bytes of this part, truncated to the size limit of a receipt. `where` tells people where the
    part is, such as `line 7`. `source` has the same meaning as in `Record`.
    """

    faults: Sequence[Fault]
    original: bytes
    where: str = ""
    source: str = ""

    @classmethod
    def because(cls, error: str, hint: str, original: bytes, where: str = "", path: str = "$") -> Unreadable:
        """Create an `Unreadable` with a single fault."""
        return cls([Fault(path, error, hint)], original, where)


Decoded = Record | Skip | Unreadable


class DecodeError(Exception):
    """Raised if input cannot become a receipt. `faults` are the reasons."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


class Decoder(ABC):
    """An input format. A decoder instance is used in one thread, for one request or file at a time."""

    name: ClassVar[str]
    """The first part of the source of a record: `json` in `json/http`. Related formats may share a name."""

    title: ClassVar[str]
    """The name of the format for people."""

    help: ClassVar[str]
    """A description of the format for the docs, in Markdown."""

    media_types: ClassVar[tuple[str, ...]]
    """The media types of the format in lower case. `+xml` matches `application/rss+xml` and all similar types."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """The suffixes of file names in lower case, such as `.json`."""

    example: ClassVar[str] = ""
    """The payload that the docs show. It contains one receipt."""

    personal: ClassVar[tuple[str, ...]] = PERSONAL
    """Names of the fields, elements or columns that identify a customer or a cashier. The letter case is ignored.

    The web page and the API mask the values of these fields when they show the bytes that were sent.
    """

    sent_by_pages: ClassVar[bool] = False
    """Whether browsers let any web page send this format to any server (no CORS preflight), as with HTML forms.

    If True, ingest refuses requests in this format that come from a page of another site.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        """Yield all receipts, skipped records and faults of the source in order.

        Bad input does not raise an exception. A bad record becomes an `Unreadable`, and decoding continues with the
        next record. Decoding needs a limited amount of memory, however large the source is.
        """

    def recognises(self, head: bytes) -> bool:  # noqa: ARG002 - subclasses use it
        """Whether a payload clearly has this format. `head` holds its first bytes, at most `HEAD_BYTES`."""
        return False

    def may_be(self, head: bytes) -> bool:  # noqa: ARG002 - subclasses use it
        """Whether a file that starts with `head` may have this format.

        This is asked only if the name of the file has a suffix of this format. If the answer is True, the file is
        decoded as this format, even if another format would recognise it. If the answer is False, the file is decoded
        as the format that recognises it. If no format recognises it, the suffix decides.
        """
        return False

    def one(self, payload: bytes) -> Decoded:
        """Decode a payload that must contain exactly one receipt.

        Return a `Skip` if all records of the payload are skipped. Return an `Unreadable` if the payload has no records,
        or several receipts.
        """
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
    """Return an `Unreadable` for a payload that contains several receipts where exactly one is allowed."""
    return Unreadable.because("expected one receipt, got several", "send several receipts to /receipts", payload)


def read_up_to(limit_bytes: int, source: BinaryIO, start: bytes = b"") -> bytes:
    """Return `start` followed by the next bytes of the source, at most `limit_bytes` bytes in total."""
    pieces, left = [start], limit_bytes - len(start)
    while left > 0 and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)[:limit_bytes]


def shorten(text: str) -> str:
    """Truncate a text for the message of a fault."""
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def text_of(head: bytes) -> str:
    """Decode the head of a payload as UTF-8, and drop its byte-order mark and leading white space."""
    return head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
