"""The header of a CSV file names the columns. Rows have quoted cells, and a bad row affects no other."""

from __future__ import annotations

import io
import random
from itertools import chain

import pytest

from tillstream.formats.base import HEAD_BYTES, DecodeError, Unreadable
from tillstream.formats.canonical import LINES, RECEIPT, SETTLEMENTS, TOTAL, find_field
from tillstream.formats.csv import table
from tillstream.formats.csv.table import REQUIRED, ROW_LINES, Row, RowReader, header_line, parse_header
from tillstream.formats.json import lines
from tillstream.receipt.model import Fault

NAMES = "cashReceiptID,storeID,date,grossTotal"


def refused(line: bytes) -> Fault:
    with pytest.raises(DecodeError) as caught:
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
    assert found.parts[RECEIPT].row_json(row) == '"cashReceiptID":"1","storeID":"2","date":"3","note":"x",'
    assert found.parts[TOTAL].row_json(row) == '"grossTotal":4.50,'
    assert found.parts[LINES].row_json(row) == '"quantity":1,"colour":"red",'
    assert found.parts[SETTLEMENTS].row_json(row) == '"settlementAmount":5,'
    assert found.key.select(row) == ["1", "2", "3"]
    assert parse_header(NAMES.encode()).parts[LINES].row_json(row) == ""


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


def test_required_fields_are_known() -> None:
    for path in REQUIRED:
        found = find_field(path)
        assert found is not None
        assert (found.known, found.path) == (True, path)


def read(payload: bytes, width: int = 3, delimiter: str = ",", limit_bytes: int = 1_000) -> list[Row]:
    return list(
        chain.from_iterable(RowReader(lines(io.BytesIO(payload), limit_bytes), limit_bytes, delimiter, width).rows())
    )


def cells(payload: bytes, width: int = 3, delimiter: str = ",") -> list[list[str]]:
    found = read(payload, width, delimiter)
    assert all(fault is None for _, _, _, fault in found)
    return [row for _, _, row, _ in found]


def error(row: Row) -> str:
    assert row[3] is not None
    return row[3].error


def test_the_header_is_the_first_line_that_is_not_blank() -> None:
    assert header_line(lines(io.BytesIO(b"\xef\xbb\xbfa,b\r\n1,2"), 100)) == (1, b"a,b\r\n")
    assert header_line(lines(io.BytesIO(b"\n \r\na\n"), 100)) == (3, b"a\n")
    assert header_line(lines(io.BytesIO(b"\xef\xbb\xbf\n\n"), 100)) is None
    found = header_line(lines(io.BytesIO(b"x" * 1_000), 100))
    assert found is not None
    assert isinstance(found[1], Unreadable)


@pytest.mark.parametrize(
    ("payload", "delimiter", "row"),
    [
        (b"1,2,3", ",", ["1", "2", "3"]),
        (b" 1 , 2 ,3 \r\n", ",", ["1", "2", "3"]),
        (b"1;2,5;\n", ";", ["1", "2,5", ""]),
        (b"\t 2\t\r\n", "\t", ["", "2", ""]),
        (b'"a, b","5"" tart",x\n', ",", ["a, b", '5" tart', "x"]),
        (b'5" tart,"",3\n', ",", ['5" tart', "", "3"]),
        (b'" a ", b ,"c "\r\n', ",", [" a ", "b", "c "]),
        (b'"a\r\nb", 2 ,"\n"', ",", ["a\r\nb", "2", "\n"]),
        (b'"\xc3\xa9\n";"";"\x00"\n', ";", ["é\n", "", "\x00"]),
    ],
)
def test_a_row_is_split_into_cells(payload: bytes, delimiter: str, row: list[str]) -> None:
    assert read(payload, 3, delimiter) == [(1, payload, row, None)]


def test_blank_lines_are_ignored_and_rows_keep_their_line_numbers() -> None:
    found = read(b'1,2,3\n\n  \r\n"4\n",5,6\n7,8,9')
    assert [(number, raw) for number, raw, _, _ in found] == [
        (1, b"1,2,3\n"),
        (4, b'"4\n",5,6\n'),
        (6, b"7,8,9"),
    ]


