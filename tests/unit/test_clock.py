"""Clocks count microseconds."""

from __future__ import annotations

import time

from tests.inprocess.clock import ManualClock
from tillstream.clock import SystemClock, utc


def test_the_system_clock_returns_the_time_of_the_system() -> None:
    before, now, after = time.time_ns() // 1000, SystemClock().now_us(), time.time_ns() // 1000
    assert before <= now <= after


def test_a_manual_clock_moves_only_when_advanced() -> None:
    clock = ManualClock(1_000_000)
    clock.advance(1.5)
    assert clock.now_us() == 2_500_000


def test_an_instant_keeps_its_microseconds() -> None:
    assert utc(1_700_000_000_123_457).isoformat() == "2023-11-14T22:13:20.123457+00:00"
