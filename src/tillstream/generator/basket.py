"""The purchase and payment of one customer in integer cents, which do not depend on the store, till or date."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from tillstream.generator.assortment import (
    CAN,
    CROISSANT,
    GIFT,
    PAIN_AU_CHOCOLAT,
    PRODUCTS,
    SLICING,
    Day,
    DemandProfile,
    Product,
    demand,
)

CARD = "CB"
CASH = "Especes"
VOUCHER = "Titre restaurant"

LINE_COUNTS = (67, 21, 8, 2.6, 0.9, 0.3, 0.2)
"""Weights of buying 1, 2, 3… products, before additional ones such as a drink."""

PAIR_SHARE = 0.45
SLICING_SHARE = 0.70
CAN_SHARE = 0.30
GIFT_SHARE = 0.006
BULK_SHARE = 0.0005
ON_SITE_SHARE = 0.10
SPLIT_SHARE = 0.015
CARD_SHARE = 60 / 93
"""Share of cards among receipts that are not paid with a meal voucher."""

LUNCH_HOURS = range(11, 14)
VOUCHER_SHARE = {True: 0.15, False: 0.015}
"""Share of receipts paid with a meal voucher, during lunch hours and outside them."""

VOUCHER_CENTS = 800

_line_counts = tuple(accumulate(LINE_COUNTS))
_quantities: dict[DemandProfile, tuple[float, ...]] = {
    demand_profile: tuple(accumulate(demand_profile.quantities))
    for demand_profile in {product.demand_profile for product in PRODUCTS}
}


def net_cents(gross: int, rate: int) -> int:
    """The net of a gross amount at a rate in per mille, rounded half away from zero."""
    divisor = 1000 + rate
    net = (2000 * abs(gross) + divisor) // (2 * divisor)
    return net if gross >= 0 else -net


@dataclass(frozen=True, slots=True)
class Line:
    """A line. `quantity` is in pieces, or in grams for a weighed product. Amounts are in cents, `rate` in per mille."""

    product: Product
    quantity: int
    rate: int
    gross: int
    net: int


@dataclass(frozen=True, slots=True)
class Basket:
    """Lines, and the payments that cover them in cents."""

    lines: tuple[Line, ...]
    settlements: tuple[tuple[str, int], ...]

    @property
    def gross(self) -> int:
        return sum(line.gross for line in self.lines)

    @property
    def net(self) -> int:
        return sum(line.net for line in self.lines)

    def as_return(self) -> Basket:
        """The return of the basket: all lines and payments with the opposite sign."""
        lines = (replace(line, quantity=-line.quantity, gross=-line.gross, net=-line.net) for line in self.lines)
        return Basket(tuple(lines), tuple((mechanism, -amount) for mechanism, amount in self.settlements))


def sell(random: Random, day: Day, hour: int) -> Basket:
    """A random basket for an hour between 7 and 18."""
    on_site = random.random() < ON_SITE_SHARE
    lines: list[Line] = []
    for product in _choose(random, day, hour):
        line = _line(random, product, on_site)
        lines.append(line)
        if product.sliced and random.random() < SLICING_SHARE:
            lines.append(_priced(SLICING, 1 if product.weighed else line.quantity, on_site))
    if random.random() < GIFT_SHARE:
        lines.append(_priced(GIFT, 1, on_site))
    return Basket(tuple(lines), _pay(random, sum(line.gross for line in lines), hour))


def _choose(random: Random, day: Day, hour: int) -> list[Product]:
    weights = demand(day, hour)
    count = 1 + bisect(_line_counts, random.random() * _line_counts[-1])
    chosen = [PRODUCTS[bisect(weights, random.random() * weights[-1])] for _ in range(count)]
    if CROISSANT in chosen and PAIN_AU_CHOCOLAT not in chosen and random.random() < PAIR_SHARE:
        chosen.append(PAIN_AU_CHOCOLAT)
    if any(product.category.startswith("Sandwich") for product in chosen) and random.random() < CAN_SHARE:
        chosen.append(CAN)
    return chosen


def _line(random: Random, product: Product, on_site: bool) -> Line:
    if product.weighed:
        return _priced(product, random.randrange(120, 900 if product.rate == 55 else 350), on_site)
    weights = _quantities[product.demand_profile]
    quantity = 1 + bisect(weights, random.random() * weights[-1])
    if product.price < 200 and random.random() < BULK_SHARE:
        quantity = random.randrange(15, 88)
    return _priced(product, quantity, on_site)


def _priced(product: Product, quantity: int, on_site: bool) -> Line:
    rate = product.vat(on_site)
    gross = (product.price * quantity + 500) // 1000 if product.weighed else product.price * quantity
    return Line(product, quantity, rate, gross, net_cents(gross, rate))


def _pay(random: Random, total: int, hour: int) -> tuple[tuple[str, int], ...]:
    """The payments for the total."""
    other = CARD if random.random() < CARD_SHARE else CASH
    if random.random() < VOUCHER_SHARE[hour in LUNCH_HOURS]:
        if total > VOUCHER_CENTS:
            return (VOUCHER, VOUCHER_CENTS), (other, total - VOUCHER_CENTS)
        return ((VOUCHER, total),)
    if total >= 200 and random.random() < SPLIT_SHARE:
        coins = random.randrange(5, total, 5)
        return (CARD, total - coins), (CASH, coins)
    return ((other, total),)
