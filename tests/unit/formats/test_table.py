"""What a header says, and what is said of one that is none."""

from __future__ import annotations

import pytest

from tillstream.formats import table
from tillstream.formats.base import HEAD_BYTES, Unreadable
from tillstream.formats.table import NoTable
from tillstream.receipt.model import Fault

NAMES = "cashReceiptID,storeID,date,grossTotal"


def refused(line: bytes | Unreadable) -> Fault:
    with pytest.raises(NoTable) as caught:
        table.read(line)
    return caught.value.faults[0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_that_parts_known_names(delimiter: str) -> None:
    header = delimiter.join(["CashReceiptID ", '" storeid"', "DATE", "documentTotal.grossTotal", "a,b;c"][:4])
    found = table.read(header.encode() + b"\r\n")
    assert (found.delimiter, found.width) == (delimiter, 4)
    assert [field.path for field in found.repeated.fields] == [
        "cashReceiptID",
        "storeID",
        "date",
        "documentTotal.grossTotal",
    ]


def test_columns_belong_to_their_parts() -> None:
    found = table.read(f"{NAMES},note,lines.quantity,lines.colour,settlements.settlementAmount,,".encode())
    row = ["1", "2", "3", "4,50", "x", "1", "red", "5", "ignored", ""]
    assert found.header.endswith(b",,\n")
    assert found.receipt.members(row) == '"cashReceiptID":"1","storeID":"2","date":"3","note":"x",'
    assert found.total.members(row) == '"grossTotal":4.50,'
    assert found.lines.members(row) == '"quantity":1,"colour":"red",'
    assert found.settlements.members(row) == '"settlementAmount":5,'
    assert found.key.cells(row) == ("1", "2", "3")
    assert table.read(NAMES.encode()).lines.members(row) == ""


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"storeID;date;x", "the header has no column cashReceiptID, documentTotal.grossTotal"),
        (b"1047,12,2026-11-23,2.40", "the header has no column cashReceiptID, storeID, date, documentTotal.grossTotal"),
        (NAMES.encode() + b",STOREID", "the column storeID comes twice"),
        (NAMES.encode() + b",documentTotal.grossTotal", "the column documentTotal.grossTotal comes twice"),
        (NAMES.encode() + b",lines", "the column lines names a part of a receipt and no field of it"),
        (NAMES.encode() + b",\xe9", "byte 39 of the header is not UTF-8"),
        (NAMES.encode() + b"\r1,2,3,4\r", "its lines end with carriage returns alone"),
        (NAMES.encode() + b',"', "the header has no column cashReceiptID, storeID, date, documentTotal.grossTotal"),
        (NAMES.encode() + b"," * HEAD_BYTES, f"the header has {len(NAMES) + HEAD_BYTES} bytes, more than {HEAD_BYTES}"),
    ],
)
def test_what_is_no_header_is_told(line: bytes, error: str) -> None:
    fault = refused(line)
    assert fault.error == error
    assert fault.hint or "twice" in error


def test_a_line_that_could_not_be_read_keeps_its_faults() -> None:
    fault = Fault("$", "too long")
    assert refused(Unreadable([fault], b"")) == fault
