"""Generated receipts always add up to the cent. In large numbers, they resemble those of a French bakery."""

from __future__ import annotations

import statistics
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.decimal_receipts import cents, gross_cents, parse_receipt
from tillstream.generator.chain import Chain
from tillstream.generator.products import Day
from tillstream.generator.receipts import encode_basket
from tillstream.generator.sales_and_returns import (
    DAY_S,
    DailySales,
    Sales,
    hour_of,
    run_name,
    sample_week,
    sell,
    weekday_of,
)
from tillstream.generator.schedule import trading_day

MONDAY_S = 1_772_409_600  # 2026-03-02 00:00:00
SAMPLE = 30_000

seeds = st.integers(min_value=0, max_value=2**32)


def check(receipt: dict[str, Any]) -> None:
    """Check that lines, totals, VAT and settlements agree to the cent."""
    total = {name: cents(amount) for name, amount in receipt["documentTotal"].items()}
    lines = receipt["lines"]
    assert total["grossTotal"] == sum(cents(line["settlementAmount"]) for line in lines)
    assert total["grossTotal"] == sum(cents(part["settlementAmount"]) for part in receipt["settlements"])
    assert total["netTotal"] == sum(cents(line["creditAmount"]) for line in lines)
    assert total["taxPayable"] == total["grossTotal"] - total["netTotal"]
    assert [line["lineNumber"] for line in lines] == list(range(1, len(lines) + 1))
    for line in lines:
        exact = cents(line["settlementAmount"]) / (1 + float(line["taxPercentage"]) / 100)
        assert abs(cents(line["creditAmount"]) - exact) <= 0.5001


