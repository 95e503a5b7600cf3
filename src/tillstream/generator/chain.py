"""The chain: its shops, their size and tills, and how a day and a week run in them."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random

from tillstream.generator.assortment import FIRST_HOUR, LAST_HOUR

SALES_A_DAY = 115
"""Tickets of a till of usual size on a usual day: the measured shop took 230 a day at two tills."""

CITY_SHARE = 0.25
SIZE_SPREAD = 0.35

TOWN_HOURS = (3.4, 12.4, 14.6, 17.6, 19.3, 15.6, 2.4, 0, 0, 3.4, 4.0, 4.1)
CITY_HOURS = (12, 14, 9, 6, 7, 14, 11, 3, 2, 7, 8, 7)
"""Tickets by hour from 7 to 18: a town's shops close in the afternoon, a city's peak three times."""

WEEK = (0.91, 0.82, 0.87, 0.85, 0.92, 1.13, 1.50)
"""Tickets by weekday from Monday, as multiples of a usual day's."""


@dataclass(frozen=True)
class Till:
    """A till, with the weight of its shop in the chain. `clerk` is who works at it."""

    store: str
    terminal: str
    clerk: str
    size: float
    city: bool

    def share(self, hour: int) -> float:
        """The part of its day's tickets that falls in an hour of local time."""
        if not FIRST_HOUR <= hour <= LAST_HOUR:
            return 0.0
        hours = CITY_HOURS if self.city else TOWN_HOURS
        return hours[hour - FIRST_HOUR] / sum(hours)


class Chain:
    """Shops `1`, `2`, … with tills `1`, `2`, …; a shop is the same in every run, whatever its seed."""

    def __init__(self, stores: int, tills: tuple[int, int], city_share: float = CITY_SHARE) -> None:
        self.tills: tuple[Till, ...] = tuple(
            till for store in range(1, stores + 1) for till in _open(store, tills, city_share)
        )
        self._by_hour: dict[int, list[float]] = {}

    @cached_property
    def _by_size(self) -> list[float]:
        return list(accumulate(till.size for till in self.tills))

    def _weights(self, hour: int) -> list[float]:
        if hour not in self._by_hour:
            self._by_hour[hour] = list(accumulate(till.size * till.share(hour) for till in self.tills))
        return self._by_hour[hour]

    def pick(self, random: Random) -> int:
        """The index of a till, the bigger the shop the more often, at any hour."""
        return bisect(self._by_size, random.random() * self._by_size[-1])

    def pick_at(self, random: Random, hour: int) -> int:
        """The index of a till that sells at this hour of local time; some till must."""
        weights = self._weights(hour)
        return bisect(weights, random.random() * weights[-1])

    def tickets(self, weekday: int, hour: int) -> float:
        """How many tickets the chain prints in an hour, on average. `weekday` counts from Monday, 0."""
        return SALES_A_DAY * WEEK[weekday] * self._weights(hour)[-1]


def _open(store: int, tills: tuple[int, int], city_share: float) -> list[Till]:
    random = Random(f"store {store}")
    size = random.lognormvariate(-(SIZE_SPREAD**2) / 2, SIZE_SPREAD)
    city = random.random() < city_share
    return [
        Till(str(store), str(terminal), str(10 * store + terminal), size, city)
        for terminal in range(1, random.randint(*tills) + 1)
    ]
