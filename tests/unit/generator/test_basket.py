"""Baskets add up, and their payments cover them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from random import Random

import pytest

from tillstream.generator.assortment import SLICING, Day
from tillstream.generator.basket import CASH, VOUCHER, VOUCHER_CENTS, Basket, net_cents, sell


def baskets(count: int, hour: int = 12) -> list[Basket]:
    random = Random(5)
    return [sell(random, Day.WEEKDAY, hour) for _ in range(count)]


@pytest.mark.parametrize("rate", [55, 100, 200])
@pytest.mark.parametrize("gross", [0, 1, 15, 125, 335, 850, 12345, -125, -850])
def test_a_net_amount_is_the_gross_without_its_vat_rounded_half_away_from_zero(gross: int, rate: int) -> None:
    exact = Decimal(gross) * 1000 / (1000 + rate)

    assert net_cents(gross, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_the_payments_of_a_basket_cover_its_lines() -> None:
    for basket in baskets(5000):
        assert sum(amount for _, amount in basket.settlements) == basket.gross
        assert all(amount >= 0 for _, amount in basket.settlements)


def test_a_meal_voucher_pays_up_to_its_value_and_another_payment_the_rest() -> None:
    paid = [basket for basket in baskets(5000) if basket.settlements[0][0] == VOUCHER]

    split = [basket for basket in paid if basket.gross > VOUCHER_CENTS]

    assert split
    assert all(len(basket.settlements) == 2 and basket.settlements[0][1] == VOUCHER_CENTS for basket in split)
    assert all(len(basket.settlements) == 1 for basket in paid if basket not in split)


def test_a_return_has_the_opposite_signs() -> None:
    for basket in baskets(500):
        returned = basket.as_return()

        assert returned.gross == -basket.gross
        assert returned.net == -basket.net
        assert [line.quantity for line in returned.lines] == [-line.quantity for line in basket.lines]
        assert [mechanism for mechanism, _ in returned.settlements] == [
            mechanism for mechanism, _ in basket.settlements
        ]


def test_baskets_have_sliced_weighed_free_and_repeated_lines() -> None:
    everything = baskets(20_000, hour=10)
    lines = [line for basket in everything for line in basket.lines]

    assert any(line.product is SLICING for line in lines)
    assert any(line.product.weighed and line.quantity > 1 for line in lines)
    assert any(line.gross == 0 and line.quantity == 1 for line in lines)
    assert any(len(set(basket.lines)) < len(basket.lines) for basket in everything)
    assert all(basket.gross > 0 for basket in everything)


def test_a_lunch_of_bread_may_be_paid_in_cash_too() -> None:
    assert any(mechanism == CASH for basket in baskets(100) for mechanism, _ in basket.settlements)
