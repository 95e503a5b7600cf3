"""Orders are read from pages, arrays and lines with their originals; a bad order affects no other."""

from __future__ import annotations

import io
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.receipts import NOON_US
from tests.support.square_orders import EXCHANGE, SPLIT, TABLE, encoded, order
from tillstream.config.settings import Settings
from tillstream.formats import json as formats_json
from tillstream.formats import registry
from tillstream.formats.base import BOM, Decoded, Record, Skip, Unreadable
from tillstream.formats.json import JsonDecoder
from tillstream.formats.square import decoder as square_decoder
from tillstream.formats.square.decoder import SquareDecoder
from tillstream.receipt.validation import ReceiptError, Validator

SHARED = Path(__file__).parents[4].parent / "shared" / "formats" / "square"

square = SquareDecoder(Settings())
SALES = encoded(order(), SPLIT, EXCHANGE, TABLE)


def many(payload: bytes, decoder: SquareDecoder = square) -> list[Decoded]:
    return list(decoder.decode(io.BytesIO(payload)))


def originals(found: list[Decoded]) -> list[bytes]:
    assert all(isinstance(each, Record) for each in found), found
    return [each.original for each in found if isinstance(each, Record)]


def page(*orders: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    return b'{%b\n "orders" : [ %b ]%b }' % (before, b" ,\n ".join(orders), behind)


WHOLE = {
    "an order": BOM + b" " + SALES[0] + b"\n",
    "an order in lines of its own": json.dumps(json.loads(SALES[0]), indent=2).encode(),
    "an order in an envelope": b'{"order": ' + SALES[0] + b"}",
    "an order in an envelope of lines": b'{"order":\n' + SALES[0] + b"\n}",
    "a page of one": page(SALES[0]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_an_order_in_any_wrapper_keeps_its_original(name: str) -> None:
    (original,) = originals(many(WHOLE[name]))
    assert original in WHOLE[name]
    assert json.loads(original) == order()
    assert square.one(WHOLE[name]) == many(WHOLE[name])[0]


PAGES = {
    "a page": page(*SALES),
    "a page with a cursor": page(*SALES, behind=b', "cursor": "abc"'),
    "a cursor before the page": page(*SALES, before=b'"errors": [], "cursor": "abc",'),
    "an array": b"[" + b",".join(SALES) + b"]",
    "one a line": b"\n".join(SALES),
    "one a line with blank ones": BOM + b"\r\n" + b"\n\n".join(SALES) + b"\n",
    "one in an envelope a line": b"\n".join(b'{"order": %b}' % each for each in SALES),
    "pages a line": b"\n".join(b'{"orders": [%b, %b]}' % pair for pair in (tuple(SALES[:2]), tuple(SALES[2:]))),
}


@pytest.mark.parametrize("name", PAGES)
def test_orders_are_read_from_pages_and_lines(name: str) -> None:
    assert originals(many(PAGES[name])) == SALES


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("window", [7, 10_000])
def test_a_file_of_any_size_is_read_in_windows(monkeypatch: pytest.MonkeyPatch, name: str, window: int) -> None:
    monkeypatch.setattr(square_decoder, "WHOLE_BYTES", 16)
    monkeypatch.setattr(formats_json, "_WINDOW_BYTES", window)
    assert originals(many(PAGES[name])) == SALES


@pytest.mark.parametrize("end", [b"", b"{broken", b"[" * 100_000, b'{"id":"' + b"x" * 5_000])
def test_a_large_truncated_page_gives_the_orders_before_the_end(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(square_decoder, "WHOLE_BYTES", 16)
    small = SquareDecoder(Settings(receipt_limit_bytes=4_000))
    *before, broken = many(b'{"orders": [' + b",".join(SALES) + b"," + end, small)
    assert originals(before) == SALES
    assert isinstance(broken, Unreadable)
    assert len(broken.original) <= 4_000


def test_a_broken_line_affects_no_other() -> None:
    for lines in ([b"{broken", *SALES], [SALES[0], b'{"id": 7}', b"}", *SALES[1:]]):
        found = many(b"\n".join(lines))
        assert originals([each for each in found if isinstance(each, Record)]) == SALES
        assert len(found) == len(lines)


def test_a_bad_order_of_a_page_is_a_fault_and_affects_no_other() -> None:
    first, bad, last = many(page(SALES[0], b'{"id": 7, "state": "COMPLETED"}', SALES[1]))
    assert originals([first, last]) == SALES[:2]
    assert isinstance(bad, Unreadable)
    assert (bad.where, bad.original) == ("orders[1]", b'{"id": 7, "state": "COMPLETED"}')
    assert [fault.path for fault in bad.faults] == ["$.id"]


def test_only_completed_orders_are_receipts() -> None:
    states = encoded(*(order(state=state) for state in ("OPEN", "DRAFT", "CANCELED", "PAID", ...)))
    *skipped, other, missing = many(page(*states))
    assert skipped == [Skip("OPEN"), Skip("DRAFT"), Skip("CANCELED")]
    for each, error in (
        (other, 'expected one of OPEN, COMPLETED, CANCELED, DRAFT, got "PAID"'),
        (missing, "it is missing"),
    ):
        assert isinstance(each, Unreadable)
        assert [(fault.path, fault.error) for fault in each.faults] == [("$.state", error)]


def test_an_opened_drawer_and_an_empty_page_are_skipped() -> None:
    drawer = order(line_items=None, tenders=[{"type": "NO_SALE", "amount_money": None}])
    assert many(encoded(drawer)[0]) == [Skip("NO_SALE")]
    for empty in (b"{}", b'{"orders": []}', b'{"orders": null, "cursor": "a"}', b"[]"):
        assert many(empty) == [Skip("EMPTY")]
    assert many(b" \n ") == []


def test_an_empty_page_is_counted_in_a_large_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(square_decoder, "WHOLE_BYTES", 16)
    assert many(b"[] \n []{\n" + page()[1:]) == [Skip("EMPTY")] * 3


@pytest.mark.parametrize(
    "payload",
    [
        b"<orders/>",
        b"hello",
        b'{"orders": {}}',
        b'{"orders": [1,',
        b'{"order": null}',
        b"[" * 100_000,
        b'{"orders":' * 50_000,
        b'{"errors": [{"code": "UNAUTHORIZED"}]}',
        b"\x00\xff",
        SALES[0] + SALES[1],
    ],
)
def test_a_document_without_orders_is_a_fault(payload: bytes) -> None:
    (found,) = many(payload)
    assert isinstance(found, Unreadable)
    assert found.faults


def test_a_dense_page_is_read_value_by_value() -> None:
    found = many(b'{"orders": [' + b"0," * 5_000 + b"0]}")
    assert len(found) == 5_001
    assert all(isinstance(each, Unreadable) for each in found)


def test_an_order_over_the_limit_is_a_fault() -> None:
    small = SquareDecoder(Settings(receipt_limit_bytes=100))
    for payload in (page(SALES[0]), SALES[0]):
        (found,) = many(payload, small)
        assert isinstance(found, Unreadable)
        assert "more than 100" in found.faults[0].error
        assert len(found.original) <= 100


def test_the_records_are_receipts_of_the_chain() -> None:
    validator = Validator(square.settings)
    days = {
        validator.check(each.body, NOON_US, "square/http")[2]
        for each in many(PAGES["a page"])
        if isinstance(each, Record)
    }
    assert days == {"2026-11-23"}


@pytest.mark.parametrize("payload", [*WHOLE.values(), *PAGES.values()])
def test_orders_are_recognised(payload: bytes) -> None:
    assert isinstance(registry.load(Settings()).recognised(payload), SquareDecoder)


@pytest.mark.parametrize(
    "payload",
    [
        JsonDecoder.example.encode(),
        b'{"location_id": 7, "line_items": [], "total_price": "1.20"}',
        b'{"cashReceiptID": "1", "tenders": [], "state": "OPEN"}',
        b'store;"orders": "total_money": {',
        b"{}",
        b"",
    ],
)
def test_other_payloads_are_not_recognised_as_orders(payload: bytes) -> None:
    assert not square.recognises(payload)


def test_the_media_type_of_square_wins_over_any_json() -> None:
    formats = registry.load(Settings())
    assert isinstance(formats.decoder("application/vnd.square.orders+json; charset=utf-8"), SquareDecoder)
    assert isinstance(formats.decoder("application/vnd.square.locations+json"), JsonDecoder)


def test_broken_payloads_never_raise() -> None:
    chance = random.Random(20261123)
    validator = Validator(square.settings)
    spice = [
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"-1",
        b"1e999",
        b"9" * 400,
        b"\xff",
        b"\x00",
        b"\\ud800",
    ]
    found = {Record: 0, Skip: 0, Unreadable: 0}
    for payload in [*WHOLE.values(), *PAGES.values()]:
        for _ in range(150):
            mutated = bytearray(payload)
            for _ in range(chance.choice([1, 1, 2, 8])):
                at = chance.randrange(len(mutated))
                mutated[at : at + chance.choice([0, 0, 1, 1, 40])] = chance.choice(spice)
            for each in many(bytes(mutated)):
                found[type(each)] += 1
                if isinstance(each, Record):
                    with suppress(ReceiptError):
                        validator.check(each.body, NOON_US, "square/http", each.day)
                elif isinstance(each, Unreadable):
                    assert each.faults
    assert all(number > 50 for kind, number in found.items() if kind is not Skip), found


@pytest.mark.skipif(not SHARED.exists(), reason="the published example is not here")
def test_the_published_example_is_open_and_a_receipt_once_completed() -> None:
    payload = (SHARED / "create-order-response.json").read_bytes()
    assert many(payload) == [Skip("OPEN")]
    dollars = SquareDecoder(Settings(currency="USD", zone="America/New_York"))
    (record,) = many(payload.replace(b'"OPEN"', b'"COMPLETED"'), dollars)
    assert isinstance(record, Record)
    receipt = json.loads(record.body)
    assert receipt["date"] == "2020-01-17 15:47:53"
    assert receipt["documentTotal"] == {"grossTotal": 61.76, "netTotal": 56.66, "taxPayable": 5.10}
    # 15.99 less 0.87 of discounts and 45.00 less 3.46, with 1.36 and 3.74 of tax upon them.
    assert [line["settlementAmount"] for line in receipt["lines"]] == [16.48, 45.28]
    assert [line["creditAmount"] for line in receipt["lines"]] == [15.12, 41.54]
    assert [line["taxPercentage"] for line in receipt["lines"]] == [9, 9]
    Validator(dollars.settings).check(record.body, NOON_US, "square/import")
