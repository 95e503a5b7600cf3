"""The format port: how one request's bytes become receipts, and how its media type is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from tillstream.receipt import Fault

CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})
_HEADERS_KEPT = 1_000


class Record(NamedTuple):
    """One receipt as decoded: canonical JSON, and what came where that differs. Not validated yet."""

    body: bytes
    original: bytes = b""


class Unreadable(NamedTuple):
    """A part of the request, or all of it, that no receipt can be made of; `original` is that part."""

    faults: Sequence[Fault]
    original: bytes


class Decoder(ABC):
    """One input format. Decoding keeps no state, so one decoder serves every request."""

    name: ClassVar[str]
    """First part of the records' source: `json`."""

    media_types: ClassVar[tuple[str, ...]]
    """In lower case; `+suffix` stands for every `application/*+suffix`."""

    @abstractmethod
    def one(self, payload: bytes) -> Record | Unreadable:
        """The payload's only receipt; several of them are `Unreadable`."""

    @abstractmethod
    def many(self, payload: bytes) -> Iterator[Record | Unreadable]:
        """The payload's receipts, in order; the index of each is its place in this order."""


class Formats:
    """The decoders by media type."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._by_type = {media_type: decoder for decoder in decoders for media_type in decoder.media_types}
        self._by_header: dict[str, Decoder] = {}

    @property
    def media_types(self) -> list[str]:
        """What to tell a client that sent something else."""
        return [media_type for media_type in self._by_type if not media_type.startswith("+")]

    def decoder(self, content_type: str) -> Decoder | None:
        """The decoder of a `Content-Type` header, whatever its case and parameters."""
        found = self._by_header.get(content_type)
        if found is None:
            found = self._find(content_type)
            if found is not None and len(self._by_header) < _HEADERS_KEPT:
                self._by_header[content_type] = found
        return found

    def _find(self, content_type: str) -> Decoder | None:
        media_type, *parameters = [part.strip() for part in content_type.lower().split(";")]
        named = dict(parameter.partition("=")[::2] for parameter in parameters)
        if named.get("charset", "").strip('"') not in CHARSETS:
            return None
        if media_type.startswith("application/") and media_type not in self._by_type:
            media_type = f"+{media_type.rpartition('+')[2]}"
        elif media_type.startswith("+"):
            return None
        return self._by_type.get(media_type)
