"""The header of a CSV file, and the faults of a bad one."""

from __future__ import annotations

import pytest

from tillstream.formats.base import HEAD_BYTES
from tillstream.formats.csv.header import BadHeader, parse_header
from tillstream.receipt.model import Fault

NAMES = "cashReceiptID,storeID,date,grossTotal"


def refused(line: bytes) -> Fault:
    with pytest.raises(BadHeader) as caught:
        parse_header(line)
    return caught.value.faults[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_gives_known_names(delimiter: str) -> None:
    header = delimiter.join(["CashReceiptID ", '" storeid"', "DATE", "documentTotal.grossTotal", "a,b;c"][:4])
    found = parse_header(header.encode() + b"\r\n")
    assert (found.delimiter, found.width) == (delimiter, 4)
    assert [field.path for field in found.repeated.fields] == [
        "cashReceiptID",
        "storeID",
        "date",
        "documentTotal.grossTotal",
    ]


def test_columns_are_grouped_by_the_parts_of_a_receipt() -> None:
    found = parse_header(f"{NAMES},note,lines.quantity,lines.colour,settlements.settlementAmount,,".encode())
    row = ["1", "2", "3", "4,50", "x", "1", "red", "5", "ignored", ""]
    assert found.line.endswith(b",,\n")
    assert found.receipt.row_json(row) == '"cashReceiptID":"1","storeID":"2","date":"3","note":"x",'
    assert found.total.row_json(row) == '"grossTotal":4.50,'
    assert found.lines.row_json(row) == '"quantity":1,"colour":"red",'
    assert found.settlements.row_json(row) == '"settlementAmount":5,'
    assert found.key.select(row) == ("1", "2", "3")
    assert parse_header(NAMES.encode()).lines.row_json(row) == ""


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"storeID;date;x", "the header has no column cashReceiptID, documentTotal.grossTotal"),
        (b"1047,12,2026-11-23,2.40", "the header has no column cashReceiptID, storeID, date, documentTotal.grossTotal"),
        (NAMES.encode() + b",STOREID", "the column storeID occurs twice"),
        (NAMES.encode() + b",documentTotal.grossTotal", "the column documentTotal.grossTotal occurs twice"),
        (NAMES.encode() + b",lines", "the column lines names a part of a receipt, not a field"),
        (NAMES.encode() + b",\xe9", "byte 39 of the header is not UTF-8"),
        (NAMES.encode() + b"\r1,2,3,4\r", "its lines end with carriage returns only"),
        (NAMES.encode() + b',"', "the header has no column cashReceiptID, storeID, date, documentTotal.grossTotal"),
        (NAMES.encode() + b"," * HEAD_BYTES, f"the header has {len(NAMES) + HEAD_BYTES} bytes, more than {HEAD_BYTES}"),
    ],
)
def test_a_bad_header_has_a_fault(line: bytes, error: str) -> None:
    fault = refused(line)
    assert fault.error == error
    assert fault.hint or "twice" in error
