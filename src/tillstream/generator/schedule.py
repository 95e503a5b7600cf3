"""The schedule of receipts: each moment has a due time and the date of the receipt.

The due time is in seconds from the start of the phase. The date is in local seconds since 1970, or None for the
current time of the chain's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import repeat
from random import Random
from zoneinfo import ZoneInfo

from tillstream.clock import Clock
from tillstream.generator.assortment import FIRST_HOUR
from tillstream.generator.chain import Chain
from tillstream.generator.sales import DAY_S, hour_of, weekday_of

Moment = tuple[float, int | None]

WEATHER = 0.05
"""Relative standard deviation of the receipts of a day."""


class LocalClock:
    """The chain's local time in whole seconds since 1970, from the injected clock."""

    def __init__(self, clock: Clock, zone: ZoneInfo) -> None:
        self._clock = clock
        self._zone = zone
        self._second = -1
        self._local = 0

    def now_s(self) -> int:
        second = self._clock.now_us() // 1_000_000
        if second != self._second:
            local = datetime.fromtimestamp(second, self._zone)
            self._second, self._local = second, local_second(local)
        return self._local


def local_second(local: datetime) -> int:
    """A local time in seconds since 1970, ignoring its zone."""
    return int(local.replace(tzinfo=UTC).timestamp())


def steady(rate: float, random: Random, start_s: int | None = None) -> Iterator[Moment]:
    """Moments with random gaps between 2/3 and 4/3 of 1/rate."""
    due = 0.0
    while True:
        due += random.uniform(2 / 3, 4 / 3) / rate
        yield due, None if start_s is None else start_s + int(due)


def poisson(rate: float, random: Random) -> Iterator[Moment]:
    """Moments of a Poisson process, with the current date."""
    due = 0.0
    while True:
        due += random.expovariate(rate)
        yield due, None


def burst(chain: Chain, start_s: int | None = None) -> Iterator[Moment]:
    """Moments that are all due at once. Dates advance from the start by one receipt per minute and till."""
    if start_s is None:
        return repeat((0.0, None))
    tills = len(chain.tills)
    return ((0.0, start_s + number * 60 // tills) for number in _count())


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def trading_day(chain: Chain, day_s: int, random: Random, from_s: int, until_s: int) -> Iterator[int]:
    """The local seconds of the receipts of a day, from `from_s` up to but not including `until_s`.

    `day_s` is midnight. A shorter day starts with the same receipts as the full day.
    """
    weekday = weekday_of(day_s)
    weather = max(0.5, random.gauss(1, WEATHER))
    for minute_s in range(day_s, min(day_s + DAY_S, until_s), 60):
        usual = chain.tickets(weekday, hour_of(minute_s)) * weather / 60
        if not usual:
            continue
        for second_s in sorted(minute_s + int(random.random() * 60) for _ in range(_poisson(random, usual))):
            if from_s <= second_s < until_s:
                yield second_s


def expected(chain: Chain, day_s: int, from_s: int, until_s: int) -> int:
    """Expected number of receipts from `trading_day`."""
    hours = range(day_s, day_s + DAY_S, 3600)
    weekday = weekday_of(day_s)
    return round(
        sum(
            chain.tickets(weekday, hour_of(hour_s)) * max(0, min(until_s, hour_s + 3600) - max(from_s, hour_s)) / 3600
            for hour_s in hours
        )
    )


def compressed(seconds: Iterator[int], from_s: int, speed: float) -> Iterator[Moment]:
    """The moments of a day whose clock runs `speed` times faster than real time."""
    return (((second_s - from_s) / speed, second_s) for second_s in seconds)


def opening(start_s: int) -> int:
    """The start time, but not before the first store opens on that day."""
    return max(start_s, start_s // DAY_S * DAY_S + FIRST_HOUR * 3600)


def _poisson(random: Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(random.gauss(mean, mean**0.5)))
    waited = random.expovariate(1.0)
    count = 0
    while waited < mean:
        count += 1
        waited += random.expovariate(1.0)
    return count
