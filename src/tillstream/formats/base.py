"""The format port: how bytes that came become receipts, skips and faults."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO, ClassVar, NamedTuple

from tillstream.config.settings import Settings
from tillstream.receipt.model import PERSONAL, Fault

HEAD_BYTES = 4_096
"""So much of a payload or a file is enough to recognise its format."""


class Record(NamedTuple):
    """One receipt as decoded: canonical JSON, and what came where that differs. Not validated yet.

    `day` is the till's own business day, YYYY-MM-DD, where the format carries one: it wins over the chain's rule.
    `source` is where it came from (`poslog/import`), where somebody else has decoded it.
    """

    body: bytes
    original: bytes = b""
    day: str = ""
    source: str = ""


class Skip(NamedTuple):
    """A record that is rightly no sale, such as a till's sign-on; only counted, by its kind."""

    kind: str


class Unreadable(NamedTuple):
    """A part of what came, or all of it, that no receipt can be made of.

    `original` is that part, cut at the limit of a receipt; `where` says for people where it is: `line 7`.
    """

    faults: Sequence[Fault]
    original: bytes
    where: str = ""
    source: str = ""


Decoded = Record | Skip | Unreadable


class Decoder(ABC):
    """One input format. A decoder serves every request and file, one at a time and never two threads."""

    name: ClassVar[str]
    """First part of the records' source: `json`. Formats of one family may share it."""

    title: ClassVar[str]
    """What people call it, for the docs."""

    help: ClassVar[str]
    """What is taken and how, for the docs: a few sentences of Markdown."""

    media_types: ClassVar[tuple[str, ...]]
    """In lower case; `+suffix` stands for every `application/*+suffix`."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Of the names of files in this format, in lower case: `.json`."""

    example: ClassVar[str] = ""
    """A small payload with one receipt, for the docs; a test decodes it."""

    personal: ClassVar[tuple[str, ...]] = PERSONAL
    """Names of fields, elements or columns that tell who bought or sold: what they hold is hidden on the page and in
    the API, whatever their case."""

    sent_by_pages: ClassVar[bool] = False
    """Whether any web page can have a browser send it without asking: then ingest looks where it comes from."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        """Everything in the source, in order and in constant memory, whatever the bytes are.

        Never raises for what the bytes say: one bad record is `Unreadable` and the next ones follow. Nothing it
        holds or yields is larger than some multiple of `receipt_limit_bytes`, however large the source is.
        """

    def recognises(self, head: bytes) -> bool:  # noqa: ARG002 - what overrides it looks
        """Whether a payload that begins with these bytes (`HEAD_BYTES` of it, or all) is surely of this format."""
        return False

    def may_be(self, head: bytes) -> bool:  # noqa: ARG002 - what overrides it looks
        """Whether such a payload may be of this format without saying so: then the name of a file decides."""
        return False

    def one(self, payload: bytes) -> Decoded:
        """The payload's only receipt; several of them are `Unreadable`."""
        found: list[Decoded] = []
        skipped: Counter[str] = Counter()
        for each in self.decode(io.BytesIO(payload)):
            if isinstance(each, Skip):
                skipped[each.kind] += 1
            else:
                found.append(each)
            if len(found) > 1:
                return several(payload)
        if found:
            return found[0]
        if skipped:
            return Skip(next(iter(skipped)))
        return Unreadable([Fault("$", "there is no receipt in it", "send one")], payload)


def several(payload: bytes) -> Unreadable:
    """More than one receipt where one was expected."""
    return Unreadable([Fault("$", "expected one receipt, got several", "send several receipts to /receipts")], payload)


def text_of(head: bytes) -> str:
    """The beginning of a payload for `recognises`: without a byte-order mark and leading blanks."""
    return head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
