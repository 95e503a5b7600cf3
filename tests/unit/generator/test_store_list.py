"""Given a chain; when its shops are listed; then each has a place, a name of its own, and the hours it sells in."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from tillstream.generator.chain import Chain
from tillstream.generator.store_list import CITY_HOURS, TOWN_HOURS, listed


def test_no_two_shops_of_a_large_chain_have_one_name() -> None:
    shops = listed(Chain(3_000, (4, 4))).by_id
    names = Counter(shop.name for shop in shops.values())
    assert len(names) == len(shops) == 3_000
    assert all(shop.name.startswith(shop.city) and shop.region and shop.hours for shop in shops.values())


def test_a_shop_is_the_same_in_a_larger_chain() -> None:
    small, large = listed(Chain(12, (2, 3))).by_id, listed(Chain(100, (2, 3))).by_id
    assert small == {store: large[store] for store in small}


def test_a_shop_has_the_tills_of_the_chain_and_is_open_when_it_sells() -> None:
    chain = Chain(40, (2, 4))
    shops = listed(chain)
    assert Counter(till.store for till in chain.tills) == {shop.id: shop.tills for shop in shops.by_id.values()}
    for till in chain.tills:
        for hour in range(24):
            assert shops.get(till.store).is_open(datetime(2026, 11, 23, hour, 30)) is (till.share(hour) > 0)
    assert {shop.hours for shop in shops.by_id.values()} == {CITY_HOURS, TOWN_HOURS}
