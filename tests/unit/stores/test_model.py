"""Stores by id, and their opening hours as text."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from tillstream.config.settings import Settings
from tillstream.stores.model import (
    MIDNIGHT,
    HoursError,
    Opening,
    Store,
    StoreList,
    format_hours,
    parse_hours,
    zone_of,
)

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


def spans(text: str) -> dict[int, str]:
    """The spans of each weekday."""
    week = dict.fromkeys((each.weekday for each in parse_hours(text)), "")
    for each in parse_hours(text):
        week[each.weekday] += f"[{each.opens:%H:%M}-{each.closes:%H:%M}]"
    return week


def test_hours_without_weekdays_apply_to_every_day() -> None:
    assert spans("07:00-13:00 16:00-19:30") == dict.fromkeys(range(7), "[07:00-13:00][16:00-19:30]")
    assert parse_hours("") == parse_hours("  ") == ()


def test_weekdays_without_a_part_have_no_hours() -> None:
    week = spans("Mo-We,Fr 07:00-19:30; Su 07:00-13:00")
    assert week == {**dict.fromkeys((0, 1, 2, 4), "[07:00-19:30]"), 6: "[07:00-13:00]"}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("7:00-19:30", "07:00-19:30"),
        ("16:00-19:30, 07:00–13:00", "07:00-13:00 16:00-19:30"),
        ("lu - sa 07:00 - 19:30 ; Di 07:00-13:00;", "Mo-Sa 07:00-19:30; Su 07:00-13:00"),
        ("Sa-Mo 08:00-12:00", "Mo,Sa-Su 08:00-12:00"),
        ("Mo-Su 08:00-12:00", "08:00-12:00"),
        ("Tu 08:00-24:00; Th 08:00-24:00", "Tu,Th 08:00-24:00"),
    ],
)
def test_variants_are_parsed_and_formatted_canonically(text: str, canonical: str) -> None:
    assert format_hours(parse_hours(text)) == canonical
    assert parse_hours(canonical) == parse_hours(text)


def test_a_store_open_until_midnight_is_open_in_the_last_minute() -> None:
    openings = parse_hours("Mo 18:00-24:00")
    assert openings == (Opening(0, time(18), MIDNIGHT),)
    assert Store("1", hours=openings).is_open(datetime(2026, 11, 23, 23, 59, 59))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("always", "'always' does not look like opening hours"),
        ("Mo-Sa", "'Mo-Sa' does not look like opening hours"),
        ("07:00", "'07:00' is not a span of time"),
        ("7h-19h", "'7h-19h' does not look like opening hours"),
        ("25:00-26:00", "'25:00-26:00' contains an invalid time"),
        ("07:60-08:00", "'07:60-08:00' contains an invalid time"),
        ("24:00-24:00", "'24:00-24:00' contains an invalid time"),
        ("18:00-02:00", "'18:00-02:00' ends before it begins"),
        ("07:00-07:00", "'07:00-07:00' ends before it begins"),
        ("07:00-13:00 12:00-19:00", "the span from 07:00 overlaps the next one"),
        ("Xx 07:00-13:00", "'Xx' is not a weekday; weekdays are Mo, Tu, We, Th, Fr, Sa, Su"),
        ("Mo-Xx 07:00-13:00", "'Mo-Xx' is not a weekday"),
        ("Mo- 07:00-13:00", "does not look like opening hours"),
        ("Mo-Sa 07:00-13:00; We 08:00-12:00", "We occurs twice"),
    ],
)
def test_the_wrong_part_is_named(text: str, reason: str) -> None:
    with pytest.raises(HoursError) as caught:
        parse_hours(text)
    assert reason in str(caught.value)
