"""Scope and periods: the part of the chain and the days that a request names."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from tests.inprocess.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery
from tillstream.queries.overview.scope import Period, parse_periods, parse_scope
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import Store, StoreList

SHOPS = StoreList({"12": Store("12", "Rennes Sainte-Anne", "Rennes", "Bretagne"), "9": Store("9", region="Bretagne")})


def test_given_no_parameters_when_parsed_then_the_scope_is_the_chain() -> None:
    scope = parse_scope(SHOPS, {"day": "2026-11-23"})
    assert (scope.kind, scope.condition, scope.source) == ("chain", ("true", []), "receipts")


@pytest.mark.parametrize(
    ("query", "kind", "source", "condition"),
    [
        ({"region": "Bretagne"}, "region", "receipts", ("store IN (?, ?)", ["12", "9"])),
        ({"store": "12"}, "store", "receipts", ("store = ?", ["12"])),
        ({"till": "3", "store": "12"}, "till", "receipts", ("store = ? AND till = ?", ["12", "3"])),
        ({"category": "Pain"}, "category", "lines", ("category = ?", ["Pain"])),
        ({"product": "BAG"}, "product", "lines", ("product = ?", ["BAG"])),
    ],
)
def test_given_one_part_when_parsed_then_its_condition_selects_its_rows(
    query: dict[str, str], kind: str, source: str, condition: tuple[str, list[str]]
) -> None:
    scope = parse_scope(SHOPS, query)
    assert (scope.kind, scope.source, scope.condition) == (kind, source, condition)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"till": "3"}, "till"),
        ({"store": "12", "category": "Pain"}, "category"),
        ({"till": "3", "store": "12", "product": "BAG"}, "product"),
        ({"region": "Corse"}, "region"),
    ],
)
def test_given_a_wrong_part_when_parsed_then_the_error_names_it(query: dict[str, str], named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_scope(SHOPS, query)
    assert caught.value.path == named


def test_given_scopes_when_a_shop_is_looked_up_then_each_has_its_own_shops() -> None:
    def has(query: dict[str, str], store: str) -> bool:
        return parse_scope(SHOPS, query).has(store)

    assert has({}, "77")
    assert (has({"region": "Bretagne"}, "12"), has({"region": "Bretagne"}, "77")) == (True, False)
    assert (has({"store": "12", "till": "1"}, "12"), has({"store": "12"}, "9")) == (True, False)


def test_given_two_scopes_of_one_value_then_their_identities_differ() -> None:
    assert parse_scope(SHOPS, {"category": "A"}).identity != parse_scope(SHOPS, {"product": "A"}).identity


NOW = datetime(2026, 11, 23, 14, 32, 59)
MONDAY, LAST_MONDAY = date(2026, 11, 23), date(2026, 11, 16)


def calendar(day_start: str = "00:00") -> Calendar:
    return Calendar(Settings(day_start=day_start), ManualClock(0))


def test_given_no_parameters_when_parsed_then_today_is_compared_with_last_week_up_to_this_minute() -> None:
    periods = parse_periods(calendar(), NOW, {})
    assert periods.live
    assert periods.requested == Period(MONDAY, MONDAY)
    assert periods.to_date == Period(MONDAY, MONDAY, datetime(2026, 11, 23, 14, 32))
    assert periods.previous == Period(LAST_MONDAY, LAST_MONDAY, datetime(2026, 11, 16, 14, 32))
    assert periods.previous.full_days == Period(LAST_MONDAY, LAST_MONDAY)


def test_given_a_past_day_when_parsed_then_there_is_no_cutoff() -> None:
    periods = parse_periods(calendar(), NOW, {"day": "2026-11-20"})
    assert not periods.live
    assert (periods.to_date.cutoff, periods.previous) == (None, Period(date(2026, 11, 13), date(2026, 11, 13)))


@pytest.mark.parametrize(("last", "shift"), [("2026-11-17", 7), ("2026-11-18", 14)])
def test_given_several_days_when_parsed_then_they_are_compared_with_the_same_weekdays(last: str, shift: int) -> None:
    periods = parse_periods(calendar(), NOW, {"from": "2026-11-11", "to": last})
    assert (periods.requested.first - periods.previous.first).days == shift
    assert periods.previous.days == periods.requested.days


def test_given_a_first_day_to_compare_with_when_parsed_then_both_periods_have_equal_length() -> None:
    periods = parse_periods(calendar(), NOW, {"from": "2026-11-22", "to": "2026-11-23", "vs": "2026-11-01"})
    assert periods.previous == Period(date(2026, 11, 1), date(2026, 11, 2), datetime(2026, 11, 2, 14, 32))


def test_given_a_day_that_begins_at_four_when_it_is_one_o_clock_then_it_is_still_yesterday() -> None:
    periods = parse_periods(calendar("04:00"), datetime(2026, 11, 24, 1, 10, 5), {})
    assert periods.requested.first == MONDAY
    assert periods.previous.cutoff == datetime(2026, 11, 17, 1, 10)


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
def test_given_a_wrong_period_when_parsed_then_the_error_names_the_parameter(query: dict[str, str], named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_periods(calendar(), NOW, query)
    assert caught.value.path == named


def test_given_a_cutoff_when_written_as_a_condition_then_it_limits_only_the_last_day() -> None:
    cutoff = datetime(2026, 11, 16, 14, 32)
    assert Period(LAST_MONDAY, LAST_MONDAY).condition == ("day BETWEEN ? AND ?", [LAST_MONDAY, LAST_MONDAY])
    condition, values = Period(date(2026, 11, 15), LAST_MONDAY, cutoff).condition
    assert condition == "day BETWEEN ? AND ? AND (day < ? OR sold_local < ?)"
    assert values == [date(2026, 11, 15), LAST_MONDAY, LAST_MONDAY, cutoff]
