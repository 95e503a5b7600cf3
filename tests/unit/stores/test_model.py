"""Stores by id, whether the list contains them or not."""

from __future__ import annotations

from datetime import datetime, time

from tillstream.config.settings import Settings
from tillstream.stores.model import Opening, Store, StoreList, zone_of

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", tills=4, hours=(Opening(0, time(7), time(13)),))


def test_the_title_is_the_name_or_else_the_id() -> None:
    store_list = StoreList({"12": OPERA})
    assert (store_list.title("12"), store_list.title("99")) == ("Paris Opéra", "99")
    assert (store_list.regions, store_list.of_region("Île-de-France")) == (["Île-de-France"], ["12"])


def test_a_store_is_open_in_its_local_time() -> None:
    assert OPERA.is_open(datetime(2026, 11, 23, 7))
    assert not OPERA.is_open(datetime(2026, 11, 23, 13))
    assert not OPERA.is_open(datetime(2026, 11, 24, 8))
    assert Store("1").is_open(datetime(2026, 11, 23, 8)) is None


def test_given_a_zone_in_the_settings_and_one_in_the_list_when_asked_then_the_settings_win() -> None:
    settings = Settings(store_zones={"1": "Europe/London"})
    assert zone_of(settings, Store("1", zone="Asia/Tokyo")) == "Europe/London"
    assert zone_of(settings, Store("2", zone="Asia/Tokyo")) == "Asia/Tokyo"
    assert zone_of(settings, Store("3")) == "Europe/Paris"
