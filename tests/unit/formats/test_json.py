"""JSON in its three forms, each receipt as the very bytes that came."""

from __future__ import annotations

import pytest

from tillstream.formats.base import Record, Unreadable
from tillstream.formats.json import BOM, JsonDecoder, NdjsonDecoder, looks_like_json

json, ndjson = JsonDecoder(), NdjsonDecoder()


def test_one_object_stays_as_it_came() -> None:
    assert json.one(b' {"a": 1.50 } \n') == Record(b' {"a": 1.50 } \n')
    assert json.one(BOM + b"{}") == Record(b"{}")
    assert list(json.many(BOM + b"{}")) == [Record(b"{}")]


def test_an_array_is_cut_into_its_elements() -> None:
    pieces = list(json.many(b' [{"a": 1.50 },\n {"b":"],[\\""}, 7, [ ] ] '))
    assert pieces == [Record(b'{"a": 1.50 }'), Record(b'{"b":"],[\\""}'), Record(b"7"), Record(b"[ ]")]
    assert list(json.many(b"[]")) == []


@pytest.mark.parametrize("payload", [b"[1,]", b"[1 2]", b"[", b"[] []", b"[" * 10_000])
def test_a_broken_array_is_unreadable_as_a_whole(payload: bytes) -> None:
    (piece,) = json.many(payload)
    assert isinstance(piece, Unreadable)
    assert piece.original == payload
    assert piece.faults[0].path == "$"


def test_lines_are_cut_and_blank_ones_skipped() -> None:
    pieces = list(ndjson.many(BOM + b'\n{"a":1}\r\n \t\n{"b":2}\n{broken\n'))
    assert pieces == [Record(b'{"a":1}'), Record(b'{"b":2}'), Record(b"{broken")]


def test_one_line_is_one_receipt_and_several_are_not() -> None:
    assert ndjson.one(b"{}\n\n") == Record(b"{}")
    several = ndjson.one(b"{}\n{}")
    assert isinstance(several, Unreadable)
    assert several.faults[0].error == "expected one receipt, got 2"
    assert isinstance(ndjson.one(b""), Unreadable)


@pytest.mark.parametrize(
    ("payload", "like"), [(b" \n[", True), (BOM + b"{", True), (b"<x/>", False), (b"", False), (b"store;1", False)]
)
def test_json_is_recognised_by_its_first_character(payload: bytes, like: bool) -> None:
    assert looks_like_json(payload) is like


@pytest.mark.parametrize(
    "array", [b"[]", b"[1,2,3]", b' [ 1 , "a,]" , [2,[3]] , {"x":"}"} ,null,\t"\xc3\xa9"\n] ', b"[-1.5e3,true]"]
)
def test_a_crowded_array_is_cut_where_a_roomy_one_is(array: bytes) -> None:
    roomy = array.rstrip().removesuffix(b"]") + (b"," if array.strip() != b"[]" else b"") + b'"%b"]' % (b"x" * 500)
    crowded = array.rstrip().removesuffix(b"]") + (b"," if array.strip() != b"[]" else b"") + b"7," * 200 + b"7]"
    apart = [list(JsonDecoder().many(each)) for each in (roomy, crowded)]
    count = len(apart[0]) - 1
    assert apart[0][:count] == apart[1][:count]
    assert apart[1][count:] == [Record(b"7")] * 201


def test_a_crowded_array_that_is_broken_is_refused_whole() -> None:
    (refused,) = JsonDecoder().many(b"[1,2,3,4,5,6,")
    assert isinstance(refused, Unreadable)
