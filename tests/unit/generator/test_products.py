"""The products cover every category, hour and kind of day."""

from __future__ import annotations

from itertools import product as every

import pytest

from tillstream.generator.products import CATEGORIES, FIRST_HOUR, LAST_HOUR, PRODUCTS, Day, demand


def test_the_products_cover_all_categories_and_have_unique_codes() -> None:
    assert {product.category for product in PRODUCTS} == set(CATEGORIES)
    assert len({product.code for product in PRODUCTS}) == len(PRODUCTS)


@pytest.mark.parametrize(("weekday", "day"), [(0, Day.WEEKDAY), (4, Day.WEEKDAY), (5, Day.SATURDAY), (6, Day.SUNDAY)])
def test_there_are_three_kinds_of_days(weekday: int, day: Day) -> None:
    assert Day.of(weekday) is day


def test_menus_are_sold_at_lunch_on_weekdays_only() -> None:
    menus = [product for product in PRODUCTS if product.category == "Menu"]

    sold = {
        (day, hour)
        for day, hour in every(Day, range(FIRST_HOUR, LAST_HOUR + 1))
        if any(menu.demand(day, hour) for menu in menus)
    }

    assert sold == {(Day.WEEKDAY, hour) for hour in (11, 12, 13)}


def test_the_cumulative_demand_of_every_hour_increases() -> None:
    for day, hour in every(Day, range(FIRST_HOUR, LAST_HOUR + 1)):
        weights = demand(day, hour)

        assert len(weights) == len(PRODUCTS)
        assert list(weights) == sorted(weights)
        assert weights[-1] > 0


def test_eating_on_site_has_the_vat_rate_of_a_restaurant() -> None:
    croissant = next(product for product in PRODUCTS if product.name == "Croissant")
    bread = next(product for product in PRODUCTS if product.name == "Baguette")

    assert [croissant.vat_rate(False), croissant.vat_rate(True)] == [55, 100]
    assert [bread.vat_rate(False), bread.vat_rate(True)] == [55, 55]
