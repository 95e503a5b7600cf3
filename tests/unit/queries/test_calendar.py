"""Business days begin when the chain says."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US
from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.queries.calendar import Calendar
from tillstream.queries.queries import Queries


def test_given_a_day_that_begins_at_four_when_it_is_two_then_it_is_still_yesterday(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(day_start="04:00"))
    pipeline.clock.advance(14 * 3600)
    queries = queries_of(pipeline)
    assert queries.today() == date(2026, 11, 23)
    assert queries.local_now().isoformat() == "2026-11-24T02:00:00"
    assert queries.snapshot()["minutes"]["start"] == "2026-11-23T04:00"
    pipeline.close()


def test_given_a_clock_when_it_is_read_then_noon_is_noon_in_paris(queries: Queries) -> None:
    assert queries.local_now().isoformat() == "2026-11-23T12:00:00"
    assert NOON_US % 1_000_000 == 0


def test_given_a_change_of_the_clock_when_a_day_is_spanned_then_it_has_its_hours() -> None:
    calendar = Calendar(Settings(day_start="05:00"), ManualClock(NOON_US))
    assert calendar.start(date(2026, 10, 24)) == datetime(2026, 10, 24, 5)
    assert calendar.span(date(2026, 10, 24)) == (datetime(2026, 10, 24, 3), datetime(2026, 10, 25, 4))
    assert calendar.span(date(2026, 3, 28)) == (datetime(2026, 3, 28, 4), datetime(2026, 3, 29, 3))
