"""A record that was cut out is parsed by itself, with what stands before it; its faults say where they are in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tillstream.formats.base import Unreadable
from tillstream.formats.xml_parts import ENCODINGS, START, Cut, content, encoding, parsed, tags


def element_of(original: bytes, before: str = "", name: str = "utf-8") -> ET.Element | Unreadable:
    cut = Cut(original, 3, before, name)
    read = parsed(cut)
    return read if isinstance(read, Unreadable) else read[1]


def test_a_record_is_parsed_in_the_namespaces_that_stand_before_it() -> None:
    found = element_of(b"<x:a>\xe9</x:a>", '<_ xmlns:x="urn:x">', "iso8859-1")
    assert isinstance(found, ET.Element)
    assert (found.tag, found.text) == ("{urn:x}a", "é")


@pytest.mark.parametrize("before", ["", '<_ xmlns="urn:é">'])
@pytest.mark.parametrize(
    ("original", "error"),
    [
        (b"<a>\n<b></a>", "it is not well-formed: mismatched tag (its line 2, character 6)"),
        (b"<a>&name;</a>", "it is not well-formed: undefined entity (its line 1, character 4)"),
        (b"<a>\0</a>", "it is not well-formed: not well-formed (invalid token) (its line 1, character 4)"),
        (b"<a><x:b/></a>", "it is not well-formed: unbound prefix (its line 1, character 4)"),
        (b"<a>\xff</a>", "its byte 3 is not UTF-8"),
        (b"<a>\xed\xa0\x80</a>", "its byte 3 is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_in_the_record(original: bytes, error: str, before: str) -> None:
    found = element_of(original, before)
    assert isinstance(found, Unreadable)
    assert (found.faults[0].error, found.original, found.where) == (error, original, "record 3")


def test_a_record_of_any_depth_is_parsed() -> None:
    assert isinstance(element_of(b"<a>" * 100_000 + b"</a>" * 100_000), ET.Element)


def test_the_text_of_an_element_has_no_blanks_around_it() -> None:
    assert content(ET.fromstring("<a> \n b c\t</a>")) == "b c"
    assert content(ET.fromstring("<a/>")) == ""
    assert content(None) == ""


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
def test_encodings_that_have_ascii_in_them_are_known_by_any_of_their_names(declared: str, name: str) -> None:
    assert encoding(declared) == name
    assert name in ENCODINGS


@pytest.mark.parametrize("declared", ["UTF-16", "utf-32", "shift_jis", "utf-7", "rot13", "zlib", "no-such", "cp037"])
def test_other_encodings_are_not_taken(declared: str) -> None:
    assert encoding(declared) not in ENCODINGS


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
    match = START.match(tag)
    assert bool(match) is found
    assert match is None or match[0] == tag


def test_only_tags_of_the_very_name_are_found_inside_a_record() -> None:
    found = [each[0] for each in tags(b"sale").inside.finditer(b"<sale><x:sale/></sale ><sales></y:sale><sale.>")]
    assert found == [b"<sale", b"<x:sale", b"</sale", b"</y:sale"]
