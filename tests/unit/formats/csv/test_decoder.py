"""Rows become receipts with their originals. A bad row breaks its own receipt and no other."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.support.encoders import to_csv
from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Record, Unreadable
from tillstream.formats.csv.decoder import ROWS_LIMIT, CsvDecoder

csv = CsvDecoder(Settings())

HEADER = "storeID,terminalID,cashReceiptID,date,grossTotal,lines.quantity,settlements.settlementAmount\n"
DATE = "2026-11-23 10:15:00"


def row(number: object, quantity: object = "", settled: object = "", gross: object = "2.40", store: object = 12) -> str:
    return f"{store},2,{number},{DATE},{gross},{quantity},{settled}\n"


def decoded(*lines: str | bytes, decoder: CsvDecoder = csv) -> list[Decoded]:
    payload = b"".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return list(decoder.decode(io.BytesIO(payload)))


def read(found: Decoded) -> Any:
    assert isinstance(found, Record), found
    return json.loads(found.body, parse_float=Decimal)


def wrong(found: Decoded) -> Unreadable:
    assert isinstance(found, Unreadable), found
    return found


def test_rows_with_one_key_are_one_receipt_with_its_original() -> None:
    first, second = decoded(HEADER, row(1, 1, "2.00"), row(1, 2), row(1, "", "0.40"), row(2))
    assert read(first) == {
        "storeID": "12",
        "terminalID": "2",
        "cashReceiptID": "1",
        "date": DATE,
        "documentTotal": {"grossTotal": Decimal("2.40")},
        "lines": [{"quantity": 1}, {"quantity": 2}],
        "settlements": [{"settlementAmount": Decimal("2.00")}, {"settlementAmount": Decimal("0.40")}],
    }
    assert isinstance(first, Record)
    assert first.original.decode() == HEADER + row(1, 1, "2.00") + row(1, 2) + row(1, "", "0.40")
    assert "lines" not in read(second)
    assert csv.one(first.original) == first


@pytest.mark.parametrize("change", [{"store": 13}, {"number": 2}])
def test_another_key_is_another_receipt(change: dict[str, Any]) -> None:
    assert len(decoded(HEADER, row(1, 1), row(**{"number": 1, "quantity": 2} | change), row(1, 3))) == 3


def test_a_header_alone_has_no_receipt() -> None:
    assert decoded(HEADER) == decoded("") == decoded("\n\r\n") == []
    assert wrong(csv.one(HEADER.encode())).faults[0].error == "there is no receipt in it"
    assert wrong(csv.one((HEADER + row(1) + row(2)).encode())).faults[0].error == "expected one receipt, got several"


def test_a_header_without_required_columns_is_one_fault_with_the_whole_file() -> None:
    (found,) = decoded("\nstoreID,date\n", row(1), row(2))
    assert wrong(found).where == "line 2"
    assert "cashReceiptID, documentTotal.grossTotal" in wrong(found).faults[0].error
    assert wrong(found).original.decode() == "storeID,date\n" + row(1) + row(2)


@pytest.mark.parametrize(
    "bad", [f"12,2,2,{DATE},2.40,1\n", f"12,2,2,{DATE},2.40,\xff,\n".encode("latin-1"), f'12,2,2,{DATE},"2.40,1,\n']
)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_bad_row_breaks_its_own_receipt_at_any_position(bad: str | bytes, place: int) -> None:
    own = [row(2, 1), row(2, 2), row(2, 3)]
    found = decoded(HEADER, row(1), *own[:place], bad, *own[place:], row(3, 1))
    first, spoilt, last = found
    assert (read(first)["cashReceiptID"], read(last)["cashReceiptID"]) == ("1", "3")
    assert wrong(spoilt).where == f"line {3 + place}"
    assert wrong(spoilt).original.count(b"\n") == 5


def test_a_bad_row_between_two_rows_of_a_receipt_belongs_to_it() -> None:
    (found,) = decoded(HEADER, row(1, 1), "Dupont, Jean,12,2,1,x,y,z\n", row(1, 2))
    assert wrong(found).where == "line 3"
    first, other, last = decoded(HEADER, row(1, 1), "Dupont, Jean,12,2,1,x,y,z\n", row(2, 2))
    assert (read(first)["cashReceiptID"], read(last)["cashReceiptID"]) == ("1", "2")
    assert wrong(other).original.decode() == HEADER + "Dupont, Jean,12,2,1,x,y,z\n"


def test_a_row_of_no_receipt_is_a_fault_of_its_own() -> None:
    first, footer = decoded(HEADER, row(1, 1), ",,,,99.00,,\n", ",,,,,,\n", "\n")
    assert read(first)["lines"] == [{"quantity": 1}]
    assert wrong(footer).faults[0].error == "line 3 does not name a receipt"
    assert len(decoded(HEADER, row(1, 1), "2 rows\n")) == 2
    (refused,) = decoded(HEADER, row(1, 1), ",,,,,2,\n")
    assert wrong(refused).where == "line 3"


def test_many_unassigned_rows_are_faults_in_order() -> None:
    found = decoded(HEADER, row(1, 1), *("garbage\n" for _ in range(500)), row(2, 2))
    assert len(found) == 502
    assert sum(isinstance(each, Record) for each in found) == 2


def test_contradicting_rows_are_refused() -> None:
    (found,) = decoded(HEADER, row(1, 1), row(1, 2, gross="2.50"))
    assert wrong(found).faults[0].path == "$.documentTotal.grossTotal"
    assert wrong(found).faults[0].error == 'line 3 has "2.50", but an earlier line has "2.40"'
    with_customer = HEADER.replace("\n", ",customerID\n")
    (found,) = decoded(with_customer, *(row(1).replace("\n", f",{person}\n") for person in ("Ann", "Bob")))
    assert wrong(found).faults[0].error == "line 3 differs from an earlier line"
    (found,) = decoded(
        HEADER.replace("\n", ",currency\n"), *(row(1).replace("\n", f",{each}\n") for each in ("E" * 500, "F"))
    )
    assert len(wrong(found).faults[0].error) < 200
    (even,) = decoded(HEADER, row(1, 1, gross=""), row(1, 2, gross="2.4"), row(1, 3, gross="2.40"))
    assert read(even)["documentTotal"] == {"grossTotal": Decimal("2.4")}
    (noted,) = decoded(HEADER.replace("\n", ",note\n"), *(row(1).replace("\n", f",{note}\n") for note in "ab"))
    assert read(noted)["note"] == "a"


def test_unknown_columns_stay_as_text_in_their_parts() -> None:
    (found,) = decoded(
        HEADER.replace("\n", ",colour,lines.colour,settlements.colour,documentTotal.colour,\n"),
        row(1, 1, 2).replace("\n", ",7,8,9,10,\n"),
    )
    receipt = read(found)
    assert receipt["colour"] == "7"
    assert receipt["lines"][0]["colour"] == "8"
    assert receipt["settlements"][0]["colour"] == "9"
    assert receipt["documentTotal"]["colour"] == "10"


def test_an_invalid_amount_stays_text_for_validation() -> None:
    (found,) = decoded(HEADER, row(1, '"1,500"', "abc", '"2,40"'))
    receipt = read(found)
    assert receipt["documentTotal"]["grossTotal"] == Decimal("2.40")
    assert receipt["lines"][0]["quantity"] == "1,500"
    assert receipt["settlements"][0]["settlementAmount"] == "abc"


def test_a_receipt_over_the_limit_is_refused_and_the_next_one_follows() -> None:
    small = CsvDecoder(Settings(receipt_limit_bytes=1_000))
    large, after = decoded(HEADER, *(row(1, number) for number in range(100)), row(2, 2), decoder=small)
    assert wrong(large).faults[0].error == "up to line 30 the receipt has more than 1000 bytes or 20000 rows"
    assert len(wrong(large).original) == 1_000
    assert read(after)["cashReceiptID"] == "2"
    # Long names make a large body of small rows.
    wide = HEADER.replace("\n", f",lines.{'x' * 300}\n")
    (large,) = decoded(wide, *(row(1).replace("\n", ",1\n") for _ in range(25)), decoder=small)
    assert "more than 1000 bytes" in wrong(large).faults[0].error
    tiny = "cashReceiptID,storeID,date,grossTotal\n" + "1,1,1,1\n" * (ROWS_LIMIT + 10) + "2,1,1,1\n"
    large, after = decoded(tiny)
    assert wrong(large).where == f"line {ROWS_LIMIT + 2}"
    assert read(after)["cashReceiptID"] == "2"


@pytest.mark.parametrize(
    ("head", "like"),
    [
        (HEADER.encode(), True),
        (b"\xef\xbb\xbf\nSTOREID;x;CashReceiptID", True),
        (b'{"cashReceiptID": "1", "storeID": "2"}', False),
        (b"cashReceiptID=1&storeID=2", False),
        (b"a,b\ncashReceiptID,storeID", False),
        (b"", False),
    ],
)
def test_csv_is_recognised_by_its_header(head: bytes, like: bool) -> None:
    assert csv.recognises(head) is like


class Slow(io.RawIOBase):
    """A source that returns a few bytes per read."""

    def __init__(self, payload: bytes, step: int) -> None:
        self._payload = io.BytesIO(payload)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._payload.read(min(self._step, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize("step", [1, 3, 7])
def test_the_size_of_reads_does_not_matter(step: int) -> None:
    receipts = [json.loads(CsvDecoder(Settings()).one(csv.example.encode()).body)]  # type: ignore[union-attr]
    payload = to_csv(receipts * 2) + b'"open,\n' + to_csv(receipts).split(b"\r\n", 1)[1]
    expected = list(csv.decode(io.BytesIO(payload)))
    assert list(csv.decode(io.BufferedReader(Slow(payload, step), 16))) == expected
    assert list(csv.decode(Slow(payload, step))) == expected  # type: ignore[arg-type]


class Endless(io.RawIOBase):
    """One line of a given size, generated on demand, with bytes before and after it."""

    def __init__(self, before: bytes, size_bytes: int, behind: bytes) -> None:
        self._parts = self._made(before, size_bytes, behind)
        self._left = b""

    @staticmethod
    def _made(before: bytes, size_bytes: int, behind: bytes) -> Iterator[bytes]:
        if before:
            yield before
        piece = b"x" * 1_048_576
        for _ in range(size_bytes // len(piece)):
            yield piece
        yield behind

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._parts, b"")
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize("before", ["", HEADER + row(1, 1), HEADER + row(1, 1) + '"', HEADER + f'12,2,1,{DATE},1,"'])
def test_a_line_of_a_gigabyte_takes_little_memory(before: str) -> None:
    source = io.BufferedReader(Endless(before.encode(), 1_073_741_824, b"\n" + row(2, 2).encode()), 1_048_576)
    tracemalloc.start()
    begun = time.process_time()
    found = list(csv.decode(source))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 40_000_000
    assert time.process_time() - begun < 30
    assert sum(isinstance(each, Unreadable) for each in found) >= 1
    assert all(len(each.original) <= csv.settings.receipt_limit_bytes for each in found if isinstance(each, Unreadable))
    if before:
        assert read(found[-1])["cashReceiptID"] == "2"
