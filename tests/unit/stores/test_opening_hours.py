"""Parsing opening hours gives the spans of each day or names the fault; formatting gives one canonical text."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from tillstream.stores.model import Opening, Store
from tillstream.stores.opening_hours import MIDNIGHT, HoursError, format_week, parse


def spans(text: str) -> dict[int, str]:
    """The spans of each weekday."""
    week = dict.fromkeys((each.weekday for each in parse(text)), "")
    for each in parse(text):
        week[each.weekday] += f"[{each.opens:%H:%M}-{each.closes:%H:%M}]"
    return week


def test_hours_without_weekdays_apply_to_every_day() -> None:
    assert spans("07:00-13:00 16:00-19:30") == dict.fromkeys(range(7), "[07:00-13:00][16:00-19:30]")
    assert parse("") == parse("  ") == ()


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
    assert format_week(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_a_store_open_until_midnight_is_open_in_the_last_minute() -> None:
    openings = parse("Mo 18:00-24:00")
    assert openings == (Opening(0, time(18), MIDNIGHT),)
    assert Store("1", hours=openings).is_open(datetime(2026, 11, 23, 23, 59, 59))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("always", "'always' is not opening hours"),
        ("Mo-Sa", "'Mo-Sa' is not opening hours"),
        ("07:00", "'07:00' is not a span of time"),
        ("7h-19h", "'7h-19h' is not opening hours"),
        ("25:00-26:00", "'25:00-26:00' contains an invalid time"),
        ("07:60-08:00", "'07:60-08:00' contains an invalid time"),
        ("24:00-24:00", "'24:00-24:00' contains an invalid time"),
        ("18:00-02:00", "'18:00-02:00' ends before it begins"),
        ("07:00-07:00", "'07:00-07:00' ends before it begins"),
        ("07:00-13:00 12:00-19:00", "the span from 07:00 overlaps the next one"),
        ("Xx 07:00-13:00", "'Xx' is not a weekday; weekdays are Mo, Tu, We, Th, Fr, Sa, Su"),
        ("Mo-Xx 07:00-13:00", "'Mo-Xx' is not a weekday"),
        ("Mo- 07:00-13:00", "is not opening hours"),
        ("Mo-Sa 07:00-13:00; We 08:00-12:00", "We occurs twice"),
    ],
)
def test_the_wrong_part_is_named(text: str, reason: str) -> None:
    with pytest.raises(HoursError) as caught:
        parse(text)
    assert reason in str(caught.value)
