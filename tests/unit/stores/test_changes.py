"""Given two lists; when they are compared; then what is new, changed and gone is told."""

from __future__ import annotations

from tillstream.stores.changes import compare
from tillstream.stores.model import Store, StoreList


def listed(*shops: Store) -> StoreList:
    return StoreList({shop.id: shop for shop in shops})


def test_shops_are_new_changed_gone_or_the_same() -> None:
    old = listed(Store("1", "A"), Store("2", "B"), Store("3", "C", zone="Indian/Reunion"))
    new = listed(Store("1", "A"), Store("2", "B", zone="Europe/London"), Store("4", "D"))
    changes = compare(old, new)
    assert (changes.new, changes.changed, changes.gone) == (["4"], ["2"], ["3"])
    assert changes.zones == ["2", "3"]
    assert str(changes) == "3 shops: 1 new, 1 changed, 1 gone"


def test_large_numbers_are_told_with_commas_and_one_shop_as_one() -> None:
    many = listed(*(Store(str(number)) for number in range(1_000)))
    assert str(compare(StoreList(), many)) == "1,000 shops: 1,000 new, 0 changed, 0 gone"
    assert str(compare(StoreList(), listed(Store("1")))) == "1 shop: 1 new, 0 changed, 0 gone"
