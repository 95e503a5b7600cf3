"""Conversion of local times to UTC, by the UTC offsets of a zone on one date. Clock changes are included."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Offsets(NamedTuple):
    """UTC offsets of a zone on a local date.

    Local times before `from_local` have the offset `before`, and those from `to_local` have `after`. The local
    times in between occur twice if `before` > `after`, so either offset may be right. They do not occur if
    `before` < `after`, and a till that prints one still uses `before`. On most days both offsets are equal.
    """

    before: timedelta
    after: timedelta
    from_local: datetime
    to_local: datetime


@lru_cache(maxsize=4096)
def offsets(zone_name: str, local_date: date) -> Offsets:
    zone = ZoneInfo(zone_name)
    midnight = datetime.combine(local_date, time())
    before = _offset(zone, midnight.replace(tzinfo=zone).astimezone(UTC) - timedelta(seconds=1))
    next_midnight = midnight + timedelta(days=1)
    after = _offset(zone, next_midnight.replace(tzinfo=zone).astimezone(UTC))
    if before == after:
        return Offsets(before, after, midnight, midnight)
    change = _change(zone, midnight.replace(tzinfo=UTC) - before - timedelta(seconds=1), next_midnight, after)
    local = sorted((change + before, change + after))
    return Offsets(before, after, local[0], local[1])


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta()


def _change(zone: ZoneInfo, low: datetime, next_midnight: datetime, after: timedelta) -> datetime:
    """Find the clock change by bisection. Returns a naive UTC time, exact to the second."""
    high = next_midnight.replace(tzinfo=UTC) - after
    start = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if _offset(zone, middle) == start:
            low = middle
        else:
            high = middle
    return high.replace(tzinfo=None, microsecond=0)
