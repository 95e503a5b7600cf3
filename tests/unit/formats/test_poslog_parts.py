"""What a part of a POSLog may leave open, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tillstream.formats.poslog_parts import Learner, Unfit, divide, minor, told
from tillstream.formats.poslog_totals import Line, ReceiptTax, Totals
from tillstream.formats.xml_forms import take_apart

D = Decimal


@pytest.mark.parametrize(
    ("before", "text", "parts"),
    [
        ("<ItemID>", "0102", [("0102", "text")]),
        ("<OperatorID>", "0", [("0", "text")]),
        ("<ExtendedAmount>", "0.00", ["0.00"]),
        ("<ExtendedAmount>", "-1.26", ["-", ("1.26", "text")]),
        ("<Description>", "---", [("---", "text")]),
        ("<BusinessDayDate>", "2026-11-23", [("2026-11-23", "date")]),
        ("<EndDateTime>", "2026-11-23T10:15:00", [("2026-11-23", "date"), "T", ("10:15:00", "time")]),
        (
            "<EndDateTime>",
            "2026-11-23T10:15:00.649",
            [("2026-11-23", "date"), "T", ("10:15:00", "time"), ".", ("649", "digits")],
        ),
        ("<EndDateTime>", "2026-11-23T10:15:00Z", [("2026-11-23T10:15:00Z", "text")]),
        ("<acs:RewardCategory>", "Monetary", ["Monetary"]),
        ('<Quantity Units="1">', "2", ["2"]),
        ("<TaxIncludedInPriceFlag>", "true", ["true"]),
    ],
)
def test_what_decides_how_others_are_read_stays(before: str, text: str, parts: list[object]) -> None:
    assert list(divide(before, text)) == parts


def reading(header: dict[str, str] | None = None, **sale: Any) -> Any:
    told = {"lines": [], "settlements": [], "taxes": [], "totals": Totals(D(1)), **sale}
    return SimpleNamespace(header=header or {"storeID": "7"}, day="", sale=SimpleNamespace(**told), timed=True)


def learner(read: Any) -> Learner:
    return Learner(lambda _, __: read, 2)


HEAD = take_apart("", "<Transaction>")
TAIL = take_apart("", "</Transaction>")
LINE = take_apart("", "<LineItem><Amount>2.00</Amount><Name>Baguette</Name></LineItem>", divide)
AMOUNT, NAME = (D(slot.mark) for slot in LINE.slots)


def test_an_item_is_made_of_its_texts() -> None:
    line = Line({"productDescription": str(NAME)}, -AMOUNT)
    kind = learner(reading(lines=[line], settlements=[{"settlementAmount": AMOUNT}])).kind(HEAD, LINE, TAIL)
    found = kind.match(b"<LineItem><Amount>3.50</Amount><Name>\xc3\xa9</Name></LineItem>")
    assert found is not None
    item = kind.item(found.groups())
    assert item.line == '{"productDescription":"é","creditAmount":'.encode()
    assert (item.told, item.amount, item.settlements) == (b"-3.50", -350, b'{"settlementAmount":3.50}')
    assert kind.match(b"<LineItem><Amount>3.5</Amount><Name>e</Name></LineItem>") is None


@pytest.mark.parametrize(
    "sale",
    [
        {"lines": [Line({}, AMOUNT), Line({}, AMOUNT)]},
        {"lines": [Line({}, AMOUNT, reduction=D(1))]},
        {"lines": [Line({}, AMOUNT * 2)]},
        {"lines": [Line({"taxPercentage": AMOUNT + 1}, AMOUNT)]},
        {"lines": [Line({}, D("0"))]},
        {"lines": [Line({}, AMOUNT, tax=D("0.000"))]},
        {"taxes": [ReceiptTax(D(5), None, None)]},
        {"taxes": [ReceiptTax(AMOUNT, D(5) + AMOUNT, None)]},
    ],
)
def test_what_was_made_of_several_amounts_is_unfit(sale: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        learner(reading(**sale)).kind(HEAD, LINE, TAIL)


@pytest.mark.parametrize("read", [None, SimpleNamespace(timed=False)])
def test_what_is_no_sale_with_a_local_time_is_unfit(read: Any) -> None:
    makes: list[Callable[[], object]] = [
        lambda: learner(read).tail(HEAD, TAIL),
        lambda: learner(read).kind(HEAD, LINE, TAIL),
    ]
    for make in makes:
        with pytest.raises(Unfit):
            make()


def test_a_tail_knows_the_totals_and_fills_the_header() -> None:
    head = take_apart("", "<Transaction><RetailStoreID>7</RetailStoreID>")
    tail = take_apart("", "<Total>2.00</Total></Transaction>", first=50)
    read = reading({"storeID": head.slots[0].mark}, totals=Totals(D(tail.slots[0].mark), D("0.00")))
    learned = learner(read).tail(head, tail)
    assert (learned.gross, learned.tax, learned.untaxed, learned.day) == ((1, 1), (-1, 1), b"0.00", None)
    assert learned.header.fill([b"12", b"3.00"]) == b'{"storeID":"12"'
    assert learned.match(b"<Total>3.00</Total></Transaction>")
    assert not learned.match(b"<Total>3.0</Total></Transaction>")


def test_amounts_are_read_in_minor_units() -> None:
    texts = (b"7", b"12.30")
    assert [minor((1, -1), texts), minor((-1, 1), texts)] == [-1_230, 0]
    assert [told((1, -1), texts), told((1, 1), texts), told((-1, 1), texts)] == [b"-12.30", b"12.30", b""]
