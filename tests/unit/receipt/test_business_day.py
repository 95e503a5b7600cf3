"""A business day begins at `day_start` in the chain's zone, whatever the clock does that night."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US
from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.receipt.business_day import BusinessDays, Calendar


@pytest.mark.parametrize(
    ("day_start", "local", "day"),
    [
        ("00:00", datetime(2026, 11, 24, 0, 30), date(2026, 11, 24)),
        ("04:00", datetime(2026, 11, 24, 0, 30), date(2026, 11, 23)),
        ("04:30", datetime(2026, 11, 24, 4, 29, 59), date(2026, 11, 23)),
        ("04:30", datetime(2026, 11, 24, 4, 30), date(2026, 11, 24)),
    ],
)
def test_a_local_time_before_the_start_of_the_day_belongs_to_the_day_before(
    day_start: str, local: datetime, day: date
) -> None:
    days = BusinessDays(Settings(day_start=day_start))
    assert days.day_of(local) == day
    assert days.start(day) <= local


def test_given_a_day_that_begins_at_four_when_it_is_two_then_today_is_yesterday(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(day_start="04:00"))
    pipeline.clock.advance(14 * 3600)
    queries = queries_of(pipeline)
    assert queries.today() == date(2026, 11, 23)
    assert queries.local_now().isoformat() == "2026-11-24T02:00:00"
    assert queries.snapshot()["minutes"]["start"] == "2026-11-23T04:00"
    pipeline.close()


def test_the_local_time_is_that_of_the_chains_zone() -> None:
    calendar = Calendar(Settings(), ManualClock(NOON_US))
    assert calendar.local_now().isoformat() == "2026-11-23T12:00:00"


def test_given_a_change_of_the_clock_when_a_day_is_spanned_then_it_has_its_hours() -> None:
    calendar = Calendar(Settings(day_start="05:00"), ManualClock(NOON_US))
    assert calendar.start(date(2026, 10, 24)) == datetime(2026, 10, 24, 5)
    assert calendar.span(date(2026, 10, 24)) == (datetime(2026, 10, 24, 3), datetime(2026, 10, 25, 4))
    assert calendar.span(date(2026, 3, 28)) == (datetime(2026, 3, 28, 4), datetime(2026, 3, 29, 3))
