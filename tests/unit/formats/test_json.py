"""One object, an array and lines; bodies keep the bytes as sent."""

from __future__ import annotations

import io
import tracemalloc

import msgspec
import pytest

from tillstream.config.settings import Settings
from tillstream.formats import json as formats_json
from tillstream.formats.base import BOM, Decoded, Decoder, Record, Unreadable
from tillstream.formats.json import JsonDecoder, NdjsonDecoder

json, ndjson = JsonDecoder(Settings()), NdjsonDecoder(Settings())


def many(decoder: Decoder, payload: bytes) -> list[Decoded]:
    return list(decoder.decode(io.BytesIO(payload)))


def test_one_object_is_kept_as_sent() -> None:
    assert json.one(b' {"a": 1.50 } \n') == Record(b' {"a": 1.50 } \n')
    assert json.one(BOM + b"{}") == Record(b"{}")
    assert (many(json, BOM + b"{}")) == [Record(b"{}")]


def test_an_array_is_split_into_its_elements() -> None:
    pieces = many(json, b' [{"a": 1.50 },\n {"b":"],[\\""}, 7, [ ] ] ')
    assert pieces == [Record(b'{"a": 1.50 }'), Record(b'{"b":"],[\\""}'), Record(b"7"), Record(b"[ ]")]
    assert (many(json, b"[]")) == []


@pytest.mark.parametrize("payload", [b"[1,]", b"[1 2]", b"[", b"[] []", b"[" * 10_000])
def test_a_broken_array_is_unreadable_as_a_whole(payload: bytes) -> None:
    (piece,) = many(json, payload)
    assert isinstance(piece, Unreadable)
    assert piece.original == payload
    assert piece.faults[0].path == "$"


def test_lines_are_split_and_blank_ones_ignored() -> None:
    pieces = many(ndjson, BOM + b'\n{"a":1}\r\n \t\n{"b":2}\n{broken\n')
    assert pieces == [Record(b'{"a":1}'), Record(b'{"b":2}'), Record(b"{broken")]


def test_a_single_receipt_must_be_the_only_line() -> None:
    assert ndjson.one(b"{}\n\n") == Record(b"{}")
    several = ndjson.one(b"{}\n{}")
    assert isinstance(several, Unreadable)
    assert several.faults[0].error == "expected one receipt, got several"
    assert isinstance(ndjson.one(b""), Unreadable)


@pytest.mark.parametrize(
    ("payload", "like"), [(b" \n[", True), (BOM + b"{", True), (b"<x/>", False), (b"", False), (b"store;1", False)]
)
def test_json_is_recognised_by_its_first_character(payload: bytes, like: bool) -> None:
    assert json.recognises(payload) is like


@pytest.mark.parametrize(
    ("payload", "like"),
    [
        (b'{"a":1}\n {"b"', True),
        (b'{"a":\n1}', False),
        (b'{"a":1}\n', False),
        (b"{\n{", False),
        (b'{"a":' + b"[" * 2_000 + b'\n{"b"', False),
    ],
)
def test_ndjson_is_recognised_by_its_second_object(payload: bytes, like: bool) -> None:
    assert ndjson.recognises(payload) is like


def test_a_line_over_the_limit_is_a_fault_and_the_next_one_follows() -> None:
    small = NdjsonDecoder(Settings(receipt_limit_bytes=10))
    before, long, after = many(small, b"{1234567}\n" + b"x" * 3_000_000 + b"\n{}")
    assert (before, after) == (Record(b"{1234567}"), Record(b"{}"))
    assert isinstance(long, Unreadable)
    assert (len(long.original), long.where) == (10, "line 2")
    assert long.faults[0].error == "the line has 3000001 bytes, more than 10"


@pytest.mark.parametrize("start", [b"[", b""])
def test_an_array_of_any_size_is_read_in_windows(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 16)
    monkeypatch.setattr(formats_json, "_WINDOW_BYTES", 7)
    pieces = [b'{"a": 1.50 }', b'{"b":"],[\\"\xc3\xa9"}', b'{"c":"\xff"}', b"{}", b"-12.25e+3"] * 3
    payload = BOM + start + b" , ".join(pieces) + (b"]" if start else b"")
    assert many(json, payload) == [Record(piece) for piece in pieces]


