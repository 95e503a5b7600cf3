"""Business days: a day begins at the setting `day_start`, so a receipt at 00:30 may count on the day before."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tillstream.clock import Clock, utc
from tillstream.config.settings import Settings


class BusinessDays:
    """Converts between local times and business days. Local times are naive datetimes."""

    def __init__(self, settings: Settings) -> None:
        self._day_start = time.fromisoformat(settings.day_start)
        self._shift = timedelta(hours=self._day_start.hour, minutes=self._day_start.minute)

    @property
    def first_hour(self) -> int:
        """The hour of the clock in which a business day begins."""
        return self._day_start.hour

    def day_of(self, local: datetime) -> date:
        """The business day of a local time."""
        return (local - self._shift).date()

    def start(self, day: date) -> datetime:
        """The local time at which a business day begins."""
        return datetime.combine(day, self._day_start)


class Calendar(BusinessDays):
    """Business days in the chain's time zone, and the current one by a clock."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings)
        self._clock = clock
        self._zone = ZoneInfo(settings.zone)

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return self._clock.now_us()

    def local_now(self) -> datetime:
        """The local time in the chain's zone."""
        return self.local(self.now_us())

    def local(self, instant_us: int, zone: str = "") -> datetime:
        """The local time of an instant in this zone. Without a zone, in the chain's zone."""
        where = ZoneInfo(zone) if zone else self._zone
        return utc(instant_us).astimezone(where).replace(tzinfo=None)

    def today(self) -> date:
        """The current business day."""
        return self.day_of(self.local_now())

    def span(self, day: date) -> tuple[datetime, datetime]:
        """The start of a business day and of the next one, as naive UTC times."""
        first, last = (self.start(each).replace(tzinfo=self._zone) for each in (day, day + timedelta(days=1)))
        return first.astimezone(UTC).replace(tzinfo=None), last.astimezone(UTC).replace(tzinfo=None)
