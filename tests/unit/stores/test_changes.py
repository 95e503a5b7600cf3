"""Given two lists; when they are compared; then what is new, changed and gone is told."""

from __future__ import annotations

from tillstream.stores.changes import compare
from tillstream.stores.model import Shop, Shops


def listed(*shops: Shop) -> Shops:
    return Shops({shop.id: shop for shop in shops})


def test_shops_are_new_changed_gone_or_the_same() -> None:
    old = listed(Shop("1", "A"), Shop("2", "B"), Shop("3", "C", zone="Indian/Reunion"))
    new = listed(Shop("1", "A"), Shop("2", "B", zone="Europe/London"), Shop("4", "D"))
    changes = compare(old, new)
    assert (changes.new, changes.changed, changes.gone) == (["4"], ["2"], ["3"])
    assert changes.zones == ["2", "3"]
    assert str(changes) == "3 shops: 1 new, 1 changed, 1 gone"


def test_large_numbers_are_told_with_commas_and_one_shop_as_one() -> None:
    many = listed(*(Shop(str(number)) for number in range(1_000)))
    assert str(compare(Shops(), many)) == "1,000 shops: 1,000 new, 0 changed, 0 gone"
    assert str(compare(Shops(), listed(Shop("1")))) == "1 shop: 1 new, 0 changed, 0 gone"
