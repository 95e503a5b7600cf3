"""Rows are cut where they end, whatever stands in quotes, and a wrong one hides no other."""

from __future__ import annotations

import io
import random
from itertools import chain

import pytest

from tillstream.formats import rows as formats_rows
from tillstream.formats.base import Unreadable
from tillstream.formats.rows import ROW_LINES, Row, Rows


def below(payload: bytes, width: int = 3, delimiter: str = ",", limit_bytes: int = 1_000) -> list[Row]:
    return list(chain.from_iterable(Rows(io.BytesIO(payload), limit_bytes).below(delimiter, width)))


def cells(payload: bytes, width: int = 3, delimiter: str = ",") -> list[list[str]]:
    found = below(payload, width, delimiter)
    assert all(fault is None for _, _, _, fault in found)
    return [row for _, _, row, _ in found]


def told(row: Row) -> str:
    assert row[3] is not None
    return row[3].error


def test_the_header_is_the_first_line_that_is_not_blank() -> None:
    assert Rows(io.BytesIO(b"\xef\xbb\xbfa,b\r\n1,2"), 100).header() == (1, b"a,b\r\n")
    assert Rows(io.BytesIO(b"\n \r\na\n"), 100).header() == (3, b"a\n")
    assert Rows(io.BytesIO(b"\xef\xbb\xbf\n\n"), 100).header() is None
    found = Rows(io.BytesIO(b"x" * 1_000), 100).header()
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
def test_a_row_is_its_cells(payload: bytes, delimiter: str, row: list[str]) -> None:
    assert below(payload, 3, delimiter) == [(1, payload, row, None)]


def test_blank_lines_mean_nothing_and_every_row_has_its_line() -> None:
    found = below(b'1,2,3\n\n  \r\n"4\n",5,6\n7,8,9')
    assert [(number, raw) for number, raw, _, _ in found] == [
        (1, b"1,2,3\n"),
        (4, b'"4\n",5,6\n'),
        (6, b"7,8,9"),
    ]


def test_a_row_of_another_width_is_told_and_the_others_follow() -> None:
    first, few, many, last = below(b"1,2,3\n4,5\n6,7,8,9\n0,0,0\n")
    assert (first[3], last[3]) == (None, None)
    assert told(few) == "line 2 has 2 cells, and the header names 3 columns"
    assert told(many) == "line 3 has 4 cells, and the header names 3 columns"


def test_a_row_that_is_not_utf_8_is_told_with_its_byte() -> None:
    found = below(b"1,2,3\n4,\xe9t\xe9,6\n7,8,9\n")
    assert told(found[1]) == "byte 3 of line 2 is not UTF-8"
    assert [row[2][0] for row in found] == ["1", "4", "7"]
    assert told(below(b'"a\n\xff",2,3\n')[0]) == "byte 1 of line 2 is not UTF-8"


@pytest.mark.parametrize("opened", [b'1,"2,3\n', b'"\n', b'1,2,"3\n'])
def test_a_quote_that_is_never_closed_swallows_nothing(opened: bytes) -> None:
    wrong, *others = below(opened + b"4,5,6\n7,8,9\n" * 30)
    assert told(wrong) == "line 1: a quote is not closed"
    assert wrong[1] == opened
    assert [row[:3] for row in others[:2]] == [(2, b"4,5,6\n", ["4", "5", "6"]), (3, b"7,8,9\n", ["7", "8", "9"])]
    assert len(others) == 60
    assert all(fault is None for _, _, _, fault in others)


def test_a_stray_quote_that_a_later_one_seems_to_close_swallows_nothing() -> None:
    wrong, *others = below(b'1,"2,3\n4,5,6\n7,"8, x",9\n"0",0,0\n')
    assert "line 1" in told(wrong)
    assert [row[2] for row in others] == [["4", "5", "6"], ["7", "8, x", "9"], ["0", "0", "0"]]
    wrong, *others = below(b'1,"2,3\n4,5,6\n7,8",9\n')
    assert wrong[3] is None
    assert wrong[2] == ["1", "2,3\n4,5,6\n7,8", "9"]
    assert not others


def test_a_row_takes_so_many_bytes_and_lines_and_no_more() -> None:
    wrong, *others = below(b'"' + b"x\n" * 2_000 + b'",2,3\n', limit_bytes=10_000)
    assert told(wrong) == "line 1: a quote is not closed"
    assert len(others) == 2_000
    whole = b'"' + b"x\n" * (ROW_LINES - 1) + b'",2,3\n'
    assert below(whole, limit_bytes=10_000)[0][3] is None
    assert below(whole, limit_bytes=1_000)[0][3] is not None


def test_a_line_over_the_limit_is_told_and_the_next_one_follows() -> None:
    long = b"1," + b"x" * 5_000 + b",3\n"
    for before in (b"", b"1,2,3\n", b'"1,2,3\n'):
        *_, wrong, last = below(before + long + b"7,8,9\n")
        assert "more than 1000" in told(wrong)
        assert len(wrong[1]) == 1_000
        assert last[2] == ["7", "8", "9"]


def test_lines_looked_at_together_are_what_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = random.Random(1)
    pieces = [b"1,2,3\n", b"4, 5 ,6\r\n", b'"7","8 ",9\n', b"\n", b"1,2\n", b'"a\nb",2,3\n', b'1,"2,3\n', b"\xff,2,3\n"]
    for _ in range(60):
        payload = b"".join(choice.choice(pieces[: choice.randint(1, len(pieces))]) for _ in range(12))
        monkeypatch.setattr(formats_rows, "_BLOCK_BYTES", 32_768)
        together = below(payload)
        monkeypatch.setattr(formats_rows, "_BLOCK_BYTES", 0)
        assert below(payload) == together, payload


def test_cells_without_quotes_and_with_them_are_the_same() -> None:
    assert cells(b"1,a b,3\n4, x,6\n") == cells(b'"1","a b","3"\n"4", "x","6"\n')
