"""Lines add up to the totals in every dialect, and tax is split to the last cent."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tillstream.formats.poslog.discounts_and_taxes import Line, Tax, Totals, reconcile

CENT = Decimal("0.01")
D = Decimal


def line(amount: str, tax: str = "0", price_change: str = "0", is_discount: bool = False, taxable: bool = True) -> Line:
    return Line({}, D(amount), D(tax), taxable, D(price_change), is_discount)


def reconciled(
    lines: Sequence[Line],
    gross: str | None,
    tax: str | None = None,
    taxes: Sequence[Tax] = (),
    included: bool = False,
) -> tuple[list[tuple[D, D]], tuple[D, D, D]]:
    """Net and gross of each line, and the totals: gross, net, tax."""
    totals = Totals(None if gross is None else D(gross), None if tax is None else D(tax), included)
    canonical_lines, total = reconcile(lines, totals, taxes, CENT)
    return [(row["creditAmount"], row["settlementAmount"]) for row in canonical_lines], (
        total["grossTotal"],
        total["netTotal"],
        total["taxPayable"],
    )


def amounts(*rows: tuple[str, str]) -> list[tuple[D, D]]:
    return [(D(net), D(gross)) for net, gross in rows]


def test_tax_of_the_receipt_is_split_by_largest_remainder() -> None:
    rows, total = reconciled([line("1.00"), line("1.00"), line("1.00")], "3.20", "0.20")
    assert rows == amounts(("1.00", "1.07"), ("1.00", "1.07"), ("1.00", "1.06"))
    assert total == (D("3.20"), D("3.00"), D("0.20"))


def test_prices_that_add_up_to_the_total_include_tax() -> None:
    rows, total = reconciled([line("2.40"), line("1.20")], "3.60", "0.30")
    assert rows == amounts(("2.20", "2.40"), ("1.10", "1.20"))
    assert total == (D("3.60"), D("3.30"), D("0.30"))


def test_a_line_keeps_its_own_tax() -> None:
    rows, _ = reconciled([line("1.00", "0.20"), line("1.00", "0.05"), line("1.00")], "3.25", "0.25")
    assert rows == amounts(("1.00", "1.20"), ("1.00", "1.05"), ("1.00", "1.00"))


def test_a_line_that_is_not_taxable_has_no_tax() -> None:
    rows, _ = reconciled([line("1.00"), line("9.00", taxable=False)], "10.10", "0.10")
    assert rows == amounts(("1.00", "1.10"), ("9.00", "9.00"))
    free, _ = reconciled([line("1.00", taxable=False)], "1.10", "0.10")
    assert free == amounts(("1.00", "1.10"))


def test_negative_lines_have_negative_tax() -> None:
    rows, total = reconciled([line("10.00"), line("-4.00")], "6.48", "0.48")
    assert rows == amounts(("10.00", "10.80"), ("-4.00", "-4.32"))
    assert total == (D("6.48"), D("6.00"), D("0.48"))


@pytest.mark.parametrize("second", ["-10.00", "-9.99"])
def test_nearly_cancelling_lines_have_no_excessive_tax(second: str) -> None:
    gross = D("10.00") + D(second) + D("0.80")
    rows, _ = reconciled([line("10.00"), line(second)], str(gross), "0.80")
    assert sum(after - before for before, after in rows) == D("0.80")
    assert all(abs(after - before) <= D("0.80") for before, after in rows)


def test_the_tax_comes_from_the_total_or_the_taxes_or_the_lines() -> None:
    taxes = [Tax(D("0.30"), None, None), Tax(D("0.10"), None, None)]
    assert reconciled([line("4.00", "0.40")], "4.40", None, taxes)[1] == (D("4.40"), D("4.00"), D("0.40"))
    assert reconciled([line("4.00", "0.40")], "4.40")[1] == (D("4.40"), D("4.00"), D("0.40"))
    assert reconciled([line("4.00")], "4.00")[1] == (D("4.00"), D("4.00"), D(0))
    assert reconciled([line("4.00", "0.40")], "4.39", "0.39", taxes)[1][2] == D("0.39")


def test_a_missing_total_is_the_sum_of_the_lines() -> None:
    assert reconciled([line("4.00", "0.40")], None)[1] == (D("4.40"), D("4.00"), D("0.40"))
    assert reconciled([line("4.00", "0.40")], None, included=True)[1] == (D("4.00"), D("3.60"), D("0.40"))


def test_a_discount_line_counts_unless_the_other_lines_include_it() -> None:
    lines = [line("2.00"), line("-0.50", is_discount=True)]
    assert reconciled(lines, "1.50")[0] == amounts(("2.00", "2.00"), ("-0.50", "-0.50"))
    assert reconciled([line("1.50"), line("-0.50", is_discount=True)], "1.50")[0] == amounts(("1.50", "1.50"))


def test_a_price_change_counts_if_the_amounts_are_before_it() -> None:
    lines = [line("2.00", price_change="-0.50"), line("1.00")]
    assert reconciled(lines, "2.50")[0] == amounts(("2.00", "2.00"), ("-0.50", "-0.50"), ("1.00", "1.00"))
    assert reconciled(lines, "3.00")[0] == amounts(("2.00", "2.00"), ("1.00", "1.00"))


def test_a_receipt_discount_repeated_by_its_lines_counts_once() -> None:
    # In yen, with the discount of the whole receipt shared out to its lines.
    lines = [
        line("556", price_change="-101"),
        line("545", price_change="-99"),
        line("1440", price_change="-793"),
        line("-172", is_discount=True),
    ]
    rows, total = reconciled(lines, "1548", "114")
    assert sum(gross for _, gross in rows) == 1548
    assert total == (D(1548), D(1434), D(114))


def test_the_line_of_a_price_change_names_its_product() -> None:
    sold = Line({"productCode": "7", "quantity": D(2)}, D("2.00"), price_change=D("-0.50"))
    canonical_lines, _ = reconcile([sold], Totals(D("1.50")), [], CENT)
    assert canonical_lines[1] == {
        "productCode": "7",
        "quantity": 0,
        "creditAmount": D("-0.50"),
        "settlementAmount": D("-0.50"),
    }


@pytest.mark.parametrize("tax", ["-0.80", "0.80"])
@pytest.mark.parametrize("gross", ["-10.80", "10.80"])
def test_a_refund_is_negative_with_any_sign(gross: str, tax: str) -> None:
    rows, total = reconciled([line("-10.00")], gross, tax)
    assert rows == amounts(("-10.00", "-10.80"))
    assert total == (D("-10.80"), D("-10.00"), D("-0.80"))


def test_a_refund_may_include_its_tax() -> None:
    rows, total = reconciled([line("-1.29")], "-1.29", "-0.21")
    assert rows == amounts(("-1.08", "-1.29"))
    assert total == (D("-1.29"), D("-1.08"), D("-0.21"))


def test_lines_that_do_not_add_up_are_read_as_the_standard_says() -> None:
    rows, total = reconciled([line("1.00")], "9.99", "0.20")
    assert rows == amounts(("1.00", "1.20"))
    assert total == (D("9.99"), D("9.79"), D("0.20"))


def test_a_receipt_without_lines_has_its_totals() -> None:
    assert reconciled([], "5.00", "0.50") == ([], (D("5.00"), D("4.50"), D("0.50")))


@pytest.mark.parametrize(
    ("taxes", "rate"),
    [
        ([Tax(D("0.10"), D("5"), None)], D("5")),
        ([Tax(D("0.10"), D("5"), D("2.00"))], D("5")),
        ([Tax(D("0.06"), D("3"), D("2.00")), Tax(D("0.04"), D("2"), D("2.00"))], D("5")),
        ([Tax(D("0.10"), D("20"), D("0.50"))], None),
        ([Tax(D("0.06"), D("3"), None), Tax(D("0.04"), D("2"), None)], None),
        ([Tax(D("0.10"), None, None)], None),
    ],
)
def test_the_common_rate_is_set_only_if_it_applies_to_all_lines(taxes: list[Tax], rate: D | None) -> None:
    canonical_lines, _ = reconcile([line("2.00")], Totals(D("2.10"), D("0.10")), taxes, CENT)
    assert canonical_lines[0].get("taxPercentage") == rate
