"""Business days, and the conversion between local times and UTC.

A business day begins at the time in the setting `day_start`, so a receipt at 00:30 may belong to the day before.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tillstream.clock import Clock, utc
from tillstream.config.settings import Settings

_DAY_S = 86_400


class BusinessDays:
    """Converts between local times and business days. Local times are naive datetimes."""

    def __init__(self, settings: Settings) -> None:
        self._day_start = time.fromisoformat(settings.day_start)
        self._shift = timedelta(hours=self._day_start.hour, minutes=self._day_start.minute)

    @property
    def first_hour(self) -> int:
        """The hour (0 to 23) in which a business day begins."""
        return self._day_start.hour

    def day_of(self, local: datetime) -> date:
        """Return the business day of a local time."""
        return (local - self._shift).date()

    def start(self, day: date) -> datetime:
        """Return the local time at which a business day begins."""
        return datetime.combine(day, self._day_start)


class Calendar(BusinessDays):
    """A calendar in the chain's time zone, with the current time and business day."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings)
        self._clock = clock
        self._zone = ZoneInfo(settings.zone)

    def now_us(self) -> int:
        """Return the current time in microseconds since the epoch."""
        return self._clock.now_us()

    def local_now(self) -> datetime:
        """Return the current local time in the chain's zone."""
        return self.local(self.now_us())

    def local(self, instant_us: int, zone: str = "") -> datetime:
        """Return the local time at an instant. `zone` is a zone name; the default is the chain's zone."""
        return utc(instant_us).astimezone(ZoneInfo(zone) if zone else self._zone).replace(tzinfo=None)

    def today(self) -> date:
        """Return the current business day."""
        return self.day_of(self.local_now())

    def span(self, day: date) -> tuple[datetime, datetime]:
        """Return the start and the end of a business day, as naive UTC times."""
        first, last = (self.start(each).replace(tzinfo=self._zone) for each in (day, day + timedelta(days=1)))
        return first.astimezone(UTC).replace(tzinfo=None), last.astimezone(UTC).replace(tzinfo=None)


class Offsets(NamedTuple):
    """The UTC offsets of a zone on a local date, before and after a clock change on that date.

    Local times before `from_local` have the offset `before`. Local times at or after `to_local` have the offset
    `after`. If the clock is set back, the times between `from_local` and `to_local` occur twice, once with each offset.
    If the clock is set forward, these times do not occur. A till that prints such a time has not set its clock forward
    yet, so the time has the offset `before`. On a day without a clock change, both offsets are equal.
    """

    before: timedelta
    after: timedelta
    from_local: datetime
    to_local: datetime


@lru_cache(maxsize=4096)
def offsets(zone_name: str, local_date: date) -> Offsets:
    """Return the UTC offsets of a zone on a local date."""
    zone = ZoneInfo(zone_name)
    midnight = datetime.combine(local_date, time())

    def offset(second: int, fold: int = 0) -> timedelta:
        local = midnight + timedelta(seconds=second)
        return zone.utcoffset(local.replace(tzinfo=zone, fold=fold)) or timedelta()

    before, after = offset(0), offset(_DAY_S)
    if before == after:
        return Offsets(before, after, midnight, midnight)
    # In a repeated or skipped hour, fold=0 selects the offset before the change, and fold=1 the offset after it.
    first = bisect_left(range(_DAY_S), True, key=lambda second: offset(second, fold=1) != before)
    last = bisect_left(range(_DAY_S), True, key=lambda second: offset(second) == after)
    return Offsets(before, after, midnight + timedelta(seconds=first), midnight + timedelta(seconds=last))
