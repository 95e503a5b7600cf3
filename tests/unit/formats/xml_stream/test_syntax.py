"""Tags and encodings of XML, found in bytes."""

from __future__ import annotations

import pytest

from tillstream.formats.xml_stream.syntax import ENCODINGS, START_TAG, normalised_encoding, record_tags


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8"),
        ("ISO-8859-1", "iso8859-1"),
        ("latin1", "iso8859-1"),
        ("windows-1252", "cp1252"),
        ("US-ASCII", "ascii"),
    ],
)
def test_encodings_that_extend_ascii_are_accepted_under_any_name(declared: str, name: str) -> None:
    assert normalised_encoding(declared) == name
    assert name in ENCODINGS


@pytest.mark.parametrize("declared", ["UTF-16", "utf-32", "shift_jis", "utf-7", "rot13", "zlib", "no-such", "cp037"])
def test_other_encodings_are_refused(declared: str) -> None:
    assert normalised_encoding(declared) not in ENCODINGS


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        (b'<a b=">">', True),
        (b"<a b='\"'>", True),
        (b"<a/>", True),
        (b"<a", False),
        (b"< a>", False),
        (b'<a b=">', False),
    ],
)
def test_a_start_tag_ends_outside_its_quotes(tag: bytes, found: bool) -> None:
    match = START_TAG.match(tag)
    assert bool(match) is found
    assert match is None or match[0] == tag


def test_only_tags_with_the_name_of_the_record_are_found() -> None:
    found = [
        each[0] for each in record_tags(b"sale").inside.finditer(b"<sale><x:sale/></sale ><sales></y:sale><sale.>")
    ]
    assert found == [b"<sale", b"<x:sale", b"</sale", b"</y:sale"]
