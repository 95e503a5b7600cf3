"""Parts of transactions seen before are read by their forms, as parsing reads them; the rest is parsed."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest

from tillstream.config.settings import Settings
from tillstream.formats import poslog_forms
from tillstream.formats.base import Record
from tillstream.formats.poslog import PoslogDecoder


def document(item: str, gross: str, tax: str = "", currency: str = "EUR") -> bytes:
    total = f"<Total TotalType='TransactionTaxAmount'>{tax}</Total>" if tax else ""
    return (
        "<POSLog><Transaction><RetailStoreID>12</RetailStoreID><SequenceNumber>7</SequenceNumber>"
        "<BusinessDayDate>2026-11-23</BusinessDayDate><EndDateTime>2026-11-23T10:15:00</EndDateTime>"
        f"<CurrencyCode>{currency}</CurrencyCode><RetailTransaction>{item}"
        f"<Total TotalType='TransactionGrandAmount'>{gross}</Total>{total}</RetailTransaction></Transaction></POSLog>"
    ).encode()


def item(amount: str, inside: str = "", kind: str = "Sale") -> str:
    return f"<LineItem><{kind}><ExtendedAmount>{amount}</ExtendedAmount>{inside}</{kind}></LineItem>"


def is_learned(example: bytes, other: bytes, currency: str = "EUR") -> bool:
    """Whether a form of the one makes something of the other; what it makes is what parsing makes."""
    learned = PoslogDecoder(Settings(currency=currency))
    for _ in range(3):
        learned.one(example)
    start, end = other.index(b"<Transaction>"), other.index(b"</POSLog>")
    made = learned._forms.read("", other[start:end])
    (parsed,) = PoslogDecoder(Settings(currency=currency)).decode(io.BytesIO(other))
    if made is None:
        return False
    assert isinstance(parsed, Record)
    assert made == (parsed.body, parsed.day)
    return True


MEASURED = "<UnitPrice>1.00</UnitPrice><Quantity Units='6'>1</Quantity>"
TAX = "<Tax><Amount>{}</Amount><Percent>5.5</Percent></Tax>"


@pytest.mark.parametrize(
    ("example", "other"),
    [
        # Tax on top of the prices, and in them.
        (document(item("2.00") + item("3.00"), "5.50", "0.50"), document(item("1.10") + item("7.77"), "9.38", "0.51")),
        (document(item("2.00") + item("3.00"), "5.50", "0.50"), document(item("4.20") + item("0.80"), "5.00", "0.26")),
        # No tax at all, or none told.
        (document(item("2.00") + item("3.00"), "5.00", "0.00"), document(item("2.50") + item("0.01"), "2.51", "0.00")),
        (document(item("2.00") + item("3.00"), "5.00"), document(item("2.50") + item("0.01"), "2.51")),
        # Tax with each line, one of which has none.
        (
            document(item("2.00", TAX.format("0.11")) + item("3.00", TAX.format("0.00")), "5.11"),
            document(item("4.00", TAX.format("0.22")) + item("1.00", TAX.format("0.00")), "5.22"),
        ),
        # A tax of the receipt whose rate goes to the lines.
        (
            document(item("2.00") + f"<LineItem>{TAX.format('0.11')}</LineItem>", "2.11"),
            document(item("4.00") + f"<LineItem>{TAX.format('0.22')}</LineItem>", "4.22"),
        ),
        # Others of the same kinds, in another order and number; something comes back.
        (
            document(item("2.00") + item("3.00", "<Quantity>2</Quantity>"), "5.00", "0.26"),
            document(item("1.00", "<Quantity>3</Quantity>") + item("2.00") + item("4.00"), "7.00", "0.37"),
        ),
        (document(item("2.00", kind="Return"), "-2.00"), document(item("3.00", kind="Return"), "-3.00")),
        (
            document(item("2.00") + item("1.00", kind="Return"), "1.00", "0.05"),
            document(item("3.00") + item("4.00") + item("1.50", kind="Return"), "5.50", "0.29"),
        ),
        # A line that costs nothing, and one that takes away from a receipt without tax.
        (document(item("2.00") + item("0.00"), "2.00"), document(item("1.00") + item("0.00"), "1.00")),
        (
            document(item("2.00") + "<LineItem><Discount><Amount>0.50</Amount></Discount></LineItem>", "1.50", "0.00"),
            document(item("4.00") + "<LineItem><Discount><Amount>1.50</Amount></Discount></LineItem>", "2.50", "0.00"),
        ),
    ],
)
def test_forms_are_made_of_the_plain_ways_to_write_a_sale(example: bytes, other: bytes) -> None:
    assert is_learned(example, other)


@pytest.mark.parametrize(
    ("example", "other"),
    [
        # Amounts of other decimals, or none, or below zero.
        (document(item("2.00"), "2.00"), document(item("2.5"), "2.50")),
        (document(item("2.00"), "2.00"), document(item("2.000"), "2.00")),
        (document(item("2.00"), "2.00"), document(item("-2.00"), "2.00")),
        (document(item("2.00"), "2.00"), document(item("0.00"), "2.00")),
        (document(item("2.00"), "2.00"), document(item("two"), "2.00")),
        # Lines that don't come to the total.
        (document(item("2.00"), "2.00"), document(item("2.01"), "2.00")),
        (document(item("2.00") + item("3.00"), "5.50", "0.50"), document(item("2.00") + item("3.00"), "5.49", "0.50")),
        # What is open to more than one reading.
        (document(item("2.00", kind="Return"), "-2.00"), document(item("3.00", kind="Return"), "3.00")),
        (document(item("2.00", MEASURED), "2.00"), document(item("6.00", MEASURED), "6.00")),
        (
            document(item("2.00", "<ExtendedDiscountAmount>0.50</ExtendedDiscountAmount>"), "1.50"),
            document(item("2.00", "<ExtendedDiscountAmount>0.50</ExtendedDiscountAmount>"), "2.00"),
        ),
        # Another currency is passed on; a date that isn't local is turned.
        (document(item("2.00"), "2.00"), document(item("2.00"), "2.00").replace(b"10:15:00", b"10:15:00Z")),
        (document(item("2.00"), "2.00"), document(item("2.00"), "2.00").replace(b"2026-11-23<", b"23.11.26<")),
    ],
)
def test_all_else_is_parsed(example: bytes, other: bytes) -> None:
    assert not is_learned(example, other)


@pytest.mark.parametrize(("currency", "one", "two"), [("JPY", "120", "33"), ("TND", "1.250", "0.755")])
def test_amounts_have_the_decimals_of_the_currency(currency: str, one: str, two: str) -> None:
    for first, second in ((one, two), (two, one)):
        total = str(Decimal(first) + Decimal(second))
        example = document(item(one) + item(two), str(Decimal(one) + Decimal(two)), currency=currency)
        assert is_learned(example, document(item(first) + item(second), total, currency=currency), currency)


def test_amounts_before_the_items_are_parsed() -> None:
    total = "<Total TotalType='TransactionGrandAmount'>2.00</Total>"
    before = (
        document(item("2.00"), "2.00")
        .replace(total.encode(), b"")
        .replace(b"<LineItem>", f"{total}<LineItem>".encode())
    )
    assert not is_learned(before, before)


def test_parts_are_few_and_learned_seldom() -> None:
    decoder = PoslogDecoder(Settings())
    for number in range(1_500):
        for _ in range(2):
            decoder.one(document(item("2.00", f"<Note{number}/>"), "2.00"))
    (head,) = decoder._forms._heads.values()
    assert len(head.kinds) <= poslog_forms._PARTS_LIMIT
    assert len(decoder._forms._seen) <= poslog_forms._SEEN_LIMIT + 1
    assert decoder._forms._credit < 2 * poslog_forms._COST_RECORDS
    for number in range(100):
        for _ in range(2):
            decoder.one(document(item("2.00"), "2.00").replace(b"<RetailS", b"<Note%d/><RetailS" % number))
    assert len(decoder._forms._heads) <= poslog_forms._HEADS_LIMIT


def test_a_form_that_does_not_make_the_same_is_not_kept() -> None:
    decoder = PoslogDecoder(Settings())
    text = document(item("2.00"), "2.00").decode().removeprefix("<POSLog>").removesuffix("</POSLog>")
    for _ in range(3):
        decoder._forms.note("", text, (b"something else", ""))
    assert decoder._forms.read("", text.encode()) is None


def test_items_are_kept_and_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poslog_forms, "_ITEMS_KEPT", 3)
    decoder = PoslogDecoder(Settings())
    for cents in range(10, 20):
        decoder.one(document(item(f"1.{cents}") + item("2.00"), f"3.{cents}"))
    (head,) = decoder._forms._heads.values()
    assert 0 < len(head.items) <= 3
    assert all(kept.line is not None for kept in head.items.values())
