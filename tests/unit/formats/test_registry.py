"""Decoders are found by media type, by content and by file name."""

from __future__ import annotations

import pytest

from tillstream.config.settings import Settings
from tillstream.errors import FormatError
from tillstream.formats import registry
from tillstream.formats.base import HEAD_BYTES, Decoder, Record
from tillstream.formats.json import JsonDecoder, NdjsonDecoder
from tillstream.formats.registry import Formats
from tillstream.receipt.validation import Validator

json, ndjson = JsonDecoder(Settings()), NdjsonDecoder(Settings())


@pytest.fixture
def formats() -> Formats:
    return Formats([json, ndjson])


@pytest.mark.parametrize(
    ("header", "decoder"),
    [
        ("application/json", json),
        ("APPLICATION/JSON", json),
        ("application/json;charset=utf-8", json),
        ('application/json ; version=1; Charset="UTF8"', json),
        ("application/vnd.till+json", json),
        ("application/x-ndjson", ndjson),
        ("application/jsonl; charset=us-ascii", ndjson),
        ("application/json; charset=utf-16", None),
        ("text/json", None),
        ("text/x+json", None),
        ("+json", None),
        ("json", None),
        (";", None),
        ("", None),
    ],
)
def test_a_content_type_header_selects_a_decoder(formats: Formats, header: str, decoder: object) -> None:
    assert formats.decoder(header) is decoder
    assert formats.decoder(header) is decoder


def test_the_list_of_media_types_has_no_suffixes(formats: Formats) -> None:
    assert formats.media_types == ["application/json", *NdjsonDecoder.media_types]


def test_the_cache_of_headers_is_bounded(formats: Formats) -> None:
    for number in range(3_000):
        formats.decoder(f"application/json; x={number}")
        formats.decoder(f"text/{number}")
    assert registry._media_type.cache_info().currsize == 1_000


@pytest.mark.parametrize("decoder", list(registry.load(Settings())), ids=lambda decoder: decoder.title)
def test_every_format_has_a_description_and_decodes_its_example(decoder: Decoder) -> None:
    assert decoder.title
    assert decoder.help.endswith(".")
    if decoder.example:
        decoded = decoder.one(decoder.example.encode())
        assert isinstance(decoded, Record), decoded
        Validator(decoder.settings).check(decoded.body, 1_795_435_200_000_000, f"{decoder.name}/http", decoded.day)


def test_a_payload_is_recognised_by_its_content(formats: Formats) -> None:
    assert formats.recognised(b'\xef\xbb\xbf {"a":1}') is json
    assert formats.recognised(b'{"a":1}\n{"a":2}') is ndjson
    assert formats.recognised(b"?") is None
    assert formats.of_file("day.jsonl", b"?") is ndjson
    assert formats.of_file("day.JSON", b'{"a":1}\n{"a":2}') is ndjson
    assert formats.of_file("day.bin", b"?") is None


@pytest.mark.parametrize(
    ("name", "head", "decoder"),
    [
        ("day.ndjson", b'{"a":"' + b"x" * HEAD_BYTES, ndjson),
        ("day.jsonl", b'\xef\xbb\xbf{"a":1}', ndjson),
        ("day.json", b'{"a":"' + b"x" * HEAD_BYTES, json),
        ("day.txt", b'{"a":"' + b"x" * HEAD_BYTES, json),
        ("day.ndjson", b'{\n  "a": 1', json),
        ("day.ndjson", b'[{"a":1},' + b" " * HEAD_BYTES, json),
    ],
)
def test_the_file_name_decides_if_the_first_line_is_longer_than_the_head(
    formats: Formats, name: str, head: bytes, decoder: object
) -> None:
    assert formats.of_file(name, head[:HEAD_BYTES]) is decoder


@pytest.mark.parametrize("name", ["ndjson", ".ndjson", "NDJSON", "application/x-ndjson"])
def test_a_person_names_a_format_by_suffix_or_media_type(formats: Formats, name: str) -> None:
    assert formats.named(name) is ndjson
    assert formats.named("docx") is None


class Entry:
    name = "theirs"

    def __init__(self, loaded: object) -> None:
        self._loaded = loaded

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def test_the_format_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(JsonDecoder):
        media_types = ("text/x-theirs", "+theirs")

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry(Theirs)])
    assert isinstance(registry.load(Settings()).decoder("text/x-theirs"), Theirs)


@pytest.mark.parametrize("loaded", [ImportError("no module"), object, 7])
def test_an_unusable_format_package_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry(loaded)])
    with pytest.raises(FormatError, match="could not load the format theirs"):
        registry.load(Settings())


def test_a_copy_has_its_own_decoders_of_the_same_formats(formats: Formats) -> None:
    others = formats.copy()
    assert [type(each) for each in others] == [JsonDecoder, NdjsonDecoder]
    assert all(copied is not decoder for copied, decoder in zip(others, formats, strict=True))
