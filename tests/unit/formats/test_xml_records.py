"""Records are cut out of XML streams in constant memory and parsed alone; a broken record affects no other."""

from __future__ import annotations

import io
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from tillstream.formats import xml_records
from tillstream.formats.base import Unreadable
from tillstream.formats.xml_records import (
    Root,
    XmlRecord,
    XmlRecordReader,
    child_text,
    element_text,
    parse_record,
    root_of,
)

LIMIT = 1_000


def opened(document: bytes) -> XmlRecordReader:
    reader = XmlRecordReader(io.BytesIO(document), LIMIT)
    assert isinstance(reader.root(), Root)
    return reader


def read_records(document: bytes, limit_bytes: int = LIMIT) -> list[bytes | str]:
    """The records as they were sent, well-formed or not, and the errors of everything else."""
    reader = XmlRecordReader(io.BytesIO(document), limit_bytes)
    root = reader.root()
    if isinstance(root, Unreadable):
        return [root.faults[0].error]
    found: list[bytes | str] = []
    for each in reader.records("r"):
        if isinstance(each, Unreadable):
            assert len(each.original) <= limit_bytes
            error = each.faults[0].error
            found.append(each.original if error.endswith("of the record)") else error)
        else:
            found.append(each.original)
    return found


@pytest.mark.parametrize("window_bytes", [1, 2, 3, 5, 7, 11, 64, 1_000_000])
def test_windows_may_end_anywhere(monkeypatch: pytest.MonkeyPatch, window_bytes: int) -> None:
    monkeypatch.setattr(xml_records, "WINDOW_BYTES", window_bytes)
    pieces = [
        b"<r/>",
        b"<r a='/>' />",
        b'<r a="</r>">1</r >',
        b"<r><!-- </r> <r> --><b/></r>",
        b"<r><![CDATA[</r>]] >]]></r>",
        b"<r><?x </r> ?></r>",
        b"<r><r>nested</r><rr></rr></r>",
        b"<x:r xmlns:x='urn:x'><r></r></x:r>",
        b"<r>plain</r>",
        b"<r>plain</r>",
    ]
    head = b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n<!-- <r>no</r> --><all><![CDATA[<r>no</r>]]><batch id='>'>"
    assert read_records(head + b" text ".join(pieces) + b"</batch><rs/></all>\n<!-- end -->\n") == pieces


@pytest.mark.parametrize("most_bytes", [1, 2, 3, 7, 100])
def test_reads_may_return_few_bytes(most_bytes: int) -> None:
    document = b"<all>" + b"<r>1</r>\n<r><!-- </r> --></r>\n<r/>" * 20 + b"</all>"
    pieces = (document[at : at + most_bytes] for at in range(0, len(document), most_bytes))
    reader = XmlRecordReader(Stream(pieces), LIMIT)  # type: ignore[arg-type]
    assert reader.root() == Root("all", "")
    found = [each.original for each in reader.records("r")]
    assert found == [b"<r>1</r>", b"<r><!-- </r> --></r>", b"<r/>"] * 20


def test_a_record_has_its_number_its_encoding_and_the_namespaces_around_it() -> None:
    document = (
        b"<?xml version='1.0' encoding='ISO-8859-1'?><all xmlns='urn:a' xmlns:b=\"urn:b\"><r>\xe9</r>"
        b"<in xmlns='urn:c'><r/></in><b:r/></all>"
    )
    reader = XmlRecordReader(io.BytesIO(document), LIMIT)
    assert reader.root() == Root("all", "urn:a")
    first, *others = reader.records("r")
    assert isinstance(first, XmlRecord)
    assert (first.original, first.where) == (b"<r>\xe9</r>", "record 1")
    assert (first.element.tag, first.element.text) == ("{urn:a}r", "é")
    assert [each.element.tag for each in others if isinstance(each, XmlRecord)] == ["{urn:c}r", "{urn:b}r"]


