"""Scope and periods: the part of the chain and the days that a request names."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery
from tillstream.queries.overview.scope import Period, describe_scope, parse_periods, parse_scope
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import Store, StoreList

SHOPS = StoreList({"12": Store("12", "Rennes Sainte-Anne", "Rennes", "Bretagne"), "9": Store("9", region="Bretagne")})


def test_given_nothing_when_parsed_then_it_is_the_chain() -> None:
    scope = parse_scope(SHOPS, {"day": "2026-11-23"})
    assert (scope.kind, scope.condition, scope.source) == ("chain", ("true", []), "receipts")
    assert describe_scope(scope, SHOPS)["parents"] == []


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
def test_given_one_part_when_parsed_then_its_rows_are_told(
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
def test_given_a_wrong_part_when_parsed_then_the_refusal_names_it(query: dict[str, str], named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_scope(SHOPS, query)
    assert caught.value.path == named


def test_given_a_till_when_described_then_its_shop_and_region_stand_above_it() -> None:
    told = describe_scope(parse_scope(SHOPS, {"store": "12", "till": "3"}), SHOPS)
    assert (told["title"], told["city"], told["till"]) == ("3", "Rennes", "3")
    assert told["parents"] == [
        {"kind": "region", "title": "Bretagne", "region": "Bretagne"},
        {"kind": "store", "title": "Rennes Sainte-Anne", "store": "12"},
    ]


def test_given_a_product_when_described_then_it_has_its_name_and_category() -> None:
    told = describe_scope(parse_scope(SHOPS, {"product": "BAG"}), SHOPS, "Baguette", "Pain")
    assert (told["title"], told["parents"]) == (
        "Baguette",
        [{"kind": "category", "title": "Pain", "category": "Pain"}],
    )


def test_given_scopes_when_shops_are_looked_up_then_each_has_its_own() -> None:
    def has(query: dict[str, str], store: str) -> bool:
        return parse_scope(SHOPS, query).has(store)

    assert has({}, "77")
    assert (has({"region": "Bretagne"}, "12"), has({"region": "Bretagne"}, "77")) == (True, False)
    assert (has({"store": "12", "till": "1"}, "12"), has({"store": "12"}, "9")) == (True, False)


def test_given_two_scopes_of_one_value_when_told_apart_then_their_kinds_do_it() -> None:
    assert parse_scope(SHOPS, {"category": "A"}).identity != parse_scope(SHOPS, {"product": "A"}).identity


NOW = datetime(2026, 11, 23, 14, 32, 59)
MONDAY, LAST_MONDAY = date(2026, 11, 23), date(2026, 11, 16)


def calendar(day_start: str = "00:00") -> Calendar:
    return Calendar(Settings(day_start=day_start), ManualClock(0))


def test_given_nothing_when_parsed_then_it_is_today_beside_the_same_weekday_up_to_this_minute() -> None:
    spans = parse_periods(calendar(), NOW, {})
    assert spans.live
    assert spans.requested == Period(MONDAY, MONDAY)
    assert spans.to_date == Period(MONDAY, MONDAY, datetime(2026, 11, 23, 14, 32))
    assert spans.previous == Period(LAST_MONDAY, LAST_MONDAY, datetime(2026, 11, 16, 14, 32))
    assert spans.previous.full_days == Period(LAST_MONDAY, LAST_MONDAY)


def test_given_a_past_day_when_parsed_then_both_days_are_whole() -> None:
    spans = parse_periods(calendar(), NOW, {"day": "2026-11-20"})
    assert not spans.live
    assert (spans.to_date.cutoff, spans.previous) == (None, Period(date(2026, 11, 13), date(2026, 11, 13)))


@pytest.mark.parametrize(("last", "shift"), [("2026-11-17", 7), ("2026-11-18", 14)])
def test_given_several_days_when_parsed_then_whole_weeks_lie_between(last: str, shift: int) -> None:
    spans = parse_periods(calendar(), NOW, {"from": "2026-11-11", "to": last})
    assert (spans.requested.first - spans.previous.first).days == shift
    assert spans.previous.days == spans.requested.days


def test_given_a_day_to_compare_with_when_parsed_then_as_many_days_follow_it() -> None:
    spans = parse_periods(calendar(), NOW, {"from": "2026-11-22", "to": "2026-11-23", "vs": "2026-11-01"})
    assert spans.previous == Period(date(2026, 11, 1), date(2026, 11, 2), datetime(2026, 11, 2, 14, 32))


def test_given_a_day_that_begins_at_four_when_it_is_one_then_it_is_still_yesterday() -> None:
    spans = parse_periods(calendar("04:00"), datetime(2026, 11, 24, 1, 10, 5), {})
    assert spans.requested.first == MONDAY
    assert spans.previous.cutoff == datetime(2026, 11, 17, 1, 10)


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
        parse_periods(calendar(), NOW, query)
    assert caught.value.path == named


def test_given_a_cut_when_its_condition_is_asked_then_only_the_last_day_ends_there() -> None:
    cut = datetime(2026, 11, 16, 14, 32)
    assert Period(LAST_MONDAY, LAST_MONDAY).condition == ("day BETWEEN ? AND ?", [LAST_MONDAY, LAST_MONDAY])
    condition, values = Period(date(2026, 11, 15), LAST_MONDAY, cut).condition
    assert condition == "day BETWEEN ? AND ? AND (day < ? OR sold_local < ?)"
    assert values == [date(2026, 11, 15), LAST_MONDAY, LAST_MONDAY, cut]
