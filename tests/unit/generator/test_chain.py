"""A chain has the same shops in every run, and each shop has a name, opening hours and tills."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from random import Random

import pytest

from tillstream.generator.chain import CITY_OPENING_HOURS, SALES_PER_DAY, TOWN_OPENING_HOURS, WEEK, Chain, store_list


def test_a_store_is_the_same_in_every_run_and_in_a_larger_chain() -> None:
    small = Chain(12, (2, 4))
    large = Chain(100, (2, 4))

    assert large.tills[: len(small.tills)] == small.tills


def test_each_store_has_a_number_of_tills_in_the_range() -> None:
    tills = Counter(till.store for till in Chain(200, (2, 4)).tills)

    assert len(tills) == 200
    assert set(tills.values()) == {2, 3, 4}
    assert set(Counter(till.store for till in Chain(5, (4, 4)).tills).values()) == {4}


def test_larger_stores_are_picked_more_often() -> None:
    chain = Chain(2, (1, 1))
    random = Random(1)

    picked = Counter(chain.pick(random) for _ in range(20_000))

    share = chain.tills[0].size / (chain.tills[0].size + chain.tills[1].size)
    assert picked[0] / 20_000 == pytest.approx(share, abs=0.02)


def test_in_the_afternoon_only_stores_in_cities_sell() -> None:
    chain = Chain(40, (2, 2))
    random = Random(1)

    sellers = {chain.tills[chain.pick_at(random, 14)].city for _ in range(500)}

    assert sellers == {True}


def test_an_average_till_has_its_receipts_per_day_over_a_week() -> None:
    chain = Chain(1000, (4, 4))

    week = sum(chain.expected_receipts(weekday, hour) for weekday in range(7) for hour in range(24))

    assert sum(WEEK) == pytest.approx(7)
    assert week / 7 / 4000 == pytest.approx(SALES_PER_DAY, rel=0.05)


@pytest.mark.parametrize("hour", [0, 6, 19, 23])
def test_nothing_is_expected_at_night(hour: int) -> None:
    assert Chain(10, (2, 2)).expected_receipts(0, hour) == 0


def test_store_names_are_unique_in_a_large_chain() -> None:
    shops = store_list(Chain(3_000, (4, 4))).by_id
    names = Counter(shop.name for shop in shops.values())
    assert len(names) == len(shops) == 3_000
    assert all(shop.name.startswith(shop.city) and shop.region and shop.hours for shop in shops.values())


def test_a_listed_store_is_the_same_in_a_larger_chain() -> None:
    small, large = store_list(Chain(12, (2, 3))).by_id, store_list(Chain(100, (2, 3))).by_id
    assert small == {store: large[store] for store in small}


def test_a_listed_store_has_its_tills_and_is_open_when_it_sells() -> None:
    chain = Chain(40, (2, 4))
    shops = store_list(chain)
    assert Counter(till.store for till in chain.tills) == {shop.id: shop.tills for shop in shops.by_id.values()}
    for till in chain.tills:
        for hour in range(24):
            assert shops.get(till.store).is_open(datetime(2026, 11, 23, hour, 30)) is (till.share(hour) > 0)
    assert {shop.hours for shop in shops.by_id.values()} == {CITY_OPENING_HOURS, TOWN_OPENING_HOURS}