@pytest.mark.parametrize(
    ("declared", "letter"),
    [
        ("UTF-8", "é".encode()),
        ("utf8", "é".encode()),
        ("ISO-8859-1", b"\xe9"),
        ("latin1", b"\xe9"),
        ("windows-1252", b"\xe9"),
        ("US-ASCII", b"&#233;"),
    ],
)
def test_encodings_that_extend_ascii_are_accepted_under_any_name(declared: str, letter: bytes) -> None:
    document = f"<?xml version='1.0' encoding='{declared}'?>".encode() + b"<r>" + letter + b"</r>"
    (found,) = opened(document).records("r")
    assert isinstance(found, XmlRecord)
    assert found.element.text == "é"


@pytest.mark.parametrize("declared", ["UTF-16", "utf-32", "shift_jis", "utf-7", "rot13", "zlib", "no-such", "cp037"])
def test_other_encodings_are_refused(declared: str) -> None:
    (error,) = read_records(f"<?xml version='1.0' encoding='{declared}'?><r/>".encode())
    assert str(error).startswith("its charset is ")


@pytest.mark.parametrize("attribute", [b'b=">"', b"b='\"'", b"b='>' c='/>'"])
def test_a_start_tag_ends_outside_its_quotes(attribute: bytes) -> None:
    record = b"<r " + attribute + b">1</r>"
    assert read_records(b"<all " + attribute + b">" + record + b"</all>") == [record]


def test_only_elements_with_the_local_name_of_the_record_are_read() -> None:
    inside = b"<rs/><r.></r.><x:r xmlns:x='urn:x'/><r:x xmlns:r='urn:r'/>"
    assert read_records(b"<all>" + inside + b"</all>") == [b"<x:r xmlns:x='urn:x'/>"]


def test_an_element_without_end_tag_is_closed_by_its_parent() -> None:
    assert read_records(b"<all><a><b></a><r/></all>") == [b"<r/>"]
    assert read_records(b"<all><a><b></a><r/>") == [b"<r/>", "the document is cut off before </all>"]


def test_a_fault_names_the_record_and_is_cut_to_the_size_limit() -> None:
    reader = opened(b"<all><r/>" + b"x" * 5_000)
    before = reader.fault("error", "hint")
    *_, after = reader.records("r")
    assert isinstance(after, Unreadable)
    assert (before.where, after.where, len(after.original)) == ("", "record 1", 0)
    (broken,) = [each for each in opened(b"<all>< b<r/></all>").records("r") if isinstance(each, Unreadable)]
    assert broken.original == b"< b"


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (b"<all><r>1</r><r>2<r>3</r></all>", [b"<r>1</r>", "not closed before the next record begins", b"<r>3</r>"]),
        (b"<all><r>1<!-- <r>2</r><r>3</r>", ["not closed before the next record begins", b"<r>2</r>", b"<r>3</r>"]),
        (b"<all><r>1</r></r></x><r>2</r></all>", [b"<r>1</r>", b"<r>2</r>"]),
        (
            b"<all><r>1</r>< <b <c d='<r>2</r></all>",
            [b"<r>1</r>", "it is not well-formed: a tag is broken", b"<r>2</r>"],
        ),
        (b"<all><r>1</r <r>2</r></all>", [b"<r>1</r ", b"<r>2</r>"]),
    ],
)
def test_a_broken_record_affects_no_other(document: bytes, found: list[bytes | str]) -> None:
    assert [
        each for each in read_records(document) if not str(each).startswith("the document is cut off before ")
    ] == found


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (b"<all><r>1</r><r>2", [b"<r>1</r>", "the document is cut off inside a record"]),
        (b"<all><r>1</r><r", [b"<r>1</r>", "it is not well-formed: a tag is broken"]),
        (b"<all><r>1</r>", [b"<r>1</r>", "the document is cut off before </all>"]),
        (b"<all><r>1</r><!-- ", [b"<r>1</r>", "the document is cut off before -->"]),
        (b"<r>1", ["the document is cut off inside a record"]),
        (b"<all/>more", ["there is text after the end of the document"]),
        (b"", ["there is no receipt in it"]),
        (b"<?xml version='1.0'?> ", ["there is no receipt in it"]),
        (b"PK\x03\x04\x14", ["not XML: it begins with 'PK\\x03\\x04\\x14'"]),
        (b"\x1f\x8b\x08", ["not XML: it begins with '\\x1f\\x8b\\x08'"]),
        ("<all/>".encode("utf-16"), ["its charset is UTF-16 or UTF-32"]),
        ("<all/>".encode("utf-16-le"), ["its charset is UTF-16 or UTF-32"]),
        ("<all/>".encode("utf-32-be"), ["its charset is UTF-16 or UTF-32"]),
        (b"<?xml version='1.0' encoding='UTF-16'?><all/>", ["its charset is utf-16"]),
        (b"<?xml version='1.0' encoding='Klingon'?><all/>", ["its charset is Klingon"]),
        (b"<a>" * 100_000, ["it is nested too deeply"]),
        (b"<a xmlns='" + b"x" * 5_000 + b"'><r/></a>", ["its namespace declarations take more than 4096 bytes"]),
    ],
)
def test_a_bad_start_or_end_of_a_document_is_one_fault(document: bytes, found: list[bytes | str]) -> None:
    assert read_records(document) == found


