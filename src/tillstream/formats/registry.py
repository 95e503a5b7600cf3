"""Every format that is known: the built-in ones, and those of other packages; found by type, name or content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import PurePath

from tillstream.config.settings import Settings
from tillstream.errors import FormatError
from tillstream.formats.base import HEAD_BYTES, Decoder
from tillstream.formats.csv import CsvDecoder
from tillstream.formats.envelope import EnvelopeDecoder
from tillstream.formats.form import FormDecoder
from tillstream.formats.json import JsonDecoder, NdjsonDecoder
from tillstream.formats.poslog import PoslogDecoder
from tillstream.formats.square import SquareDecoder
from tillstream.formats.xml import XmlDecoder

ENTRY_POINT_GROUP = "tillstream.formats"
"""Other packages name classes that derive from `Decoder` here."""

BUILT_IN: tuple[type[Decoder], ...] = (
    JsonDecoder, NdjsonDecoder, XmlDecoder, CsvDecoder, FormDecoder, SquareDecoder, PoslogDecoder, EnvelopeDecoder,
)  # fmt: skip
"""The docs list them in this order. Of two that recognise some bytes the later one is right: it is the narrower."""

CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})
_HEADERS_KEPT = 1_000


class Formats:
    """The decoders, by whatever names a format."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = list(decoders)
        self._by_type = {media_type: decoder for decoder in decoders for media_type in decoder.media_types}
        self._by_header: dict[str, Decoder] = {}

    def __iter__(self) -> Iterator[Decoder]:
        return iter(self._decoders)

    def anew(self) -> Formats:
        """The same formats with decoders of their own, for another thread."""
        return Formats([type(decoder)(decoder.settings) for decoder in self])

    def like(self, decoder: Decoder) -> Decoder:
        """The decoder of the same format as this one, which may be of another `Formats`."""
        return next(each for each in self if type(each) is type(decoder))

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

    def recognised(self, payload: bytes) -> Decoder | None:
        """The decoder of bytes that say themselves what they are."""
        head = payload[:HEAD_BYTES]
        return next((decoder for decoder in reversed(self._decoders) if decoder.recognises(head)), None)

    def of_file(self, name: str, head: bytes) -> Decoder | None:
        """The decoder of a file: by its content where that is sure, else by the end of its name."""
        ending = PurePath(name).suffix.lower()
        named = next((decoder for decoder in self._decoders if ending and ending in decoder.suffixes), None)
        return named if named is not None and named.may_be(head) else self.recognised(head) or named

    def named(self, media_type_or_suffix: str) -> Decoder | None:
        """The decoder that a person names: `csv`, `.csv` or `text/csv`."""
        wanted = media_type_or_suffix.lower()
        by_suffix = (each for each in self._decoders if f".{wanted.removeprefix('.')}" in each.suffixes)
        return self.decoder(wanted) if "/" in wanted else next(by_suffix, None)


def load(settings: Settings) -> Formats:
    """The formats of this installation. Raises `FormatError` where a package's format cannot be used."""
    decoders: list[Decoder] = [kind(settings) for kind in BUILT_IN]
    others = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda each: each.name)
    return Formats([*decoders, *(_other(entry.name, entry.load, settings) for entry in others)])


def _other(name: str, loading: Callable[[], type[Decoder]], settings: Settings) -> Decoder:
    try:
        kind = loading()
        decoder: object = kind(settings)
    except Exception as error:
        raise FormatError("load the format", name, error, "mend or uninstall the package that brings it") from error
    if not isinstance(decoder, Decoder):
        reason = f"{kind!r} is no tillstream.formats.base.Decoder"
        raise FormatError("load the format", name, reason, "mend or uninstall the package that brings it")
    return decoder
