"""Random sales and returns: the baskets of customers, and sequences of receipts.

The same seed gives the same receipts.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import accumulate
from random import Random

from tillstream.generator import products, receipts
from tillstream.generator.chain import TOWN_HOURS, WEEK, Chain
from tillstream.generator.products import FIRST_HOUR, LAST_HOUR, Day, Product
from tillstream.generator.receipts import Basket, Line

RETURN_SHARE = 0.0056
"""The share of sales that are returned. The return is the next receipt after the sale."""

CARD = "CB"
CASH = "Especes"
VOUCHER = "Titre restaurant"

LINE_COUNTS = (67, 21, 8, 2.6, 0.9, 0.3, 0.2)
"""The relative probabilities of buying 1, 2, 3, … products, before extras such as a drink are added."""

PAIR_SHARE = 0.45
SLICING_SHARE = 0.70
CAN_SHARE = 0.30
GIFT_SHARE = 0.006
BULK_SHARE = 0.0005
ON_SITE_SHARE = 0.10
SPLIT_SHARE = 0.015
CARD_SHARE = 60 / 93
"""The share of cards among payments that are not meal vouchers. All other payments are cash."""

LUNCH_HOURS = range(11, 14)
VOUCHER_SHARE = {True: 0.15, False: 0.015}
"""The share of receipts with a meal voucher, in lunch hours (True) and in other hours (False)."""

VOUCHER_CENTS = 800

LOYAL_SHARE = 0.2
CUSTOMERS = 250_000
POOL_BASKETS = 512
"""The number of baskets in the pool for each hour and day type."""

DAY_S = 86_400

Sampler = Callable[[Chain, Random, int], tuple[Day, int, int]]
"""Chooses the day type, hour and till index of a receipt. The last argument is the local time in seconds since 1970."""

_SLOTS = [(Day.of(weekday), hour) for weekday in range(7) for hour in range(FIRST_HOUR, LAST_HOUR + 1)]
_SLOT_WEIGHTS = list(accumulate(day_weight * hour_weight for day_weight in WEEK for hour_weight in TOWN_HOURS))


def sell(random: Random, day: Day, hour: int) -> Basket:
    """Return a random basket for a day type and an hour from 7 to 18."""
    on_site = random.random() < ON_SITE_SHARE
    lines: list[Line] = []
    for product in _choose_products(random, day, hour):
        line = _line(product, _choose_quantity(random, product), on_site)
        lines.append(line)
        if product.sliced and random.random() < SLICING_SHARE:
            lines.append(_line(products.SLICING, 1 if product.weighed else line.quantity, on_site))
    if random.random() < GIFT_SHARE:
        lines.append(_line(products.GIFT, 1, on_site))
    return Basket(tuple(lines), _pay(random, sum(line.gross for line in lines), hour))


def _choose_products(random: Random, day: Day, hour: int) -> list[Product]:
    chosen = random.choices(
        products.PRODUCTS, cum_weights=products.demand(day, hour), k=_choose_count(random, LINE_COUNTS)
    )
    if products.CROISSANT in chosen and products.PAIN_AU_CHOCOLAT not in chosen and random.random() < PAIR_SHARE:
        chosen.append(products.PAIN_AU_CHOCOLAT)
    if any(product.category.startswith("Sandwich") for product in chosen) and random.random() < CAN_SHARE:
        chosen.append(products.CAN)
    return chosen


def _choose_quantity(random: Random, product: Product) -> int:
    """Return a number of pieces, or of grams for a weighed product."""
    if product.weighed:
        return random.randrange(120, 900 if product.vat == 55 else 350)
    quantity = _choose_count(random, product.demand_profile.quantities)
    if product.price < 200 and random.random() < BULK_SHARE:
        return random.randrange(15, 88)
    return quantity


def _choose_count(random: Random, weights: Sequence[float]) -> int:
    """Return 1, 2, 3, … at random. `weights` are the relative probabilities of these numbers."""
    return random.choices(range(1, len(weights) + 1), weights)[0]


def _line(product: Product, quantity: int, on_site: bool) -> Line:
    vat = product.vat_rate(on_site)
    gross = (product.price * quantity + 500) // 1000 if product.weighed else product.price * quantity
    return Line(product, quantity, vat, gross, receipts.net_amount(gross, vat))


def _pay(random: Random, total: int, hour: int) -> tuple[tuple[str, int], ...]:
    """Return payments that add up to the total. A payment is a method and an amount."""
    other = CARD if random.random() < CARD_SHARE else CASH
    if random.random() < VOUCHER_SHARE[hour in LUNCH_HOURS]:
        if total > VOUCHER_CENTS:
            return (VOUCHER, VOUCHER_CENTS), (other, total - VOUCHER_CENTS)
        return ((VOUCHER, total),)
    if total >= 200 and random.random() < SPLIT_SHARE:
        coins = random.randrange(5, total, 5)
        return (CARD, total - coins), (CASH, coins)
    return ((other, total),)


def weekday_of(local_s: int) -> int:
    """Return the weekday of a local time in seconds since 1970. Monday is 0."""
    return (local_s // DAY_S + 3) % 7


def hour_of(local_s: int) -> int:
    return local_s % DAY_S // 3600


def sample_week(chain: Chain, random: Random, _local_s: int) -> tuple[Day, int, int]:
    """Choose a random hour of the week and a random till, without regard to the local time."""
    day, hour = _SLOTS[bisect(_SLOT_WEIGHTS, random.random() * _SLOT_WEIGHTS[-1])]
    return day, hour, chain.pick(random)


def sample_open_tills(chain: Chain, random: Random, local_s: int) -> tuple[Day, int, int]:
    """Choose the day type and hour of the local time, and a random till that is open then."""
    hour = hour_of(local_s)
    return Day.of(weekday_of(local_s)), hour, chain.pick_at(random, hour)


def sample_around_the_clock(chain: Chain, random: Random, local_s: int) -> tuple[Day, int, int]:
    """Choose the day type and hour of the local time, and any till.

    Outside the opening hours, the chosen hour changes every five minutes, so that live sales also vary at night. For
    example, it is 7 from 22:00 to 22:05, and 8 from 22:05 to 22:10.
    """
    hour = hour_of(local_s)
    if not FIRST_HOUR <= hour <= LAST_HOUR:
        hour = FIRST_HOUR + local_s % 3600 * (LAST_HOUR - FIRST_HOUR + 1) // 3600
    return Day.of(weekday_of(local_s)), hour, chain.pick(random)


def run_name(seed: int) -> str:
    """Return eight characters for the start of receipt numbers, so that the numbers of different seeds differ."""
    return blake2b(str(seed).encode(), digest_size=4).hexdigest().upper()


class BasketPool:
    """Random baskets with their JSON, by day type and hour. Each basket can be used for several receipts."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._basket = cache(self._create)

    def draw(self, random: Random, day: Day, hour: int) -> tuple[Basket, bytes]:
        """Return a random basket and its JSON."""
        return self._basket(day, hour, int(random.random() * POOL_BASKETS))

    def fill(self) -> None:
        """Create all baskets in advance. A burst then never waits for a new basket."""
        for day, hour in set(_SLOTS):
            for number in range(POOL_BASKETS):
                self._basket(day, hour, number)

    def _create(self, day: Day, hour: int, number: int) -> tuple[Basket, bytes]:
        return _encoded_basket(Random(f"{self._seed} {day} {hour} {number}"), day, hour)


