"""Clocks. Code that needs the current time gets a `Clock` as an argument, so tests can control the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of the current time, in microseconds since the Unix epoch (UTC)."""

    def now_us(self) -> int: ...


class SystemClock:
    """The clock of the operating system."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


def utc(microseconds: int) -> datetime:
    """Convert microseconds since the Unix epoch to an aware datetime in UTC."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)
