"""Sales are reproducible, and receipt numbers are unique."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.support.decimal_receipts import gross_cents, parse_receipt
from tillstream.generator.assortment import Day
from tillstream.generator.chain import Chain
from tillstream.generator.sales import (
    DAY_S,
    BasketPool,
    DailySales,
    Sales,
    Sampler,
    hour_of,
    run_name,
    sample_around_the_clock,
    sample_open_tills,
    sample_week,
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
