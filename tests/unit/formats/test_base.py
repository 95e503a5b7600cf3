"""Decoders are found by their media types."""

from __future__ import annotations

import pytest

from tillstream.formats.base import Formats
from tillstream.formats.json import JsonDecoder, NdjsonDecoder

json, ndjson = JsonDecoder(), NdjsonDecoder()


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
def test_a_header_names_a_decoder(formats: Formats, header: str, decoder: object) -> None:
    assert formats.decoder(header) is decoder
    assert formats.decoder(header) is decoder


def test_the_known_types_are_told_without_suffixes(formats: Formats) -> None:
    assert formats.media_types == ["application/json", *NdjsonDecoder.media_types]


def test_unknown_headers_are_not_remembered(formats: Formats) -> None:
    for number in range(3_000):
        formats.decoder(f"application/json; x={number}")
        formats.decoder(f"text/{number}")
    assert len(formats._by_header) == 1_000
