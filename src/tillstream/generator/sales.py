"""Receipts in the order they are printed: who sells, what, at which till and under which number.

One seed makes one sequence. A customer's mind depends on the hour, so each way of selling says
which hour it takes for that: any of the week's, the clock's own, or a pretended one.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Callable
from hashlib import blake2b
from itertools import accumulate
from random import Random

from tillstream.generator import receipts
from tillstream.generator.assortment import FIRST_HOUR, LAST_HOUR, Day
from tillstream.generator.basket import Basket, sell
from tillstream.generator.chain import TOWN_HOURS, WEEK, Chain

RETURN_SHARE = 0.0056
LOYAL_SHARE = 0.2
CUSTOMERS = 250_000
POOL_BASKETS = 512
"""Baskets of each hour and kind of day that fast sales choose from."""

DAY_S = 86_400

Occasion = Callable[[Chain, Random, int], tuple[Day, int, int]]
"""From the chain, chance and the local second: the kind of day, the hour and the till's index."""

_SLOTS = [(Day.of(weekday), hour) for weekday in range(7) for hour in range(FIRST_HOUR, LAST_HOUR + 1)]
_slot_weights = list(accumulate(busy * share for busy in WEEK for share in TOWN_HOURS))


def weekday_of(local_s: int) -> int:
    """The weekday of a local second since 1970, Monday being 0."""
    return (local_s // DAY_S + 3) % 7


def hour_of(local_s: int) -> int:
    return local_s % DAY_S // 3600


def any_time(chain: Chain, random: Random, _local_s: int) -> tuple[Day, int, int]:
    """The mixture of a whole week, so that a run sells the same whenever it is started."""
    day, hour = _SLOTS[bisect(_slot_weights, random.random() * _slot_weights[-1])]
    return day, hour, chain.pick(random)


def opening_hours(chain: Chain, random: Random, local_s: int) -> tuple[Day, int, int]:
    """What this hour asks for, at the tills that are open now."""
    hour = hour_of(local_s)
    return Day.of(weekday_of(local_s)), hour, chain.pick_at(random, hour)


def awake(chain: Chain, random: Random, local_s: int) -> tuple[Day, int, int]:
    """What this hour asks for; through the night a pretended day goes by in every hour."""
    hour = hour_of(local_s)
    if not FIRST_HOUR <= hour <= LAST_HOUR:
        hour = FIRST_HOUR + local_s % 3600 * (LAST_HOUR - FIRST_HOUR + 1) // 3600
    return Day.of(weekday_of(local_s)), hour, chain.pick(random)


def run_name(seed: int) -> str:
    """Eight characters that tell the receipts of one seed from those of another."""
    return blake2b(str(seed).encode(), digest_size=4).hexdigest().upper()


class Pool:
    """Finished baskets by hour and kind of day, each made once: choosing one costs a microsecond."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[tuple[Day, int], list[tuple[Basket, bytes] | None]] = {
            slot: [None] * POOL_BASKETS for slot in _SLOTS
        }

    def draw(self, random: Random, day: Day, hour: int) -> tuple[Basket, bytes]:
        number = int(random.random() * POOL_BASKETS)
        return self._made[day, hour][number] or self._make(day, hour, number)

    def fill(self) -> None:
        """Make all of them now rather than while the clock runs."""
        for day, hour in self._made:
            for number in range(POOL_BASKETS):
                self._make(day, hour, number)

    def _make(self, day: Day, hour: int, number: int) -> tuple[Basket, bytes]:
        """The same one whenever it is made."""
        random = Random(f"{self._seed} {day} {hour} {number}")
        basket = sell(random, day, hour)
        made = self._made[day, hour][number] = basket, receipts.detail(basket, random)
        return made


class Sales:
    """The receipts of one series. `name` begins each receipt's number; `pool` None: each basket is new."""

    def __init__(self, chain: Chain, occasion: Occasion, random: Random, name: str, pool: Pool | None) -> None:
        self._chain = chain
        self._occasion = occasion
        self._random = random
        self._name = name.encode()
        self._pool = pool
        self._parts = [receipts.till_part(till) for till in chain.tills]
        self._numbers = [0] * len(chain.tills)
        self._undo: tuple[int, bytes, Basket] | None = None
        self._date_s = -1
        self._date = b""

    def print(self, local_s: int) -> bytes:
        """The next receipt, dated the local second since 1970."""
        random = self._random
        if self._undo is not None:
            till, customer, basket = self._undo
            self._undo = None
            return self._stamp(till, customer, local_s, receipts.detail(basket.undone(), random))
        day, hour, till = self._occasion(self._chain, random, local_s)
        if self._pool is not None:
            basket, detail = self._pool.draw(random, day, hour)
        else:
            basket = sell(random, day, hour)
            detail = receipts.detail(basket, random)
        loyalty = random.random()
        customer = b"%d" % (loyalty / LOYAL_SHARE * CUSTOMERS) if loyalty < LOYAL_SHARE else b""
        if random.random() < RETURN_SHARE:
            self._undo = till, customer, basket
        return self._stamp(till, customer, local_s, detail)

    def _stamp(self, till: int, customer: bytes, local_s: int, detail: bytes) -> bytes:
        if local_s != self._date_s:
            self._date_s = local_s
            self._date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(local_s)).encode()
        self._numbers[till] = number = self._numbers[till] + 1
        return receipts.stamp(b"%b-%d" % (self._name, number), self._parts[till], customer, self._date, detail)


class Diary:
    """Sales day by day. Each day is a series of its own, so a day sent again is the same receipts again."""

    def __init__(self, chain: Chain, seed: int, pool: Pool | None) -> None:
        self._chain = chain
        self._seed = seed
        self._pool = pool
        self._day = -1
        self._sales: Sales | None = None

    def print(self, local_s: int) -> bytes:
        """The next receipt of the day in which the local second lies; days must not mix."""
        day = local_s // DAY_S
        if self._sales is None or day != self._day:
            name = f"{run_name(self._seed)}-{time.strftime('%y%m%d', time.gmtime(local_s))}"
            random = Random(f"{self._seed} day {day}")
            self._day, self._sales = day, Sales(self._chain, opening_hours, random, name, self._pool)
        return self._sales.print(local_s)
