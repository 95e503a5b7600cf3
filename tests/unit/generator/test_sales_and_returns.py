"""Baskets have every kind of line and payment. Sales are reproducible, and receipt numbers are unique."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.support.decimal_receipts import gross_cents, parse_receipt
from tillstream.generator.chain import Chain
from tillstream.generator.products import SLICING, Day
from tillstream.generator.receipts import Basket
from tillstream.generator.sales_and_returns import (
    CASH,
    DAY_S,
    VOUCHER,
    VOUCHER_CENTS,
    BasketPool,
    DailySales,
    Sales,
    Sampler,
    hour_of,
    run_name,
    sample_around_the_clock,
    sample_open_tills,
    sample_week,
    sell,
    weekday_of,
)

MONDAY_S = 1_772_409_600  # 2026-03-02 00:00:00
CHAIN = Chain(10, (2, 2))


def sales(seed: int = 1, sampler: Sampler = sample_week, pooled: bool = True) -> Sales:
    return Sales(CHAIN, sampler, Random(seed), run_name(seed), BasketPool(seed) if pooled else None)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_seed_gives_the_same_bytes_and_another_seed_different_ones(pooled: bool) -> None:
    first, second, other = sales(1, pooled=pooled), sales(1, pooled=pooled), sales(2, pooled=pooled)

    dates = range(MONDAY_S, MONDAY_S + 300)

    assert [first.receipt_at(date) for date in dates] == [second.receipt_at(date) for date in dates]
    assert first.receipt_at(MONDAY_S) != other.receipt_at(MONDAY_S)


def test_the_sales_of_a_seed_do_not_depend_on_the_start_time() -> None:
    morning, night = sales(), sales()

    def undated(receipt: bytes) -> dict[str, object]:
        return {name: value for name, value in parse_receipt(receipt).items() if name != "date"}

    assert [undated(morning.receipt_at(MONDAY_S + 9 * 3600)) for _ in range(500)] == [
        undated(night.receipt_at(MONDAY_S + 6 * DAY_S)) for _ in range(500)
    ]


def test_a_pool_gives_the_same_baskets_whether_it_is_filled_in_advance_or_not() -> None:
    pool = BasketPool(1)
    pool.fill()
    full = Sales(CHAIN, sample_week, Random(1), run_name(1), pool)

    assert _printed(full, 200) == _printed(sales(), 200)


def _printed(series: Sales, count: int) -> list[bytes]:
    return [series.receipt_at(MONDAY_S) for _ in range(count)]


def test_receipt_numbers_are_unique_per_till_and_seed() -> None:
    numbers = Counter(
        (receipt["storeID"], receipt["terminalID"], receipt["cashReceiptID"])
        for seed in (1, 2)
        for receipt in map(parse_receipt, _printed(sales(seed), 3000))
    )

    assert max(numbers.values()) == 1


def test_a_return_reverses_the_receipt_before_it_at_its_till() -> None:
    receipts = [parse_receipt(receipt) for receipt in _printed(sales(pooled=False), 10_000)]

    returns = [number for number, receipt in enumerate(receipts) if gross_cents(receipt) < 0]

    assert returns
    for number in returns:
        sold, returned = receipts[number - 1], receipts[number]
        assert gross_cents(returned) == -gross_cents(sold)
        assert (returned["storeID"], returned["terminalID"]) == (sold["storeID"], sold["terminalID"])
        assert returned.get("customerID") == sold.get("customerID")
        assert returned["cashReceiptID"] != sold["cashReceiptID"]
        assert [line["productCode"] for line in returned["lines"]] == [line["productCode"] for line in sold["lines"]]


def test_a_receipt_has_its_local_time() -> None:
    assert parse_receipt(sales().receipt_at(MONDAY_S + 8 * 3600 + 61))["date"] == "2026-03-02 08:01:01"


@pytest.mark.parametrize(("days", "weekday"), [(0, 0), (4, 4), (6, 6), (7, 0)])
def test_weekdays_count_from_monday(days: int, weekday: int) -> None:
    second = MONDAY_S + days * DAY_S + 5 * 3600

    assert (weekday_of(second), hour_of(second)) == (weekday, 5)


def test_open_tills_sell_for_the_current_hour() -> None:
    assert sample_open_tills(CHAIN, Random(1), MONDAY_S + 12 * 3600)[:2] == (Day.WEEKDAY, 12)


def test_each_hour_of_the_night_passes_through_a_full_day() -> None:
    hours = [sample_around_the_clock(CHAIN, Random(1), MONDAY_S + 3 * 3600 + minute * 60)[1] for minute in range(60)]

    assert hours == sorted(hours)
    assert set(hours) == set(range(7, 19))
    assert sample_around_the_clock(CHAIN, Random(1), MONDAY_S + 9 * 3600)[1] == 9


def test_the_sales_of_a_day_do_not_depend_on_the_days_before() -> None:
    whole, later = DailySales(CHAIN, 1, BasketPool(1)), DailySales(CHAIN, 1, BasketPool(1))
    noon = MONDAY_S + 12 * 3600

    _ = [whole.receipt_at(noon + number) for number in range(50)]
    tuesday = [whole.receipt_at(noon + DAY_S + number) for number in range(50)]

    assert [later.receipt_at(noon + DAY_S + number) for number in range(50)] == tuesday


def baskets(count: int, hour: int = 12) -> list[Basket]:
    random = Random(5)
    return [sell(random, Day.WEEKDAY, hour) for _ in range(count)]


def test_the_payments_of_a_basket_cover_its_lines() -> None:
    for basket in baskets(5000):
        assert sum(amount for _, amount in basket.settlements) == basket.gross
        assert all(amount >= 0 for _, amount in basket.settlements)


def test_a_meal_voucher_pays_up_to_its_value_and_another_payment_the_rest() -> None:
    paid = [basket for basket in baskets(5000) if basket.settlements[0][0] == VOUCHER]

    split = [basket for basket in paid if basket.gross > VOUCHER_CENTS]

    assert split
    assert all(len(basket.settlements) == 2 and basket.settlements[0][1] == VOUCHER_CENTS for basket in split)
    assert all(len(basket.settlements) == 1 for basket in paid if basket not in split)


def test_a_return_has_the_opposite_signs() -> None:
    for basket in baskets(500):
        returned = basket.as_return()

        assert returned.gross == -basket.gross
        assert returned.net == -basket.net
        assert [line.quantity for line in returned.lines] == [-line.quantity for line in basket.lines]
        assert [mechanism for mechanism, _ in returned.settlements] == [
            mechanism for mechanism, _ in basket.settlements
        ]


def test_baskets_have_sliced_weighed_free_and_repeated_lines() -> None:
    everything = baskets(20_000, hour=10)
    lines = [line for basket in everything for line in basket.lines]

    assert any(line.product is SLICING for line in lines)
    assert any(line.product.weighed and line.quantity > 1 for line in lines)
    assert any(line.gross == 0 and line.quantity == 1 for line in lines)
    assert any(len(set(basket.lines)) < len(basket.lines) for basket in everything)
    assert all(basket.gross > 0 for basket in everything)


def test_a_lunch_of_bread_may_be_paid_in_cash_too() -> None:
    assert any(mechanism == CASH for basket in baskets(100) for mechanism, _ in basket.settlements)
