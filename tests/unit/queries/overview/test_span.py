"""Which days are asked for and which they are compared with."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery
from tillstream.queries.overview.span import Span, parse_spans
from tillstream.receipt.business_day import Calendar

NOW = datetime(2026, 11, 23, 14, 32, 59)
MONDAY, LAST_MONDAY = date(2026, 11, 23), date(2026, 11, 16)


def calendar(day_start: str = "00:00") -> Calendar:
    return Calendar(Settings(day_start=day_start), ManualClock(0))


def test_given_nothing_when_parsed_then_it_is_today_beside_the_same_weekday_up_to_this_minute() -> None:
    spans = parse_spans(calendar(), NOW, {})
    assert spans.live
    assert spans.asked == Span(MONDAY, MONDAY)
    assert spans.upto == Span(MONDAY, MONDAY, datetime(2026, 11, 23, 14, 32))
    assert spans.before == Span(LAST_MONDAY, LAST_MONDAY, datetime(2026, 11, 16, 14, 32))
    assert spans.before.whole == Span(LAST_MONDAY, LAST_MONDAY)


def test_given_a_past_day_when_parsed_then_both_days_are_whole() -> None:
    spans = parse_spans(calendar(), NOW, {"day": "2026-11-20"})
    assert not spans.live
    assert (spans.upto.cut, spans.before) == (None, Span(date(2026, 11, 13), date(2026, 11, 13)))


@pytest.mark.parametrize(("last", "shift"), [("2026-11-17", 7), ("2026-11-18", 14)])
def test_given_several_days_when_parsed_then_whole_weeks_lie_between(last: str, shift: int) -> None:
    spans = parse_spans(calendar(), NOW, {"from": "2026-11-11", "to": last})
    assert (spans.asked.first - spans.before.first).days == shift
    assert spans.before.days == spans.asked.days


def test_given_a_day_to_compare_with_when_parsed_then_as_many_days_follow_it() -> None:
    spans = parse_spans(calendar(), NOW, {"from": "2026-11-22", "to": "2026-11-23", "vs": "2026-11-01"})
    assert spans.before == Span(date(2026, 11, 1), date(2026, 11, 2), datetime(2026, 11, 2, 14, 32))


def test_given_a_day_that_begins_at_four_when_it_is_one_then_it_is_still_yesterday() -> None:
    spans = parse_spans(calendar("04:00"), datetime(2026, 11, 24, 1, 10, 5), {})
    assert spans.asked.first == MONDAY
    assert spans.before.cut == datetime(2026, 11, 17, 1, 10)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"day": "x"}, "day"),
        ({"day": "2026-11-23", "to": "2026-11-23"}, "day"),
        ({"from": "2026-11-23"}, "to"),
        ({"to": "2026-11-23"}, "from"),
        ({"from": "2026-11-23", "to": "2026-11-22"}, "to"),
        ({"from": "2025-10-18", "to": "2026-11-22"}, "to"),
        ({"vs": "2026-02-30"}, "vs"),
        ({"day": "0001-01-02"}, "vs"),
        ({"from": "2026-11-01", "to": "2026-11-23", "vs": "9999-12-31"}, "vs"),
    ],
)
def test_given_a_wrong_span_when_parsed_then_the_refusal_names_it(query: dict[str, str], named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_spans(calendar(), NOW, query)
    assert caught.value.path == named


def test_given_a_cut_when_its_condition_is_asked_then_only_the_last_day_ends_there() -> None:
    cut = datetime(2026, 11, 16, 14, 32)
    assert Span(LAST_MONDAY, LAST_MONDAY).condition == ("day BETWEEN ? AND ?", [LAST_MONDAY, LAST_MONDAY])
    condition, values = Span(date(2026, 11, 15), LAST_MONDAY, cut).condition
    assert condition == "day BETWEEN ? AND ? AND (day < ? OR sold_local < ?)"
    assert values == [date(2026, 11, 15), LAST_MONDAY, LAST_MONDAY, cut]
