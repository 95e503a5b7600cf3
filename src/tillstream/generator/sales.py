"""Sequences of receipts: each one gets a basket, a till, a number and a date.

The same seed gives the same sequence. Baskets depend on the hour of the week, which a sampler chooses.
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
"""Number of baskets in the pool for each hour and kind of day."""

DAY_S = 86_400

Sampler = Callable[[Chain, Random, int], tuple[Day, int, int]]
"""Chooses the kind of day, the hour, and the index of the till, from the chain and the local second."""

_SLOTS = [(Day.of(weekday), hour) for weekday in range(7) for hour in range(FIRST_HOUR, LAST_HOUR + 1)]
_slot_weights = list(accumulate(busy * share for busy in WEEK for share in TOWN_HOURS))


def weekday_of(local_s: int) -> int:
    """The weekday of a local second since 1970, from Monday, 0."""
    return (local_s // DAY_S + 3) % 7


def hour_of(local_s: int) -> int:
    return local_s % DAY_S // 3600


def sample_week(chain: Chain, random: Random, _local_s: int) -> tuple[Day, int, int]:
    """A random hour of the week, so that a run does not depend on its start time."""
    day, hour = _SLOTS[bisect(_slot_weights, random.random() * _slot_weights[-1])]
    return day, hour, chain.pick(random)


def sample_open_tills(chain: Chain, random: Random, local_s: int) -> tuple[Day, int, int]:
    """The current hour, and a till that is open."""
    hour = hour_of(local_s)
    return Day.of(weekday_of(local_s)), hour, chain.pick_at(random, hour)


def sample_around_the_clock(chain: Chain, random: Random, local_s: int) -> tuple[Day, int, int]:
    """The current hour during the day. At night, each hour passes through a full day."""
    hour = hour_of(local_s)
    if not FIRST_HOUR <= hour <= LAST_HOUR:
        hour = FIRST_HOUR + local_s % 3600 * (LAST_HOUR - FIRST_HOUR + 1) // 3600
    return Day.of(weekday_of(local_s)), hour, chain.pick(random)


def run_name(seed: int) -> str:
    """Eight characters that make receipt numbers unique to the seed."""
    return blake2b(str(seed).encode(), digest_size=4).hexdigest().upper()


class BasketPool:
    """Encoded baskets by hour and kind of day. Reusing one takes a microsecond."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[tuple[Day, int], list[tuple[Basket, bytes] | None]] = {
            slot: [None] * POOL_BASKETS for slot in _SLOTS
        }

    def draw(self, random: Random, day: Day, hour: int) -> tuple[Basket, bytes]:
        number = int(random.random() * POOL_BASKETS)
        return self._made[day, hour][number] or self._make(day, hour, number)

    def fill(self) -> None:
        """Create all baskets in advance."""
        for day, hour in self._made:
            for number in range(POOL_BASKETS):
                self._make(day, hour, number)

    def _make(self, day: Day, hour: int, number: int) -> tuple[Basket, bytes]:
        """Create the basket of this number, which depends only on the seed."""
        random = Random(f"{self._seed} {day} {hour} {number}")
        basket = sell(random, day, hour)
        made = self._made[day, hour][number] = basket, receipts.detail(basket, random)
        return made


class Sales:
    """A sequence of receipts, whose numbers start with `name`. Without a `pool` every basket is new."""

    def __init__(self, chain: Chain, sampler: Sampler, random: Random, name: str, pool: BasketPool | None) -> None:
        self._chain = chain
        self._occasion = sampler
        self._random = random
        self._name = name.encode()
        self._pool = pool
        self._parts = [receipts.till_fields(till) for till in chain.tills]
        self._numbers = [0] * len(chain.tills)
        self._undo: tuple[int, bytes, Basket] | None = None
        self._date_s = -1
        self._date = b""

    def receipt_at(self, local_s: int) -> bytes:
        """The next receipt, with this date in local seconds since 1970."""
        random = self._random
        if self._undo is not None:
            till, customer, basket = self._undo
            self._undo = None
            return self._assemble(till, customer, local_s, receipts.detail(basket.as_return(), random))
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
        return self._assemble(till, customer, local_s, detail)

    def _assemble(self, till: int, customer: bytes, local_s: int, detail: bytes) -> bytes:
        if local_s != self._date_s:
            self._date_s = local_s
            self._date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(local_s)).encode()
        self._numbers[till] = number = self._numbers[till] + 1
        return receipts.assemble(b"%b-%d" % (self._name, number), self._parts[till], customer, self._date, detail)


class DailySales:
    """Sales by day. Each day is its own sequence, so sending a day again repeats the same receipts."""

    def __init__(self, chain: Chain, seed: int, pool: BasketPool | None) -> None:
        self._chain = chain
        self._seed = seed
        self._pool = pool
        self._day = -1
        self._sales: Sales | None = None

    def receipt_at(self, local_s: int) -> bytes:
        """The next receipt of the day of the local second. Days must not be mixed."""
        day = local_s // DAY_S
        if self._sales is None or day != self._day:
            name = f"{run_name(self._seed)}-{time.strftime('%y%m%d', time.gmtime(local_s))}"
            random = Random(f"{self._seed} day {day}")
            self._day, self._sales = day, Sales(self._chain, sample_open_tills, random, name, self._pool)
        return self._sales.receipt_at(local_s)
