"""Schedules keep their rates, dates and order."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from tillstream.clock import ManualClock
from tillstream.generator.chain import Chain
from tillstream.generator.sales import DAY_S, hour_of
from tillstream.generator.schedule import (
    LocalClock,
    burst,
    compressed,
    expected,
    local_second,
    opening,
    poisson,
    steady,
    trading_day,
)

MONDAY_S = 1_772_409_600  # 2026-03-02 00:00:00
CHAIN = Chain(10, (2, 2))


@pytest.mark.parametrize("rate", [1.5, 7.5])
def test_steady_gaps_are_between_two_and_four_thirds_of_the_mean(rate: float) -> None:
    dues = [due for due, _ in islice(steady(rate, Random(1)), 5000)]
    gaps = [(later - earlier) * rate for earlier, later in pairwise(dues)]

    assert min(gaps) >= 0.666
    assert max(gaps) <= 1.334
    assert dues[-1] / 5000 * rate == pytest.approx(1, rel=0.02)


def test_steady_receipts_have_dates_from_the_start_date() -> None:
    dates = [date for _, date in islice(steady(2, Random(1), MONDAY_S), 100)]

    assert dates[0] == MONDAY_S
    assert dates[-1] == pytest.approx(MONDAY_S + 50, abs=5)


def test_a_poisson_process_keeps_its_rate_and_has_the_current_date() -> None:
    moments = list(islice(poisson(4, Random(1)), 5000))

    assert moments[-1][0] / 5000 * 4 == pytest.approx(1, rel=0.05)
    assert {date for _, date in moments} == {None}


def test_a_burst_is_due_at_once_and_dates_advance_by_a_receipt_per_minute_and_till() -> None:
    assert list(islice(burst(CHAIN), 2)) == [(0.0, None), (0.0, None)]

    dates = [date for _, date in islice(burst(CHAIN, MONDAY_S), 41)]

    assert (dates[0], dates[20], dates[40]) == (MONDAY_S, MONDAY_S + 60, MONDAY_S + 120)


def test_a_trading_day_is_in_order_and_has_about_the_expected_size() -> None:
    seconds = list(trading_day(CHAIN, MONDAY_S, Random(1), MONDAY_S, MONDAY_S + DAY_S))

    assert seconds == sorted(seconds)
    assert {hour_of(second) for second in seconds} <= set(range(7, 19))
    assert len(seconds) == pytest.approx(expected(CHAIN, MONDAY_S, MONDAY_S, MONDAY_S + DAY_S), rel=0.25)


def test_a_shorter_day_starts_like_the_full_day() -> None:
    noon = MONDAY_S + 12 * 3600 + 90
    whole = list(trading_day(CHAIN, MONDAY_S, Random(1), MONDAY_S, MONDAY_S + DAY_S))

    short = list(trading_day(CHAIN, MONDAY_S, Random(1), MONDAY_S, noon))

    assert short == [second for second in whole if second < noon]


@pytest.mark.parametrize(("hours", "share"), [(0, 1.0), (24, 0.0)])
def test_the_expected_number_is_that_of_the_requested_part(hours: int, share: float) -> None:
    whole = expected(CHAIN, MONDAY_S, MONDAY_S, MONDAY_S + DAY_S)

    assert expected(CHAIN, MONDAY_S, MONDAY_S + hours * 3600, MONDAY_S + DAY_S) == round(whole * share)


def test_a_compressed_day_runs_faster_by_its_speed() -> None:
    assert list(compressed(iter([100, 160, 700]), 100, 60)) == [(0.0, 100), (1.0, 160), (10.0, 700)]


@pytest.mark.parametrize(("hour", "opens"), [(0, 7), (7, 7), (12, 12)])
def test_a_day_opens_at_seven(hour: int, opens: int) -> None:
    assert opening(MONDAY_S + hour * 3600) == MONDAY_S + opens * 3600


def test_the_local_clock_follows_daylight_saving_time() -> None:
    before = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
    clock = ManualClock(round(before.timestamp() * 1e6))
    local = LocalClock(clock, ZoneInfo("Europe/Paris"))

    assert local.now_s() == local_second(datetime(2026, 3, 29, 1, 59, 59))
    clock.advance(1)
    assert local.now_s() == local_second(datetime(2026, 3, 29, 3, 0, 0))
