"""Whatever items a till has logged before, and in whatever order: what forms make of a sale is what parsing makes."""

from __future__ import annotations

import io
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded
from tillstream.formats.poslog import PoslogDecoder

ITEMS = (
    (
        "<Sale><ItemID>{code}</ItemID><RegularSalesUnitPrice>{amount}</RegularSalesUnitPrice>"
        "<ExtendedAmount>{amount}</ExtendedAmount><Quantity>1</Quantity></Sale>"
    ),
    (
        "<Sale><ItemID>{code}</ItemID><TaxIncludedInPriceFlag>true</TaxIncludedInPriceFlag>"
        "<ExtendedAmount>{amount}</ExtendedAmount><Quantity UnitOfMeasureCode='KGM'>0.42</Quantity></Sale>"
    ),
    "<SequenceNumber>{code}</SequenceNumber><Return><ExtendedAmount>{amount}</ExtendedAmount></Return>",
    "<Sale TaxableFlag='false'><ExtendedAmount>{amount}</ExtendedAmount></Sale>",
    "<Sale><ExtendedAmount>{amount}</ExtendedAmount><Tax><Amount>{tax}</Amount><Percent>5.5</Percent></Tax></Sale>",
    "<Sale><ExtendedAmount>-{amount}</ExtendedAmount><Quantity>-1</Quantity></Sale>",
    (
        "<Sale><UnitPrice>{amount}</UnitPrice><ExtendedAmount>{amount}</ExtendedAmount>"
        "<Quantity Units='2'>1</Quantity></Sale>"
    ),
    "<Sale><ExtendedAmount>0.00</ExtendedAmount></Sale>",
    "<Sale><ExtendedAmount>0</ExtendedAmount></Sale>",
    "<Sale VoidFlag='true'><ExtendedAmount>{amount}</ExtendedAmount></Sale>",
    "<Discount><Amount>{tax}</Amount></Discount>",
    "<Tender TenderType='Cash'><Amount>{amount}</Amount><TenderChange><Amount>{tax}</Amount></TenderChange></Tender>",
    "<Tender TenderType='Card' TypeCode='Refund'><Amount>{amount}</Amount></Tender>",
    "<Tax><Amount>{tax}</Amount><Percent>20</Percent></Tax>",
    "<Tax><Amount>0.00</Amount><Percent>0</Percent></Tax>",
    "<Tax><Amount>{tax}</Amount><TaxableAmount>{amount}</TaxableAmount><Percent>5.5</Percent></Tax>",
)
SIGNS = {2: -1, 5: -1, 7: 0, 8: 0, 9: 0}
LAST_LINE = 10

items = st.tuples(
    st.sampled_from([0, *range(len(ITEMS))]),
    st.decimals("0.01", 60, places=2),
    st.sampled_from([Decimal("0.07"), Decimal("1.00"), Decimal("0.00"), Decimal("0.5")]),
    st.sampled_from(["0102", "Crème", "a&amp;b"]),
)
sales = st.tuples(
    st.lists(items, min_size=1, max_size=7),
    st.sampled_from([None, Decimal("0.00"), Decimal("0.11"), Decimal("-0.31"), Decimal("2.00")]),
    st.sampled_from(["added", "held", "unsigned", "other"]),
)
Sold = tuple[list[tuple[int, Decimal, Decimal, str]], Decimal | None, str]


def document(sale: Sold) -> bytes:
    its, tax, kind = sale
    whole = sum((SIGNS.get(item, 1) * amount for item, amount, _, _ in its if item < LAST_LINE), Decimal("0.00"))
    whole -= sum((taken for item, _, taken, _ in its if item == LAST_LINE), Decimal(0))
    owed = sum((taken for item, _, taken, _ in its if item in (4, 13, 15)), Decimal(0)) if tax is None else tax
    gross = {"added": whole + owed, "held": whole, "unsigned": abs(whole), "other": Decimal("4.20")}[kind]
    told = "" if tax is None else f"<Total TotalType='TransactionTaxAmount'>{tax}</Total>"
    inside = "\n".join(
        f"<LineItem>{ITEMS[item].format(amount=amount, tax=taken, code=code)}</LineItem>"
        for item, amount, taken, code in its
    )
    return (
        "<POSLog><Transaction><RetailStoreID>7</RetailStoreID><SequenceNumber>17</SequenceNumber>"
        "<BusinessDayDate>2026-11-23</BusinessDayDate><EndDateTime>2026-11-23T10:15:00</EndDateTime>"
        f"<RetailTransaction>{inside}<Total TotalType='TransactionGrandAmount'>{gross}</Total>{told}"
        "</RetailTransaction></Transaction></POSLog>"
    ).encode()


def read(sale: bytes, decoder: PoslogDecoder) -> list[Decoded]:
    return list(decoder.decode(io.BytesIO(sale)))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(sales, min_size=10, max_size=30))
def test_sales_made_of_parts_seen_before_are_those_that_parsing_makes(seen: list[Sold]) -> None:
    learned = PoslogDecoder(Settings())
    for sale in map(document, seen):
        assert read(sale, learned) == read(sale, PoslogDecoder(Settings()))