def _encoded_basket(random: Random, day: Day, hour: int) -> tuple[Basket, bytes]:
    basket = sell(random, day, hour)
    return basket, receipts.encode_basket(basket, random)


class Sales:
    """A random sequence of sales and returns. Receipt numbers begin with `name`.

    Baskets come from the pool. Without a pool, a new basket is created for each sale.
    """

    def __init__(self, chain: Chain, sampler: Sampler, random: Random, name: str, pool: BasketPool | None) -> None:
        self._chain = chain
        self._sampler = sampler
        self._random = random
        self._name = name.encode()
        self._draw = _encoded_basket if pool is None else pool.draw
        self._tills = [receipts.encode_till(till) for till in chain.tills]
        self._numbers = [0] * len(chain.tills)
        self._return: tuple[int, bytes, Basket] | None = None

    def receipt_at(self, local_s: int) -> bytes:
        """Return the JSON of the next receipt. `local_s` is its local time in seconds since 1970."""
        random = self._random
        if self._return is not None:
            till, customer, basket = self._return
            self._return = None
            return self._assemble(till, customer, local_s, receipts.encode_basket(basket.as_return(), random))
        day, hour, till = self._sampler(self._chain, random, local_s)
        basket, encoded = self._draw(random, day, hour)
        loyalty = random.random()
        customer = b"%d" % (loyalty / LOYAL_SHARE * CUSTOMERS) if loyalty < LOYAL_SHARE else b""
        if random.random() < RETURN_SHARE:
            self._return = till, customer, basket
        return self._assemble(till, customer, local_s, encoded)

    def _assemble(self, till: int, customer: bytes, local_s: int, basket: bytes) -> bytes:
        self._numbers[till] += 1
        number = b"%b-%d" % (self._name, self._numbers[till])
        return receipts.assemble(number, self._tills[till], customer, _format_date(local_s), basket)


@lru_cache(maxsize=1)
def _format_date(local_s: int) -> bytes:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(local_s)).encode()


class DailySales:
    """Sales and returns by day. With the same seed, a day always has the same receipts."""

    def __init__(self, chain: Chain, seed: int, pool: BasketPool | None) -> None:
        self._chain = chain
        self._seed = seed
        self._pool = pool
        self._sales_of = lru_cache(maxsize=1)(self._create)

    def receipt_at(self, local_s: int) -> bytes:
        """Return the JSON of the next receipt of a day.

        Request all receipts of a day before those of another day. Only one day is remembered, so an earlier day would
        start from its first receipt again.
        """
        return self._sales_of(local_s // DAY_S).receipt_at(local_s)

    def _create(self, day: int) -> Sales:
        name = f"{run_name(self._seed)}-{time.strftime('%y%m%d', time.gmtime(day * DAY_S))}"
        return Sales(self._chain, sample_open_tills, Random(f"{self._seed} day {day}"), name, self._pool)
