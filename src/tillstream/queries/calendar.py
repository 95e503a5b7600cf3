"""The chain's business days and the time that it is now: what "today" means to a reader."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tillstream.clock import Clock, utc
from tillstream.config.settings import Settings


class Calendar:
    """Business days in the chain's zone, from `day_start` on."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._zone = ZoneInfo(settings.zone)
        self._day_start = time.fromisoformat(settings.day_start)

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return self._clock.now_us()

    def local_now(self) -> datetime:
        """Wall-clock time in the chain's zone, without the zone."""
        return self.local(self.now_us())

    def local(self, instant_us: int, zone: str = "") -> datetime:
        """Wall-clock time of an instant in this zone or else the chain's, without the zone."""
        where = ZoneInfo(zone) if zone else self._zone
        return utc(instant_us).astimezone(where).replace(tzinfo=None)

    @property
    def first_hour(self) -> int:
        """The hour of the clock in which a business day begins."""
        return self._day_start.hour

    def today(self) -> date:
        """The business day that it is now."""
        return self.day_of(self.local_now())

    def day_of(self, local: datetime) -> date:
        """The business day of a wall-clock time."""
        return (local - timedelta(hours=self._day_start.hour, minutes=self._day_start.minute)).date()

    def start(self, day: date) -> datetime:
        """The wall-clock time at which a business day begins."""
        return datetime.combine(day, self._day_start)

    def span(self, day: date) -> tuple[datetime, datetime]:
        """The instants at which a business day and the next one begin, in UTC without a zone."""
        first, last = (self.start(each).replace(tzinfo=self._zone) for each in (day, day + timedelta(days=1)))
        return first.astimezone(UTC).replace(tzinfo=None), last.astimezone(UTC).replace(tzinfo=None)