@pytest.mark.parametrize("end", [b"{nonsense", b"[" * 100_000, b'{"a":"' + b"x" * 5_000])
def test_a_large_broken_array_gives_the_elements_before_the_error(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 16)
    monkeypatch.setattr(formats_json, "_WINDOW_BYTES", 7)
    small = JsonDecoder(Settings(receipt_limit_bytes=1_000))
    *before, broken = many(small, b'[{"a":1},{"a":2},' + end)
    assert before == [Record(b'{"a":1}'), Record(b'{"a":2}')]
    assert isinstance(broken, Unreadable)
    assert len(broken.original) <= 1_000
    assert broken.where == "character 17"


@pytest.mark.parametrize(
    "array", [b"[]", b"[1,2,3]", b' [ 1 , "a,]" , [2,[3]] , {"x":"}"} ,null,\t"\xc3\xa9"\n] ', b"[-1.5e3,true]"]
)
def test_a_dense_array_is_split_like_any_other(array: bytes) -> None:
    roomy = array.rstrip().removesuffix(b"]") + (b"," if array.strip() != b"[]" else b"") + b'"%b"]' % (b"x" * 500)
    crowded = array.rstrip().removesuffix(b"]") + (b"," if array.strip() != b"[]" else b"") + b"7," * 200 + b"7]"
    results = [many(json, each) for each in (roomy, crowded)]
    count = len(results[0]) - 1
    assert results[0][:count] == results[1][:count]
    assert results[1][count:] == [Record(b"7")] * 201


def test_a_broken_dense_array_is_refused_whole() -> None:
    (refused,) = many(json, b"[1,2,3,4,5,6,")
    assert isinstance(refused, Unreadable)


def test_a_large_array_without_end_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 16)
    *before, end = many(json, b'[{"a":1}, {"a":22222}\n')
    assert before == [Record(b'{"a":1}'), Record(b'{"a":22222}')]
    assert isinstance(end, Unreadable)
    assert end.faults[0].error == "not a JSON array: the array is not closed"


@pytest.mark.parametrize("files", [b'[{"a":1}]\n[{"a":22222}]', b'[{"a":1}]{"a":22222}', b'{"a":1},[],[{"a":22222}] '])
def test_values_after_a_large_array_are_read_too(monkeypatch: pytest.MonkeyPatch, files: bytes) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 8)
    assert many(json, files) == [Record(b'{"a":1}'), Record(b'{"a":22222}')]


@pytest.mark.parametrize("files", [b'[{"a":1}]]{"a":22222}', b'{"a":1}]{"a":22222}', b'[{"a":1}] nothing more'])
def test_garbage_after_a_large_array_is_a_fault(monkeypatch: pytest.MonkeyPatch, files: bytes) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 8)
    first, end = many(json, files)
    assert first == Record(b'{"a":1}')
    assert isinstance(end, Unreadable)
    assert end.faults[0].error == "not a JSON array: Expecting value"


def test_a_number_of_thousands_of_digits_is_read_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 16)
    long = b'{"a":%b}' % (b"9" * 5_000)
    assert many(json, b"[%b,{}]" % long) == [Record(long), Record(b"{}")]


def test_a_value_over_the_limit_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", 1)
    monkeypatch.setattr(formats_json, "_WINDOW_BYTES", 1_000)
    array = b'[{"a":1},{"a":[' + b"{}," * 2_000_000 + b"{}]}]"
    decoder = JsonDecoder(msgspec.structs.replace(Settings(), receipt_limit_bytes=5_000))
    tracemalloc.start()
    first, last = decoder.decode(io.BytesIO(array))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(first, Record)
    assert isinstance(last, Unreadable)
    assert last.faults[0].error == "not a JSON array: a value takes more than 5000 bytes"
    assert peak < 2 * len(array)


@pytest.mark.parametrize("whole_bytes", [1, 1_000_000])
def test_too_deep_nesting_is_a_fault(monkeypatch: pytest.MonkeyPatch, whole_bytes: int) -> None:
    monkeypatch.setattr(formats_json, "WHOLE_BYTES", whole_bytes)
    (found,) = JsonDecoder(Settings()).decode(io.BytesIO(b"[" * 100_000 + b"]" * 100_000))
    assert isinstance(found, Unreadable)
    assert found.faults[0].error == "not a JSON array: it is nested too deeply"
