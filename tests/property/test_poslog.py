"""The lines of a POSLog always carry all of the tax, in every dialect."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tillstream.formats.poslog.discounts_and_taxes import Line, Tax, Totals, reconcile

CENT = Decimal("0.01")

amounts = st.decimals(-60, 60, places=2)
lines = st.builds(
    Line,
    st.fixed_dictionaries({}),
    amounts,
    tax=st.just(Decimal(0)) | amounts,
    taxable=st.booleans(),
    price_change=st.just(Decimal(0)) | amounts,
)
discounts = st.builds(Line, st.fixed_dictionaries({}), amounts, is_discount=st.just(True))
taxes = st.builds(Tax, amounts, st.none() | st.just(Decimal("5.5")), st.none() | amounts)
totals = st.builds(Totals, st.none() | amounts, st.none() | amounts, st.booleans())


@given(lines, st.lists(lines | discounts, max_size=6), totals, st.lists(taxes, max_size=3))
def test_net_gross_and_tax_add_up(first: Line, others: list[Line], given: Totals, taxes: list[Tax]) -> None:
    rows, total = reconcile([first, *others], given, taxes, CENT)
    assert total["netTotal"] + total["taxPayable"] == total["grossTotal"]
    assert sum(row["settlementAmount"] - row["creditAmount"] for row in rows) == total["taxPayable"]
    if given.gross is not None:
        assert abs(total["grossTotal"]) == abs(given.gross)


@given(st.lists(st.decimals("0.01", 60, places=2), min_size=1, max_size=6), st.decimals(0, 5, places=2), st.booleans())
def test_lines_add_up_to_a_total_with_tax_added_or_included(
    prices: list[Decimal], tax: Decimal, included: bool
) -> None:
    gross = sum(prices, Decimal(0)) + (0 if included else tax)
    rows, total = reconcile([Line({}, price) for price in prices], Totals(gross, tax), [], CENT)
    assert total == {"grossTotal": gross, "netTotal": gross - tax, "taxPayable": tax}
    assert sum(row["settlementAmount"] for row in rows) == gross
