"""The registry of formats. It finds the decoder for a media type, a file name or the start of a payload."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import PurePath

from tillstream.config.settings import Settings
from tillstream.errors import FormatError
from tillstream.formats.base import HEAD_BYTES, Decoder
from tillstream.formats.csv.decoder import CsvDecoder
from tillstream.formats.envelope import EnvelopeDecoder
from tillstream.formats.form import FormDecoder
from tillstream.formats.json import JsonDecoder, NdjsonDecoder
from tillstream.formats.poslog.decoder import PoslogDecoder
from tillstream.formats.square.decoder import SquareDecoder
from tillstream.formats.xml import XmlDecoder

ENTRY_POINT_GROUP = "tillstream.formats"
"""The entry point group in which other packages register subclasses of `Decoder`."""

BUILT_IN: tuple[type[Decoder], ...] = (
    JsonDecoder, NdjsonDecoder, XmlDecoder, CsvDecoder, FormDecoder, SquareDecoder, PoslogDecoder, EnvelopeDecoder,
)  # fmt: skip
"""The built-in formats in the order in which the docs list them. If several recognise a payload, the last one wins."""

CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})
_CACHED_HEADERS = 1_000


class Formats:
    """The decoders of all formats in this installation."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = list(decoders)
        self._by_type = {media_type: decoder for decoder in decoders for media_type in decoder.media_types}

    def __iter__(self) -> Iterator[Decoder]:
        return iter(self._decoders)

    def copy(self) -> Formats:
        """Return the same formats with new decoders, because a decoder must not be shared between threads."""
        return Formats([type(decoder)(decoder.settings) for decoder in self])

    @property
    def media_types(self) -> list[str]:
        """All media types, without the entries that begin with `+`, such as `+json`."""
        return [media_type for media_type in self._by_type if not media_type.startswith("+")]

    def decoder(self, content_type: str) -> Decoder | None:
        """Find the decoder for a `Content-Type` header, or None if its type is unknown or its charset is not UTF-8."""
        media_type = _media_type(content_type)
        found = self._by_type.get(media_type)
        if found is None and media_type.startswith("application/"):
            found = self._by_type.get(f"+{media_type.rpartition('+')[2]}")
        return found

    def recognised(self, payload: bytes) -> Decoder | None:
        """Find the decoder that recognises the start of a payload."""
        head = payload[:HEAD_BYTES]
        return next((decoder for decoder in reversed(self._decoders) if decoder.recognises(head)), None)

    def of_file(self, name: str, head: bytes) -> Decoder | None:
        """Find the decoder of a file by its name and its first bytes.

        The name and the bytes may point to different formats. The format with the suffix of the name is used if its
        `may_be` is True. Otherwise the format that recognises the bytes is used. If no format recognises them, the
        suffix decides after all.
        """
        ending = PurePath(name).suffix.lower()
        named = next((decoder for decoder in self._decoders if ending and ending in decoder.suffixes), None)
        return named if named is not None and named.may_be(head) else self.recognised(head) or named

    def named(self, media_type_or_suffix: str) -> Decoder | None:
        """Find the decoder for a name that a user enters, such as `csv`, `.csv` or `text/csv`."""
        wanted = media_type_or_suffix.lower()
        by_suffix = (each for each in self._decoders if f".{wanted.removeprefix('.')}" in each.suffixes)
        return self.decoder(wanted) if "/" in wanted else next(by_suffix, None)


@lru_cache(maxsize=_CACHED_HEADERS)
def _media_type(content_type: str) -> str:
    """Return the media type of a `Content-Type` header. It is empty for charsets other than UTF-8 and ASCII."""
    media_type, *parameters = [part.strip() for part in content_type.lower().split(";")]
    named = dict(parameter.partition("=")[::2] for parameter in parameters)
    return media_type.lstrip("+") if named.get("charset", "").strip('"') in CHARSETS else ""


def load(settings: Settings) -> Formats:
    """Load all formats of this installation. Raises `FormatError` if a format of another package cannot be loaded."""
    decoders: list[Decoder] = [kind(settings) for kind in BUILT_IN]
    plugins = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda each: each.name)
    return Formats([*decoders, *(_load_plugin(entry.name, entry.load, settings) for entry in plugins)])


def _load_plugin(name: str, load_class: Callable[[], type[Decoder]], settings: Settings) -> Decoder:
    try:
        kind = load_class()
        decoder: object = kind(settings)
    except Exception as error:
        raise FormatError("load the format", name, error, "fix or uninstall the package that provides it") from error
    if not isinstance(decoder, Decoder):
        reason = f"{kind!r} is not a tillstream.formats.base.Decoder"
        raise FormatError("load the format", name, reason, "fix or uninstall the package that provides it")
    return decoder