DTDS = [
    b"<!DOCTYPE all [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;'>]>",
    b"<!DOCTYPE all SYSTEM 'file:///etc/passwd'>",
    b"<!ENTITY x SYSTEM 'http://localhost/x'>",
]


@pytest.mark.parametrize("dtd", DTDS)
def test_a_dtd_is_refused_at_any_position_and_ends_the_document(dtd: bytes) -> None:
    refusal = "it has a DTD or entity declarations, which are not accepted"
    assert read_records(dtd + b"<all><r>&a;</r></all>") == [refusal]
    assert read_records(b"<all><r>1</r>" + dtd + b"<r>2</r></all>") == [b"<r>1</r>", refusal]
    assert read_records(b"<all><r>1</r><r>" + dtd + b"</r><r>2</r></all>") == [b"<r>1</r>", refusal]
    assert read_records(b"<all><r><!-- " + dtd + b" --></r></all>") == [b"<r><!-- " + dtd + b" --></r>"]


class Stream(io.RawIOBase):
    """Endless bytes up to a size, made when they are asked for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        part, self._left = self._left[:size], self._left[size:]
        return part


def stream(start: bytes, filling: bytes, end: bytes = b"", megabytes: int = 100) -> Iterator[bytes]:
    yield start
    filled = (filling * (1_048_576 // len(filling) + 1))[: 1_048_576 // len(filling) * len(filling)]
    for _ in range(megabytes):
        yield filled
    yield end


@pytest.mark.parametrize(
    ("start", "filling", "end", "found"),
    [
        (b"<all><r>", b"x", b"", ["the record has more than 1000 bytes"]),
        (b"<all><r>", b"x", b"</r><r/></all>", ["the record has more than 1000 bytes", b"<r/>"]),
        (b"<all><r>", b"<a>", b"<r/></all>", ["the record has more than 1000 bytes", b"<r/>"]),
        (b"<all><r><!--", b"<r>", b"--></r><r/></all>", ["the record has more than 1000 bytes", b"<r/>"]),
        (b"<all><r><![CDATA[", b"]", b"", None),
        (b"<all><r></r <", b"x", b"", None),
        (b"<all><r a='", b"x", b"", None),
        (b"<all><!--", b"-", b"--><r/></all>", [b"<r/>"]),
        (b"<all>", b"x", b"<r/></all>", [b"<r/>"]),
        (b"<all>", b"<b></b>", b"<r/></all>", ["there are too many other elements between the records"]),
        (b"<all", b" ", b"", None),
    ],
)
def test_a_stream_of_any_size_is_read_in_little_memory(
    start: bytes, filling: bytes, end: bytes, found: list[bytes | str] | None
) -> None:
    megabytes = 10 if filling == b"<a>" else 100
    reader = XmlRecordReader(Stream(stream(start, filling, end, megabytes)), LIMIT)  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        root = reader.root()
        items = [root] if isinstance(root, Unreadable) else list(reader.records("r"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    if found is None:
        assert isinstance(items[-1], Unreadable)
        assert len(items) <= 2
    else:
        assert [each.faults[0].error if isinstance(each, Unreadable) else each.original for each in items] == found


@pytest.mark.parametrize("piece", [b"<r>", b"<r><!--", b"<r><![CDATA[", b"<r></x>", b"<r a='", b"<r "])
def test_records_without_end_take_linear_time(piece: bytes) -> None:
    found = read_records(b"<all>" + piece * 30_000, 1_000_000)
    assert len(found) >= 1
    assert all(isinstance(each, str) for each in found)


def test_a_record_at_the_size_limit_is_accepted_and_a_larger_one_is_skipped() -> None:
    largest = b"<r>" + b"x" * (LIMIT - 7) + b"</r>"
    assert read_records(b"<all>" + largest + b"<r>x" + largest[3:] + b"<r/></all>") == [
        largest,
        "the record has more than 1000 bytes",
        b"<r/>",
    ]


@pytest.mark.parametrize(
    ("head", "root"),
    [
        (b"<a/>", Root("a", "")),
        (b" \xef\xbb\xbf<a>", Root("", "")),
        (b"\xef\xbb\xbf \n<?xml version='1.0'?><!-- x --><x:a xmlns='urn:b' xmlns:x='urn:a'>", Root("a", "urn:a")),
        (b"<x:a>", Root("a", "")),
        (b"{}", Root("", "")),
        (b"<", Root("", "")),
        (b"", Root("", "")),
    ],
)
def test_the_root_is_found_in_the_head_of_a_document(head: bytes, root: Root) -> None:
    assert root_of(head) == root


def test_a_record_is_parsed_with_the_namespaces_of_its_context() -> None:
    found = parse_record(b"<x:a>\xe9</x:a>", "record 3", '<_ xmlns:x="urn:x">', "iso8859-1")
    assert isinstance(found, XmlRecord)
    assert (found.element.tag, found.element.text) == ("{urn:x}a", "é")


@pytest.mark.parametrize("context", ["", '<_ xmlns="urn:é">'])
@pytest.mark.parametrize(
    ("original", "error"),
    [
        (b"<a>\n<b></a>", "it is not well-formed: mismatched tag (line 2, character 6 of the record)"),
        (b"<a>&name;</a>", "it is not well-formed: undefined entity (line 1, character 4 of the record)"),
        (b"<a>\0</a>", "it is not well-formed: not well-formed (invalid token) (line 1, character 4 of the record)"),
        (b"<a><x:b/></a>", "it is not well-formed: unbound prefix (line 1, character 4 of the record)"),
        (b"<a>\xff</a>", "byte 3 of the record is not UTF-8"),
        (b"<a>\xed\xa0\x80</a>", "byte 3 of the record is not UTF-8"),
    ],
)
def test_a_fault_has_its_position_in_the_record(original: bytes, error: str, context: str) -> None:
    found = parse_record(original, "record 3", context)
    assert isinstance(found, Unreadable)
    assert (found.faults[0].error, found.original, found.where) == (error, original, "record 3")


def test_a_record_of_any_depth_is_parsed() -> None:
    assert isinstance(parse_record(b"<a>" * 100_000 + b"</a>" * 100_000, "record 1"), XmlRecord)


def test_the_text_of_an_element_is_stripped() -> None:
    assert element_text(ET.fromstring("<a> \n b c\t</a>")) == "b c"
    assert element_text(ET.fromstring("<a/>")) == ""
    assert element_text(None) == ""
    assert child_text(ET.fromstring("<a><b> c </b><b>d</b></a>"), "b") == "c"
    assert child_text(ET.fromstring("<a><b/></a>"), "b") == ""
    assert child_text(ET.fromstring("<a/>"), "b") == ""
