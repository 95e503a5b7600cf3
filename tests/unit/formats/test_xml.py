"""XML with the names of the canonical receipt becomes one, in both ways of writing lists."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Record, Skip, Unreadable
from tillstream.formats.poslog.decoder import PoslogDecoder
from tillstream.formats.xml import XmlDecoder
from tillstream.receipt.validation import ReceiptError, Validator

xml = XmlDecoder(Settings())

SMALL = (
    b"<cashReceiptID>1</cashReceiptID><storeID>12</storeID><date>2026-11-23 10:15:00</date>"
    b"<documentTotal><grossTotal>2.40</grossTotal></documentTotal>"
)


def many(document: bytes) -> list[Decoded]:
    return list(xml.decode(io.BytesIO(document)))


def receipt(inside: str, around: str = "{}") -> Any:
    (decoded,) = many(around.format(f"<receipt>{inside}</receipt>").encode())
    assert isinstance(decoded, Record), decoded
    return json.loads(decoded.body)


def test_the_example_becomes_the_receipt_of_the_json_example() -> None:
    (decoded,) = many(xml.example.encode())
    assert isinstance(decoded, Record)
    assert json.loads(decoded.body) == {
        "cashReceiptID": "1047",
        "storeID": "12",
        "terminalID": "2",
        "date": "2026-11-23 10:15:00",
        "lines": [
            {
                "lineNumber": "1",
                "productCode": "0102",
                "productDescription": "Baguette",
                "productCategoryName": "Pain",
                "quantity": 2,
                "unitPrice": 1.14,
                "creditAmount": 2.28,
                "taxPercentage": 5.5,
                "settlementAmount": 2.40,
            }
        ],
        "documentTotal": {"grossTotal": 2.40, "netTotal": 2.28, "taxPayable": 0.12},
        "settlements": [{"paymentMechanism": "CB", "settlementAmount": 2.40}],
    }
    assert decoded.original.startswith(b"<receipt>\n")
    assert decoded.original.endswith(b"</receipt>")


@pytest.mark.parametrize(
    "lines",
    [
        "<lines><line><quantity>1</quantity></line><line><productCode>7</productCode></line></lines>",
        "<lines><item><quantity>1</quantity></item><item><productCode>7</productCode></item></lines>",
        "<lines><quantity>1</quantity></lines><lines><productCode>7</productCode></lines>",
        "<line><quantity>1</quantity></line><a>b</a><line><productCode>7</productCode></line>",
    ],
)
def test_lists_have_a_parent_element_or_repeat(lines: str) -> None:
    assert receipt(lines)["lines"] == [{"quantity": 1}, {"productCode": "7"}]


def test_an_item_may_have_only_unknown_fields_and_a_list_may_be_empty() -> None:
    assert receipt("<lines><line><mine>1</mine></line></lines>")["lines"] == [{"mine": "1"}]
    assert receipt("<lines><line/></lines>")["lines"] == [{}]
    assert receipt("<lines> </lines><settlements/>") == {"lines": [], "settlements": []}


def test_amounts_become_exact_numbers_and_texts_stay_text() -> None:
    document = (
        "<documentTotal><grossTotal> 2.40\n</grossTotal></documentTotal><storeID>007</storeID><note> 1.50 </note>"
    )
    (decoded,) = many(f"<receipt>{document}</receipt>".encode())
    assert isinstance(decoded, Record)
    assert decoded.body == b'{"documentTotal":{"grossTotal":2.40},"storeID":"007","note":" 1.50 "}'


def test_empty_and_nil_amounts_are_left_out() -> None:
    nil = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'
    line = f"<quantity/><unitPrice> </unitPrice><creditAmount {nil}></creditAmount><productCode/>"
    assert receipt(f"<lines><line>{line}</line></lines><agentID {nil}/>") == {"lines": [{"productCode": ""}]}


def test_unknown_elements_are_kept_with_their_children() -> None:
    inside = "<a><b>1</b><b>2</b><c><d>é &amp; <![CDATA[<x>]]></d></c></a><e>1</e><e>2</e><!-- no --><e>3</e>"
    assert receipt(inside) == {"a": {"b": ["1", "2"], "c": {"d": "é & <x>"}}, "e": ["1", "2", "3"]}


def test_namespaces_and_attributes_are_ignored() -> None:
    inside = "<x:storeID id='1'>7</x:storeID><lines xmlns=''><line><quantity>2</quantity></line></lines>"
    around = "<receipts xmlns='urn:a' xmlns:x='urn:b'>{}</receipts>"
    assert receipt(inside, around) == {"storeID": "7", "lines": [{"quantity": 2}]}


@pytest.mark.parametrize(
    ("inside", "path"),
    [
        ("<documentTotal>2.40</documentTotal>", "$.documentTotal"),
        ("<documentTotal><grossTotal>2,40</grossTotal></documentTotal>", "$.documentTotal.grossTotal"),
        ("<documentTotal><grossTotal><a/></grossTotal></documentTotal>", "$.documentTotal.grossTotal"),
        (
            "<documentTotal><grossTotal>1</grossTotal><grossTotal>2</grossTotal></documentTotal>",
            "$.documentTotal.grossTotal",
        ),
        ("<storeID>1</storeID><storeID>2</storeID>", "$.storeID"),
        ("<lines>none</lines>", "$.lines[0]"),
        ("<lines><line><quantity>1e400</quantity></line></lines>", "$.lines[0].quantity"),
    ],
)
def test_validation_reports_wrong_values_with_their_paths(inside: str, path: str) -> None:
    (decoded,) = many(f"<receipt>{inside}</receipt>".encode())
    assert isinstance(decoded, Record)
    with pytest.raises(ReceiptError) as caught:
        Validator(Settings()).check(decoded.body, 1_795_435_200_000_000, "xml/http")
    assert path in [fault.path for fault in caught.value.faults]


def test_a_broken_receipt_is_a_fault_and_the_others_are_read() -> None:
    broken = b"<receipt>" + SMALL + b"<a></receipt>"
    first, second, third = many(b"<receipts><receipt/>" + broken + b"<receipt>" + SMALL + b"</receipt></receipts>")
    assert first == Record(b"{}", b"<receipt/>")
    assert isinstance(second, Unreadable)
    assert (second.where, second.original) == ("record 2", broken)
    assert isinstance(third, Record)


def test_too_deep_nesting_is_a_fault() -> None:
    (decoded,) = many(b"<receipt>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</receipt>")
    assert isinstance(decoded, Unreadable)
    assert decoded.faults[0].error == "it is nested too deeply"


@pytest.mark.parametrize("root", [b"<html><body/></html>", b"<order xmlns='urn:x'/>"])
def test_another_root_is_one_fault(root: bytes) -> None:
    (decoded,) = many(root)
    assert isinstance(decoded, Unreadable)
    assert decoded.faults[0].error.startswith("expected <receipts>, <receipt> or a POSLog, got <")


def test_a_poslog_is_decoded_as_a_poslog() -> None:
    (decoded,) = many(b"<?xml version='1.0'?>" + PoslogDecoder.example.encode())
    assert isinstance(decoded, Record)
    assert decoded.day == "2026-11-23"
    assert many(b"<POSLog><Transaction><ControlTransaction/></Transaction></POSLog>") == [Skip("ControlTransaction")]


def test_a_single_receipt_must_be_the_only_one() -> None:
    assert isinstance(xml.one(xml.example.encode()), Record)
    assert isinstance(xml.one(b"<receipts><receipt/><receipt/></receipts>"), Unreadable)
    assert isinstance(xml.one(b"<receipts/>"), Unreadable)


@pytest.mark.parametrize(
    ("head", "like"),
    [
        (b" \n<receipt>", True),
        (b"\xef\xbb\xbf<x:receipts xmlns:x='urn:x'>", True),
        (b"<?xml version='1.0'?><anything/>", True),
        ("<?xml version='1.0'?><receipt/>".encode("utf-16"), True),
        (b"<html>", False),
        (b"{}", False),
        (b"receipt;<receipt>", False),
    ],
)
def test_xml_is_recognised_by_its_declaration_or_its_root(head: bytes, like: bool) -> None:
    assert xml.recognises(head) is like
