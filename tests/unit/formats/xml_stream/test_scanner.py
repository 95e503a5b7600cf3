"""The scanner finds the start tags of a document and keeps track of its open elements."""

from __future__ import annotations

import io

import pytest

from tillstream.formats.xml_stream import scanner
from tillstream.formats.xml_stream.scanner import ScanEnded, XmlScanner
from tillstream.formats.xml_stream.syntax import record_tags


def opened(document: bytes) -> XmlScanner:
    found = XmlScanner(io.BytesIO(document), 1_000)
    found.read_prolog()
    return found


def tag_names(found: XmlScanner) -> list[bytes]:
    names = []
    while tag := found.next_start_tag():
        names.append(tag.name)
        found.enter(tag)
    return names


@pytest.mark.parametrize("window_bytes", [1, 7, 1_000])
def test_all_start_tags_are_found_and_sections_are_skipped(monkeypatch: pytest.MonkeyPatch, window_bytes: int) -> None:
    monkeypatch.setattr(scanner, "WINDOW_BYTES", window_bytes)
    found = opened(b"<?xml version='1.0'?><!-- <x> --><a b='>'><![CDATA[<x>]]><p:c/></a>\n")
    assert tag_names(found) == [b"a", b"p:c"]
    assert found.missing_end_tag() is None


def test_a_tag_has_its_size_its_local_name_and_whether_it_is_empty() -> None:
    found = opened(b"<p:a b='1'><c/></p:a>")
    first = found.next_start_tag()
    assert first is not None
    assert (first.size, first.local_name, first.is_empty_element) == (11, b"a", False)
    found.enter(first)
    second = found.next_start_tag()
    assert second is not None
    assert (found.position, second.is_empty_element) == (11, True)


def test_the_context_has_the_namespaces_of_the_open_elements() -> None:
    found = opened(b"<a xmlns='urn:a'><b xmlns:p='urn:p'></b><c/></a>")
    contexts = []
    while tag := found.next_start_tag():
        found.enter(tag)
        contexts.append(found.context)
    outer = "<_ xmlns='urn:a'>"
    assert contexts == [outer, "<_ xmlns='urn:a' xmlns:p='urn:p'>", outer]


def test_an_element_without_end_tag_is_closed_by_its_parent_or_missing_at_the_end() -> None:
    found = opened(b"<a><b><c></b>")
    assert tag_names(found) == [b"a", b"b", b"c"]
    fault = found.missing_end_tag()
    assert fault is not None
    assert fault.faults[0].error == "the document is cut off before </a>"


def test_after_a_broken_tag_the_scan_goes_on_at_the_next_record() -> None:
    found = opened(b"<a>< b<r>")
    tag = found.next_start_tag()
    assert tag is not None
    found.enter(tag)
    record = found.next_start_tag(record_tags(b"r"))
    assert record is not None
    assert record.name == b"r"
    assert [each.original for each in found.broken_tags] == [b"< b"]


def test_a_broken_tag_without_a_record_behind_it_ends_the_scan() -> None:
    with pytest.raises(ScanEnded) as ended:
        opened(b"< b").next_start_tag(record_tags(b"r"))
    assert ended.value.fault.original == b"< b"


def test_a_fault_names_the_record_and_is_cut_to_the_size_limit() -> None:
    found = XmlScanner(io.BytesIO(b"<a>" + b"x" * 5_000), 10)
    found.read_prolog()
    assert found.fault("error", "hint").where == ""
    found.begin_record()
    fault = found.fault("error", "hint")
    assert (fault.original, fault.where) == (b"<a>xxxxxxx", "record 1")