@given(seed=seeds, day=st.sampled_from(Day), hour=st.integers(7, 18), reversed=st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_receipt_adds_up(seed: int, day: Day, hour: int, reversed: bool) -> None:
    random = Random(seed)
    basket = sell(random, day, hour)
    receipt = parse_receipt(b"{" + encode_basket(basket.as_return() if reversed else basket, random))

    check(receipt)
    assert (gross_cents(receipt) < 0) is reversed


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_the_same_seed_makes_the_same_bytes(seed: int) -> None:
    chain = Chain(5, (2, 4))

    def printed() -> list[bytes]:
        sales = Sales(chain, sample_week, Random(seed), run_name(seed), None)
        return [sales.receipt_at(MONDAY_S + number) for number in range(40)]

    assert printed() == printed()


@given(first=seeds, second=seeds)
def test_two_seeds_never_share_a_run_name(first: int, second: int) -> None:
    assert (run_name(first) == run_name(second)) is (first == second)


@cache
def week() -> list[dict[str, Any]]:
    """A sample of one week, as tills would send it."""
    sales = Sales(Chain(100, (4, 4)), sample_week, Random(1), run_name(1), None)
    return [parse_receipt(sales.receipt_at(MONDAY_S)) for _ in range(SAMPLE)]


def sold() -> list[dict[str, Any]]:
    return [receipt for receipt in week() if gross_cents(receipt) > 0]


def items(receipt: dict[str, Any]) -> int:
    """Number of items. A weighed line counts as one."""
    return sum(1 if line["unitOfMeasure"] == "kg" else int(line["quantity"]) for line in receipt["lines"])


def test_the_sample_adds_up_and_holds_float_noise_and_one_decimal_amounts() -> None:
    for receipt in week():
        check(receipt)
    amounts = [str(receipt["documentTotal"]["grossTotal"]) for receipt in week()]
    assert any(len(amount) > 10 for amount in amounts)
    assert any(len(amount.partition(".")[2]) == 1 for amount in amounts)


def test_items_and_lines_match_the_measured_shop() -> None:
    counts = [items(receipt) for receipt in sold()]

    assert statistics.mean(counts) == pytest.approx(2.67, abs=0.15)
    assert statistics.median(counts) == 2
    assert max(counts) > 15
    assert statistics.mean(len(receipt["lines"]) for receipt in sold()) == pytest.approx(1.7, abs=0.1)


def test_tickets_match_the_measured_shop() -> None:
    tickets = [gross_cents(receipt) for receipt in sold()]
    quartiles = statistics.quantiles(tickets, n=4)

    assert statistics.mean(tickets) == pytest.approx(414, abs=20)
    assert quartiles == pytest.approx([130, 255, 510], abs=25)
    assert max(tickets) > 5000


def test_returns_are_as_rare_as_measured() -> None:
    returns = len(week()) - len(sold())

    assert returns / len(week()) == pytest.approx(0.0056, abs=0.0015)


@pytest.mark.parametrize(
    ("product", "percent"),
    [
        ("Baguette tradition", 26),
        ("Formule", 6),
        ("Croissant", 6),
        ("Pain au chocolat", 5.6),
        ("Banette", 4.4),
        ("Baguette", 3.7),
        ("Pain special", 2.4),
    ],
)
def test_products_have_their_share_of_the_revenue(product: str, percent: float) -> None:
    revenue: Counter[str] = Counter()
    for receipt in week():
        for line in receipt["lines"]:
            name = line["productDescription"]
            revenue["Formule" if name.startswith("Formule") else name] += cents(line["settlementAmount"])

    assert 100 * revenue[product] / revenue.total() == pytest.approx(percent, abs=1.2)


def test_all_nine_categories_sell_and_bread_leads() -> None:
    revenue: Counter[str] = Counter()
    for receipt in week():
        for line in receipt["lines"]:
            revenue[line["productCategoryName"]] += cents(line["settlementAmount"])

    assert len(revenue) == 9
    assert [name for name, _ in revenue.most_common(3)] == ["Pain", "Viennoiserie", "Patisserie"]
    assert revenue["Pain"] / revenue.total() == pytest.approx(0.5, abs=0.04)
    assert min(revenue.values()) / revenue.total() > 0.01


def test_croissants_come_with_pain_au_chocolat_in_nearly_half_of_their_tickets() -> None:
    names = [{line["productDescription"] for line in receipt["lines"]} for receipt in sold()]
    croissants = [bought for bought in names if "Croissant" in bought]

    paired = sum("Pain au chocolat" in bought for bought in croissants)

    assert paired / len(croissants) == pytest.approx(0.47, abs=0.04)


def test_tenders_are_mixed_and_some_are_split() -> None:
    first = Counter(receipt["settlements"][0]["paymentMechanism"] for receipt in sold())
    share = {name: count / first.total() for name, count in first.items()}

    assert share["CB"] == pytest.approx(0.60, abs=0.02)
    assert share["Especes"] == pytest.approx(0.33, abs=0.02)
    assert share["Titre restaurant"] == pytest.approx(0.07, abs=0.015)
    assert sum(len(receipt["settlements"]) > 1 for receipt in sold()) / len(sold()) == pytest.approx(0.02, abs=0.01)


def test_vat_has_the_three_rates_and_one_product_carries_two() -> None:
    lines = [line for receipt in week() for line in receipt["lines"]]

    assert {float(line["taxPercentage"]) for line in lines} == {5.5, 10, 20}
    assert len({line["taxPercentage"] for line in lines if line["productDescription"] == "Croissant"}) == 2


@cache
def month() -> tuple[Counter[int], Counter[int]]:
    """Revenue in cents by weekday and by hour of four weeks in a chain of town shops."""
    chain = Chain(6, (2, 2), city_share=0)
    diary = DailySales(chain, 1, None)
    weekdays: Counter[int] = Counter()
    hours: Counter[int] = Counter()
    for day_s in range(MONDAY_S, MONDAY_S + 28 * DAY_S, DAY_S):
        for second_s in trading_day(chain, day_s, day_s, day_s, day_s + DAY_S):
            amount = gross_cents(parse_receipt(diary.receipt_at(second_s)))
            weekdays[weekday_of(second_s)] += amount
            hours[hour_of(second_s)] += amount
    return weekdays, hours


def test_sales_by_weekday_match_the_measured_shop() -> None:
    weekdays, _ = month()
    index = [7 * weekdays[weekday] / weekdays.total() for weekday in range(7)]

    assert index == pytest.approx([0.91, 0.82, 0.87, 0.85, 0.92, 1.13, 1.50], abs=0.12)


def test_sales_by_hour_match_the_measured_shop() -> None:
    _, hours = month()
    percent = {hour: 100 * amount / hours.total() for hour, amount in hours.items()}

    assert [percent[hour] for hour in range(7, 14)] == pytest.approx([3, 12, 14, 17, 20, 18, 3], abs=1.5)
    assert sum(percent[hour] for hour in (16, 17, 18)) == pytest.approx(11, abs=1.5)
    assert not hours[14]
    assert not hours[15]


def test_city_shops_peak_in_the_morning_at_noon_and_after_work() -> None:
    chain = Chain(8, (2, 2), city_share=1)
    tickets = {hour: chain.expected_receipts(0, hour) for hour in range(7, 19)}

    assert tickets[8] > tickets[10] < tickets[12] > tickets[15] < tickets[17]
