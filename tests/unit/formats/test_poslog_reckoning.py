"""Totals in integers are those that `balance` finds, or none."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tillstream.formats.poslog_reckoning import Item, Rest, reckon, writer
from tillstream.formats.poslog_totals import ZERO, Line, ReceiptTax, Totals, balance

D = Decimal
FIVE = b'"taxPercentage":5.5'


def item(
    amount: str = "", tax: str = "0", taxes: tuple[str, ...] = (), *, taxable: bool = True, itemised: bool = False
) -> Item:
    """A line, or taxes of the receipt."""
    untaxed = sum((D(each) for each in taxes if not D(each)), ZERO)
    rest = Rest(int(D(tax) * 100), [int(D(each) * 100) for each in taxes], (), untaxed, taxable, itemised)
    plain = taxable and not itemised and not taxes and not D(tax)
    if not amount:
        return Item(rest=rest)
    line = b'{"creditAmount":'
    return Item(line, amount.encode() if D(amount) else b"", int(D(amount) * 100), rest=None if plain else rest)


def parsed(item: Item) -> Line:
    rest = item.rest or Rest()
    return Line({}, D(item.amount).scaleb(-2), D(rest.line_tax).scaleb(-2), rest.taxable, itemised=rest.itemised)


def reckoned(gross: str, tax: str | None, items: list[Item]) -> bool:
    """Whether something is reckoned; it is what parsing makes."""
    told = None if tax is None else int(D(tax) * 100)
    found = reckon(int(D(gross) * 100), told, b"" if tax is None or told else tax.encode(), items, 2)
    if found is None:
        return False
    lines = [parsed(each) for each in items if each.line is not None]
    taxes = [ReceiptTax(D(tax).scaleb(-2), None, None) for each in items if each.rest for tax in each.rest.taxes]
    rows, total = balance(lines, Totals(D(gross), None if tax is None else D(tax)), taxes, D("0.01"))
    assert json.loads(b"{%b}" % found, parse_float=D, parse_int=D) == {"lines": rows, "documentTotal": total}
    return True


@pytest.mark.parametrize(
    ("gross", "tax", "items"),
    [
        ("5.50", "0.50", [item("2.00"), item("3.00")]),
        ("5.00", "0.50", [item("2.00"), item("3.00")]),
        ("5.00", "0.00", [item("2.00"), item("3.00")]),
        ("5.00", None, [item("2.00"), item("3.00")]),
        ("5.11", None, [item("2.00", "0.11"), item("3.00")]),
        ("5.11", None, [item("2.00"), item("3.00"), item(taxes=("0.11",))]),
        ("5.00", None, [item("2.00"), item("3.00"), item(taxes=("0.00",))]),
        ("5.00", "0.20", [item("2.00", taxable=False), item("3.00"), item("0.00")]),
        # Something comes back, beside others and alone; a discount before its tax.
        ("3.20", "0.17", [item("5.00"), item("-1.80")]),
        ("-3.00", "-0.16", [item("-2.00"), item("-1.00")]),
        ("-3.16", "-0.16", [item("-2.00"), item("-1.00")]),
        ("4.20", "0.20", [item("5.00"), item("-1.00", itemised=True)]),
    ],
)
def test_what_is_reckoned_is_what_balance_finds(gross: str, tax: str | None, items: list[Item]) -> None:
    assert reckoned(gross, tax, items)


@pytest.mark.parametrize(
    ("gross", "tax", "items"),
    [
        ("5.49", "0.50", [item("2.00"), item("3.00")]),
        ("2.00", None, []),
        # Paid back without a sign, or with one on the tax alone.
        ("3.00", "0.16", [item("-3.00")]),
        ("3.00", "-0.16", [item("3.00")]),
        ("-3.00", "0.16", [item("-3.00")]),
        # Nothing that could bear the tax; taxes that make up for each other.
        ("3.00", "0.16", [item("3.00", taxable=False)]),
        ("3.00", None, [item("3.00"), item(taxes=("0.10", "-0.10"))]),
        ("4.00", "0.20", [item("5.00"), item("-1.00", itemised=True)]),
    ],
)
def test_what_is_open_to_more_than_one_reading_is_left_to_it(gross: str, tax: str | None, items: list[Item]) -> None:
    assert not reckoned(gross, tax, items)


@pytest.mark.parametrize(
    ("taxes", "rates"),
    [
        ([], [None, None]),
        ([Rest(rates=[FIVE])], [D("5.5"), D(20)]),
        ([Rest(rates=[FIVE]), Rest(rates=[FIVE])], [None, D(20)]),
        # What the tax is on says whether it is on all of them: that hangs on the amounts.
        ([Rest(rates=[FIVE], based=True)], None),
    ],
)
def test_a_rate_is_that_of_the_lines_without_one(taxes: list[Rest], rates: list[D | None] | None) -> None:
    own = item("3.00")._replace(line=b'{"taxPercentage":20,"creditAmount":', rest=Rest(rated=True))
    found = reckon(
        500, 26, b"", [item("2.00"), own if taxes else item("3.00"), *(Item(rest=each) for each in taxes)], 2
    )
    read = found and json.loads(b"{%b}" % found, parse_float=D, parse_int=D)["lines"]
    assert (read and [line.get("taxPercentage") for line in read]) == rates


def test_minor_units_are_written_with_the_decimals_of_the_currency() -> None:
    assert [writer(2)(each) for each in (0, 5, -1_230)] == [b"0.00", b"0.05", b"-12.30"]
    assert [writer(0)(each) for each in (0, -120)] == [b"0", b"-120"]
