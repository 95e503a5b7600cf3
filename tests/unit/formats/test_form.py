"""A form becomes one receipt; its faults name the fields."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pytest

from tillstream.config.settings import Settings
from tillstream.formats import form as formats_form
from tillstream.formats.base import Record, Unreadable
from tillstream.formats.form import FIELD_LIMIT, FormDecoder

form = FormDecoder(Settings())


def read(payload: bytes) -> Any:
    found = form.one(payload)
    assert isinstance(found, Record), found
    assert found.original == payload
    return json.loads(found.body, parse_float=Decimal)


def faults(payload: bytes) -> list[tuple[str, str]]:
    found = form.one(payload)
    assert isinstance(found, Unreadable), found
    assert found.original == payload
    return [(fault.path, fault.error) for fault in found.faults]


def test_names_are_paths_of_fields() -> None:
    assert read(
        b"cashReceiptID=1047&StoreID=12&documentTotal.grossTotal=2%2C40&netTotal=2.28&note=a+b%26c"
        b"&lines%5B0%5D.productCode=0102&lines[0].quantity=2&settlements[0].settlementAmount=1&lines[0].colour=red"
    ) == {
        "cashReceiptID": "1047",
        "storeID": "12",
        "note": "a b&c",
        "documentTotal": {"grossTotal": Decimal("2.40"), "netTotal": Decimal("2.28")},
        "lines": [{"productCode": "0102", "quantity": 2, "colour": "red"}],
        "settlements": [{"settlementAmount": 1}],
    }


def test_empty_fields_are_ignored_and_indexes_may_have_gaps() -> None:
    assert read(
        b"&storeID=+12++&terminalID=&date=+&lines[7].quantity=1,5&lines[12].quantity=&lines[3].quantity=3&&"
    ) == {
        "storeID": "12",
        "lines": [{"quantity": 3}, {"quantity": Decimal("1.5")}],
    }
    assert read(b"storeID=") == {}


def test_an_invalid_amount_stays_text() -> None:
    assert read(b"grossTotal=1.234,50")["documentTotal"]["grossTotal"] == "1.234,50"


@pytest.mark.parametrize(
    ("payload", "path", "error"),
    [
        (b"lines[x].quantity=1", "$", "lines[x].quantity: it is not the path of a field"),
        (b"lines[0]=1", "$", "lines[0]: it is not the path of a field"),
        (b"lines.quantity=1", "$", "lines.quantity: it is not the path of a field"),
        (b"lines=1", "$", "lines: it is not the path of a field"),
        (b"lines[123456].quantity=1", "$", "lines[123456].quantity: it is not the path of a field"),
        (b"storeID[0]=1", "$", "storeID[0]: it is not the path of a field"),
        (b"a%5=1", "$", "a%5: a % is not followed by two hexadecimal digits"),
        (b"a%FF=1", "$", "a%FF: its bytes are not UTF-8"),
        (b"=1", "$", "1: it has no name"),
        (b"date=%1", "$.date", "%1: a % is not followed by two hexadecimal digits"),
        (b"date=%E9", "$.date", "%E9: its bytes are not UTF-8"),
        (b"lines[0].quantity=1&LINES%5B00%5D.Quantity=1", "$.lines[0].quantity", "it occurs twice"),
        (b"grossTotal=1&documentTotal.grossTotal=1", "$.documentTotal.grossTotal", "it occurs twice"),
        (b"a=\xff", "$", "byte 3 is not UTF-8"),
        (b" \n", "$", "there is no receipt in it"),
    ],
)
def test_a_fault_names_its_field(payload: bytes, path: str, error: str) -> None:
    assert faults(payload) == [(path, error)]


def test_all_faults_are_reported_up_to_a_limit() -> None:
    assert len(faults(b"a=%&b=%&storeID=1&storeID=2")) == 3
    assert len(faults(b"&".join(b"a%d=%%" % number for number in range(5_000)))) == 100
    assert faults(b"&" * FIELD_LIMIT) == [("$", f"the form has more than {FIELD_LIMIT} fields")]


def test_a_source_is_one_receipt_up_to_the_size_limit() -> None:
    small = FormDecoder(Settings(receipt_limit_bytes=20))
    assert list(small.decode(io.BytesIO(b"storeID=1"))) == [Record(b'{"storeID":"1"}', b"storeID=1")]
    assert list(small.decode(io.BytesIO(b" \r\n"))) == []
    (found,) = small.decode(io.BytesIO(b"storeID=" + b"1" * 100))
    assert isinstance(found, Unreadable)
    assert found.original == b"storeID=" + b"1" * 12


def test_the_caches_are_bounded() -> None:
    decoder = FormDecoder(Settings())
    layouts = decoder._cached_layout.cache_info
    for number in range(2_000):
        decoder.one(b"field%d=%d" % (number, number))
    assert layouts().currsize == formats_form._CACHED_LAYOUTS
    asked = layouts().hits + layouts().misses
    decoder.one(b"&".join(b"field%d=1" % number for number in range(formats_form._CACHED_LAYOUT_FIELDS + 1)))
    decoder.one(b"x" * formats_form._CACHED_LAYOUT_BYTES + b"=1")
    assert layouts().hits + layouts().misses == asked


def test_forms_with_the_same_names_are_independent() -> None:
    valid, repeated = b"storeID=1&storeId=&cashReceiptID=%d&", b"storeID=1&storeId=2&cashReceiptID=%d&"
    for number in (1, 2):
        assert read(valid % number) == {"storeID": "1", "cashReceiptID": str(number)}
        assert faults(repeated % number) == [("$.storeID", "it occurs twice")]


@pytest.mark.parametrize(
    ("head", "like"),
    [
        (b"cashReceiptID=1", True),
        (b"storeID=1&a%5B=&cashReceiptID=1", True),
        (b"cashReceiptID,storeID", False),
        (b'{"cashReceiptID=": 1}', False),
        (b"<a cashReceiptID=1>", False),
        (b"a=1&" * 1_000, False),
        (b"", False),
    ],
)
def test_a_form_is_recognised_by_its_receipt_number(head: bytes, like: bool) -> None:
    assert form.recognises(head) is like


def test_a_fault_does_not_show_personal_data() -> None:
    assert faults(b"storeID=A%2&customerID=Ann%2") == [
        ("$.storeID", "A%2: a % is not followed by two hexadecimal digits"),
        ("$.customerID", "its value: a % is not followed by two hexadecimal digits"),
    ]
