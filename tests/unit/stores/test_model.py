"""Shops by their id, in the list or not."""

from __future__ import annotations

from datetime import datetime, time

from tillstream.stores.model import Opening, Store, StoreList

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", tills=4, hours=(Opening(0, time(7), time(13)),))


def test_a_shop_is_known_by_its_name_and_any_other_by_its_id() -> None:
    shops = StoreList({"12": OPERA})
    assert (shops.title("12"), shops.title("99")) == ("Paris Opéra", "99")
    assert (shops.regions, shops.of_region("Île-de-France")) == (["Île-de-France"], ["12"])


def test_a_shop_is_open_by_its_own_clock() -> None:
    assert OPERA.is_open(datetime(2026, 11, 23, 7))
    assert not OPERA.is_open(datetime(2026, 11, 23, 13))
    assert not OPERA.is_open(datetime(2026, 11, 24, 8))
    assert Store("1").is_open(datetime(2026, 11, 23, 8)) is None
