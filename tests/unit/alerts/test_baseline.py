"""Baselines: read once a day from the past weeks, and again when the past changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import TODAY, SalesSimulation
from tests.support.receipts import body
from tillstream.alerts.baseline import Baseline, Baselines, HourlyBaseline, StoreBaseline
from tillstream.receipt.model import UNALLOCATED


def baseline_of(pipeline: Pipeline, baselines: Baselines | None = None) -> Baseline:
    with pipeline.database.snapshot() as reader:
        return (baselines or Baselines(0)).of(reader, TODAY)


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}")


def test_given_two_past_weeks_when_read_then_every_baseline_is_their_sum_by_hour(pipeline: Pipeline) -> None:
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks(1, 2)
    baseline = baseline_of(pipeline)
    assert baseline.chain is not None
    assert (baseline.chain.weeks, baseline.chain.last) == (2, TODAY - timedelta(weeks=1))
    assert baseline.chain.receipts == [0] * 7 + [320] * 12 + [0] * 5
    assert baseline.stores["1"].receipts[7] == 160
    assert baseline.stores["1"].revenue[7] == Decimal("800.00")
    assert baseline.stores["1"].first_hours(8) == (Decimal("800.00"), 160)
    assert baseline.stores["1"].tills["2"].receipts[18] == 80
    assert baseline.products["SAN"].title == "Sandwich jambon"
    assert baseline.products["SAN"].receipts[12] == 320
    assert UNALLOCATED not in baseline.products


def test_given_other_weekdays_and_older_weeks_when_read_then_they_do_not_count(pipeline: Pipeline) -> None:
    for day in ("2026-11-22", "2026-11-17", "2026-10-19", "2026-11-23"):
        pipeline.append(body(cashReceiptID=day, date=f"{day} 12:00:00"))
    pipeline.drain()
    assert baseline_of(pipeline).chain is None
    pipeline.append(body(date="2026-10-26 12:00:00"))
    pipeline.drain()
    chain = baseline_of(pipeline).chain
    assert chain is not None
    assert sum(chain.receipts) == 1


def test_given_a_shop_that_sold_in_one_week_only_when_read_then_its_mean_is_over_that_week(pipeline: Pipeline) -> None:
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks(1)
    simulation.tills = simulation.tills[:-1]
    simulation.sell_past_weeks(2)
    baseline = baseline_of(pipeline)
    assert (baseline.stores["3"].weeks, baseline.stores["2"].weeks) == (1, 2)
    assert baseline.stores["3"].expected(at("09:30"), at("10:30")) == pytest.approx(40)
    assert baseline.stores["2"].expected(at("09:30"), at("10:30")) == pytest.approx(40)


def test_given_a_baseline_when_parts_of_hours_are_expected_then_they_count_by_their_length() -> None:
    hourly = HourlyBaseline(2, TODAY)
    hourly.receipts[9], hourly.receipts[10] = 20, 60
    assert hourly.expected(at("09:45"), at("10:20")) == pytest.approx(10 / 4 + 30 / 3)
    assert hourly.expected(at("10:20"), at("10:20")) == 0


@pytest.mark.parametrize(
    ("clock", "opened"),
    [("07:59", None), ("08:00", "08:00"), ("10:30", "08:00"), ("11:00", None), ("14:30", None), ("16:10", "16:00")],
)
def test_given_a_shop_with_a_noon_break_when_opened_is_read_then_the_first_and_last_hours_are_left_out(
    clock: str, opened: str | None
) -> None:
    store = StoreBaseline(2, TODAY)
    for hour in (7, 8, 9, 10, 11, 15, 16, 17):
        store.weeks_sold[hour] = 1
    assert store.opened(at(clock)) == (at(opened) if opened else None)


def test_given_an_hour_with_sales_in_one_of_three_weeks_then_it_is_not_usual() -> None:
    store = StoreBaseline(3, TODAY)
    store.weeks_sold[7:19] = [3] * 12
    store.weeks_sold[21] = 1
    assert store.sells_later(at("18:59"))
    assert not store.sells_later(at("19:00"))


def test_given_a_business_day_that_begins_at_four_then_its_hours_are_counted_from_four() -> None:
    store = StoreBaseline(1, TODAY, first_hour=4)
    store.weeks_sold = [1] * 24
    store.receipts = list(range(24))
    assert store.first_hours(2) == (Decimal(0), 4 + 5)
    assert store.opened(at("02:30")) == datetime.fromisoformat("2026-11-22T05:00")
    assert store.opened(at("03:30")) is None
    assert store.sells_later(at("02:30"))


def test_given_a_cached_baseline_when_a_few_late_receipts_arrive_then_it_stays_and_when_many_do_it_is_read_again(
    pipeline: Pipeline,
) -> None:
    simulation, baselines = SalesSimulation(pipeline), Baselines(0)
    simulation.sell_past_weeks(1)
    first = baseline_of(pipeline, baselines)
    pipeline.append(body(date="2026-11-16 12:00:07"))
    pipeline.drain()
    assert baseline_of(pipeline, baselines) is first
    simulation.sell_past_weeks(2)
    again = baseline_of(pipeline, baselines)
    assert again.chain is not None
    assert again.chain.weeks == 2


def test_given_many_days_when_each_is_read_then_only_the_last_few_are_cached(pipeline: Pipeline) -> None:
    baselines = Baselines(0)
    with pipeline.database.snapshot() as reader:
        for number in range(10):
            baselines.of(reader, TODAY + timedelta(days=number))
    assert len(baselines._cache) == 3
