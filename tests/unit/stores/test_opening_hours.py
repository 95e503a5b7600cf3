"""Given opening hours as people write them; when they are read; then each day has its spans, or the fault is named."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from tillstream.stores.model import Opening, Store
from tillstream.stores.opening_hours import MIDNIGHT, HoursError, parse, written


def spans(text: str) -> dict[int, str]:
    """By weekday, its spans."""
    week = dict.fromkeys((each.weekday for each in parse(text)), "")
    for each in parse(text):
        week[each.weekday] += f"[{each.opens:%H:%M}-{each.closes:%H:%M}]"
    return week


def test_hours_without_weekdays_are_those_of_every_day() -> None:
    assert spans("07:00-13:00 16:00-19:30") == dict.fromkeys(range(7), "[07:00-13:00][16:00-19:30]")
    assert parse("") == parse("  ") == ()


def test_weekdays_have_hours_of_their_own_and_the_others_none() -> None:
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
def test_other_ways_to_write_it_are_read_and_written_in_one(text: str, canonical: str) -> None:
    assert written(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_a_shop_open_until_midnight_is_open_in_the_last_minute() -> None:
    openings = parse("Mo 18:00-24:00")
    assert openings == (Opening(0, time(18), MIDNIGHT),)
    assert Store("1", hours=openings).is_open(datetime(2026, 11, 23, 23, 59, 59))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("always", "'always' is no opening hours"),
        ("Mo-Sa", "'Mo-Sa' is no opening hours"),
        ("07:00", "'07:00' is no span of time"),
        ("7h-19h", "'7h-19h' is no opening hours"),
        ("25:00-26:00", "'25:00-26:00' has a time that no clock shows"),
        ("07:60-08:00", "'07:60-08:00' has a time that no clock shows"),
        ("24:00-24:00", "'24:00-24:00' has a time that no clock shows"),
        ("18:00-02:00", "'18:00-02:00' ends before it begins"),
        ("07:00-07:00", "'07:00-07:00' ends before it begins"),
        ("07:00-13:00 12:00-19:00", "a span begins before that from 07:00 ends"),
        ("Xx 07:00-13:00", "'Xx' is no weekday: there are Mo, Tu, We, Th, Fr, Sa, Su"),
        ("Mo-Xx 07:00-13:00", "'Mo-Xx' is no weekday"),
        ("Mo- 07:00-13:00", "is no opening hours"),
        ("Mo-Sa 07:00-13:00; We 08:00-12:00", "We is given twice"),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str) -> None:
    with pytest.raises(HoursError) as caught:
        parse(text)
    assert reason in str(caught.value)
