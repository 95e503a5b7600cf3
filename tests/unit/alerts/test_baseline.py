"""What is usual: read once a day from the past weeks, and again when its past changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import TODAY, SalesSimulation
from tests.support.receipts import body
from tillstream.alerts.baseline import Baseline, Baselines, HourlyBaseline, StoreBaseline
from tillstream.receipt.model import UNALLOCATED


def usual_of(pipeline: Pipeline, days: Baselines | None = None) -> Baseline:
    with pipeline.database.snapshot() as reader:
        return (days or Baselines(0)).of(reader, TODAY)


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}")


def test_given_two_past_weeks_when_read_then_every_habit_is_their_sum_by_the_hour(pipeline: Pipeline) -> None:
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks(1, 2)
    usual = usual_of(pipeline)
    assert usual.chain is not None
    assert (usual.chain.weeks, usual.chain.last) == (2, TODAY - timedelta(weeks=1))
    assert usual.chain.receipts == [0] * 7 + [320] * 12 + [0] * 5
    assert usual.stores["1"].receipts[7] == 160
    assert usual.stores["1"].revenue[7] == Decimal("800.00")
    assert usual.stores["1"].first_hours(8) == (Decimal("800.00"), 160)
    assert usual.tills["1"]["2"].receipts[18] == 80
    assert usual.products["SAN"].title == "Sandwich jambon"
    assert usual.products["SAN"].receipts[12] == 320
    assert UNALLOCATED not in usual.products


def test_given_other_weekdays_and_older_weeks_when_read_then_they_do_not_count(pipeline: Pipeline) -> None:
    for day in ("2026-11-22", "2026-11-17", "2026-10-19", "2026-11-23"):
        pipeline.append(body(cashReceiptID=day, date=f"{day} 12:00:00"))
    pipeline.drain()
    assert usual_of(pipeline).chain is None
    pipeline.append(body(date="2026-10-26 12:00:00"))
    pipeline.drain()
    chain = usual_of(pipeline).chain
    assert chain is not None
    assert sum(chain.receipts) == 1


def test_given_a_shop_that_sold_in_one_week_only_when_read_then_its_mean_is_of_that_week(pipeline: Pipeline) -> None:
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks(1)
    simulation.tills = simulation.tills[:-1]
    simulation.sell_past_weeks(2)
    usual = usual_of(pipeline)
    assert (usual.stores["3"].weeks, usual.stores["2"].weeks) == (1, 2)
    assert usual.stores["3"].expected(at("09:30"), at("10:30")) == pytest.approx(40)
    assert usual.stores["2"].expected(at("09:30"), at("10:30")) == pytest.approx(40)


def test_given_a_habit_when_asked_about_parts_of_hours_then_they_count_by_their_length() -> None:
    habit = HourlyBaseline(2, TODAY)
    habit.receipts[9], habit.receipts[10] = 20, 60
    assert habit.expected(at("09:45"), at("10:20")) == pytest.approx(10 / 4 + 30 / 3)
    assert habit.expected(at("10:20"), at("10:20")) == 0


@pytest.mark.parametrize(
    ("clock", "opened"),
    [("07:59", None), ("08:00", "08:00"), ("10:30", "08:00"), ("11:00", None), ("14:30", None), ("16:10", "16:00")],
)
def test_given_a_shop_with_a_noon_break_when_asked_then_the_hours_at_its_edges_stay_out(
    clock: str, opened: str | None
) -> None:
    trade = StoreBaseline(2, TODAY)
    for hour in (7, 8, 9, 10, 11, 15, 16, 17):
        trade.weeks_sold[hour] = 1
    assert trade.opened(at(clock)) == (at(opened) if opened else None)


def test_given_hours_in_which_it_sold_once_in_three_weeks_when_asked_then_they_are_not_usual() -> None:
    trade = StoreBaseline(3, TODAY)
    trade.weeks_sold[7:19] = [3] * 12
    trade.weeks_sold[21] = 1
    assert trade.sells_later(at("18:59"))
    assert not trade.sells_later(at("19:00"))


def test_given_a_business_day_that_begins_at_four_when_asked_then_its_hours_are_in_its_order() -> None:
    trade = StoreBaseline(1, TODAY, first_hour=4)
    trade.weeks_sold = [1] * 24
    trade.receipts = list(range(24))
    assert trade.first_hours(2) == (Decimal(0), 4 + 5)
    assert trade.opened(at("02:30")) == datetime.fromisoformat("2026-11-22T05:00")
    assert trade.opened(at("03:30")) is None
    assert trade.sells_later(at("02:30"))


def test_given_what_was_read_when_a_little_comes_late_then_it_is_kept_and_when_much_does_it_is_read_again(
    pipeline: Pipeline,
) -> None:
    simulation, days = SalesSimulation(pipeline), Baselines(0)
    simulation.sell_past_weeks(1)
    first = usual_of(pipeline, days)
    pipeline.append(body(date="2026-11-16 12:00:07"))
    pipeline.drain()
    assert usual_of(pipeline, days) is first
    simulation.sell_past_weeks(2)
    again = usual_of(pipeline, days)
    assert again.chain is not None
    assert again.chain.weeks == 2


def test_given_many_days_when_asked_about_each_then_only_the_last_few_are_kept(pipeline: Pipeline) -> None:
    days = Baselines(0)
    with pipeline.database.snapshot() as reader:
        for number in range(10):
            days.of(reader, TODAY + timedelta(days=number))
    assert len(days._cache) == 3
