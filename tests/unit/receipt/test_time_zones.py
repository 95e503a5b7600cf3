"""Local times become UTC on ordinary days and on the two days of a year with a clock change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillstream.receipt.time_zones import offsets

PARIS = "Europe/Paris"


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
