"""Business days begin at `day_start`, and local times become UTC, also on the days of a clock change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inprocess.clock import ManualClock
from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US
from tillstream.config.settings import Settings
from tillstream.receipt.business_day import BusinessDays, Calendar, offsets

PARIS = "Europe/Paris"


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
    assert queries.calendar.today() == date(2026, 11, 23)
    assert queries.local_now().isoformat() == "2026-11-24T02:00:00"
    assert queries.snapshot().minutes.start == "2026-11-23T04:00"
    pipeline.close()


def test_the_local_time_is_that_of_the_chains_zone() -> None:
    calendar = Calendar(Settings(), ManualClock(NOON_US))
    assert calendar.local_now().isoformat() == "2026-11-23T12:00:00"


def test_given_a_change_of_the_clock_when_a_day_is_spanned_then_it_has_its_hours() -> None:
    calendar = Calendar(Settings(day_start="05:00"), ManualClock(NOON_US))
    assert calendar.start(date(2026, 10, 24)) == datetime(2026, 10, 24, 5)
    assert calendar.span(date(2026, 10, 24)) == (datetime(2026, 10, 24, 3), datetime(2026, 10, 25, 4))
    assert calendar.span(date(2026, 3, 28)) == (datetime(2026, 3, 28, 4), datetime(2026, 3, 29, 3))


def to_utc(zone_name: str, local: datetime, near: datetime) -> datetime:
    """Convert a naive local time to naive UTC, as the SQL of `Normalization.sales` does.

    In an hour that occurs twice, choose the time nearest to `near` (UTC).
    """
    found = offsets(zone_name, local.date())
    if local < found.from_local or (found.after > found.before and local < found.to_local):
        return local - found.before
    if local >= found.to_local:
        return local - found.after
    first, second = local - found.before, local - found.after
    return first if abs(first - near) <= abs(second - near) else second


def test_an_ordinary_day_has_one_offset() -> None:
    found = offsets(PARIS, date(2026, 11, 23))
    assert found.before == found.after == timedelta(hours=1)


def test_spring_skips_an_hour() -> None:
    found = offsets(PARIS, date(2026, 3, 29))
    assert (found.before, found.after) == (timedelta(hours=1), timedelta(hours=2))
    assert (found.from_local, found.to_local) == (datetime(2026, 3, 29, 2), datetime(2026, 3, 29, 3))


def test_an_hour_skipped_before_midnight_belongs_to_the_day_before() -> None:
    found = offsets("Europe/Madrid", date(1974, 4, 13))
    assert (found.from_local, found.to_local) == (datetime(1974, 4, 13, 23), datetime(1974, 4, 14))
    found = offsets("Europe/Madrid", date(1974, 4, 14))
    assert found.before == found.after == timedelta(hours=2)


def test_autumn_repeats_an_hour() -> None:
    found = offsets(PARIS, date(2026, 10, 25))
    assert (found.before, found.after) == (timedelta(hours=2), timedelta(hours=1))
    assert (found.from_local, found.to_local) == (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 3))


@pytest.mark.parametrize(
    ("local", "near", "utc"),
    [
        ("2026-10-25T01:59:59", "2026-10-25T12:00:00", "2026-10-24T23:59:59"),
        ("2026-10-25T02:30:00", "2026-10-25T00:31:00", "2026-10-25T00:30:00"),
        ("2026-10-25T02:30:00", "2026-10-25T01:31:00", "2026-10-25T01:30:00"),
        ("2026-10-25T03:00:00", "2026-10-25T12:00:00", "2026-10-25T02:00:00"),
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00", "2026-03-29T01:30:00"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00", "2026-03-29T01:00:00"),
    ],
)
def test_local_times_around_a_change(local: str, near: str, utc: str) -> None:
    assert to_utc(PARIS, datetime.fromisoformat(local), datetime.fromisoformat(near)) == datetime.fromisoformat(utc)


@given(
    st.sampled_from([PARIS, "America/New_York", "Australia/Lord_Howe", "Indian/Reunion", "Africa/Casablanca"]),
    st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)),
)
def test_every_instant_survives_the_conversion_to_local_time_and_back(zone: str, instant: datetime) -> None:
    instant = instant.replace(microsecond=0)
    local = (instant.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(zone))).replace(tzinfo=None, fold=0)
    assert to_utc(zone, local, near=instant) == instant