def test_a_row_of_another_width_is_bad_and_the_others_follow() -> None:
    first, few, many, last = read(b"1,2,3\n4,5\n6,7,8,9\n0,0,0\n")
    assert (first[3], last[3]) == (None, None)
    assert error(few) == "line 2 has 2 cells, but the header has 3 columns"
    assert error(many) == "line 3 has 4 cells, but the header has 3 columns"


def test_a_row_that_is_not_utf_8_has_a_fault_with_the_byte() -> None:
    found = read(b"1,2,3\n4,\xe9t\xe9,6\n7,8,9\n")
    assert error(found[1]) == "byte 3 of line 2 is not UTF-8"
    assert [row[2][0] for row in found] == ["1", "4", "7"]
    assert error(read(b'"a\n\xff",2,3\n')[0]) == "byte 1 of line 2 is not UTF-8"


@pytest.mark.parametrize("opened", [b'1,"2,3\n', b'"\n', b'1,2,"3\n'])
def test_an_unclosed_quote_takes_no_other_rows(opened: bytes) -> None:
    wrong, *others = read(opened + b"4,5,6\n7,8,9\n" * 30)
    assert error(wrong) == "line 1: a quote is not closed"
    assert wrong[1] == opened
    assert [row[:3] for row in others[:2]] == [(2, b"4,5,6\n", ["4", "5", "6"]), (3, b"7,8,9\n", ["7", "8", "9"])]
    assert len(others) == 60
    assert all(fault is None for _, _, _, fault in others)


def test_a_stray_quote_before_a_later_quote_takes_no_other_rows() -> None:
    wrong, *others = read(b'1,"2,3\n4,5,6\n7,"8, x",9\n"0",0,0\n')
    assert "line 1" in error(wrong)
    assert [row[2] for row in others] == [["4", "5", "6"], ["7", "8, x", "9"], ["0", "0", "0"]]
    wrong, *others = read(b'1,"2,3\n4,5,6\n7,8",9\n')
    assert wrong[3] is None
    assert wrong[2] == ["1", "2,3\n4,5,6\n7,8", "9"]
    assert not others


def test_a_row_is_limited_in_bytes_and_lines() -> None:
    wrong, *others = read(b'"' + b"x\n" * 2_000 + b'",2,3\n', limit_bytes=10_000)
    assert error(wrong) == "line 1: a quote is not closed"
    assert len(others) == 2_000
    longest = b'"' + b"x\n" * (ROW_LINES - 1) + b'",2,3\n'
    assert read(longest, limit_bytes=10_000)[0][3] is None
    assert read(longest, limit_bytes=1_000)[0][3] is not None


def test_a_line_over_the_limit_is_bad_and_the_next_one_follows() -> None:
    long = b"1," + b"x" * 5_000 + b",3\n"
    for before in (b"", b"1,2,3\n", b'"1,2,3\n'):
        *_, wrong, last = read(before + long + b"7,8,9\n")
        assert "more than 1000" in error(wrong)
        assert len(wrong[1]) == 1_000
        assert last[2] == ["7", "8", "9"]


def test_blocks_and_single_lines_give_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = random.Random(1)
    pieces = [b"1,2,3\n", b"4, 5 ,6\r\n", b'"7","8 ",9\n', b"\n", b"1,2\n", b'"a\nb",2,3\n', b'1,"2,3\n', b"\xff,2,3\n"]
    for _ in range(60):
        payload = b"".join(choice.choice(pieces[: choice.randint(1, len(pieces))]) for _ in range(12))
        monkeypatch.setattr(table, "_BLOCK_BYTES", 32_768)
        together = read(payload)
        monkeypatch.setattr(table, "_BLOCK_BYTES", 0)
        assert read(payload) == together, payload


def test_quotes_do_not_change_a_cell() -> None:
    assert cells(b"1,a b,3\n4, x,6\n") == cells(b'"1","a b","3"\n"4", "x","6"\n')
