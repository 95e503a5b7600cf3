"""Filters of requests, and the pages that they select."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.inprocess.clock import ManualClock
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US, body
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery
from tillstream.metrics.catalogue import KEYS
from tillstream.queries import filters
from tillstream.queries.queries import Queries
from tillstream.receipt.business_day import Calendar


def test_given_a_day_when_parsed_then_it_is_that_day() -> None:
    assert filters.parse_day("2017-11-18") == date(2017, 11, 18)


@pytest.mark.parametrize("text", ["", "x", "2017-13-01", "2017-02-30", "20171118", "2017-11-18T00:00", "２017-11-18"])
def test_given_text_that_is_not_a_day_when_parsed_then_it_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="YYYY-MM-DD") as caught:
        filters.parse_day(text)
    assert caught.value.path == "day"


@pytest.mark.parametrize("text", ["noon", "2026-11-23T12:00Z", "2026-11-23T12:00+01:00"])
def test_given_a_time_with_a_zone_or_another_text_when_parsed_then_it_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        filters.parse_time(text, "from")


@pytest.mark.parametrize(
    "text", ["", "NaN", "Infinity", "-Infinity", "1e400", "1e-999999", "1_0", "１", "12,50", "10000000000000"]
)
def test_given_text_that_is_not_an_amount_when_parsed_then_it_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match=r"write it like 12\.50"):
        filters.parse_amount(text, "min")


@pytest.mark.parametrize("day", [date.min, date.max])
def test_given_the_first_or_last_day_of_the_calendar_when_filtered_by_arrival_then_the_result_is_empty(
    day: date,
) -> None:
    calendar = Calendar(Settings(), ManualClock(0))
    assert filters.receipt_conditions(calendar, {"arrived": day.isoformat()}) == (["false"], [])


def test_given_an_amount_when_parsed_then_it_is_exact() -> None:
    assert filters.parse_amount("-0.30", "min") == Decimal("-0.30")


@pytest.mark.parametrize("text", ["0", "-1", "1001", "99999", "x", "١", "1.5", ""])
def test_given_a_limit_out_of_range_when_parsed_then_it_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        filters.parse_limit(text)


def test_given_no_limit_or_the_maximum_when_parsed_then_it_is_accepted() -> None:
    assert filters.parse_limit(None) == filters.DEFAULT_LIMIT
    assert filters.parse_limit("1000") == filters.LIMIT


@pytest.mark.parametrize("key", ["hour", "minute", "day"])
def test_given_text_for_a_key_of_another_type_when_parsed_then_it_is_refused(key: str) -> None:
    with pytest.raises(BadQuery) as caught:
        filters.parse_key(KEYS[key], "Pain")
    assert caught.value.path == key


def test_given_keys_as_text_when_parsed_then_they_have_the_types_of_the_columns() -> None:
    assert filters.parse_key(KEYS["hour"], "7") == 7
    assert filters.parse_key(KEYS["minute"], "2026-11-23T11:59") == datetime.fromisoformat("2026-11-23T11:59")
    assert filters.parse_key(KEYS["store"], "0012") == "0012"


def test_given_a_cursor_when_parsed_then_it_is_the_position_of_its_row() -> None:
    received = datetime.fromisoformat("2026-11-23T11:00:00.123456")
    text = filters.format_cursor({"received_at": received, "place": 2**62})
    assert filters.parse_cursor(text) == (received, 2**62)


@pytest.mark.parametrize("text", ["", "1", "a-b", "1-99999999999999999999", f"1-{2**63}", "-1-1"])
def test_given_text_that_is_not_a_cursor_when_parsed_then_it_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="is not a cursor"):
        filters.parse_cursor(text)


CALENDAR = Calendar(Settings(), ManualClock(NOON_US))


@pytest.mark.parametrize("read", [partial(filters.receipt_conditions, CALENDAR), filters.quarantine_conditions])
def test_given_an_unknown_filter_when_parsed_then_the_error_lists_the_filters(
    read: Callable[[dict[str, str]], tuple[list[str], list[Any]]],
) -> None:
    with pytest.raises(BadQuery, match="no such filter; filter by day"):
        read({"colour": "brown"})


TODAY = "2026-11-23"


def test_given_many_receipts_when_read_page_by_page_then_each_comes_once_and_the_newest_first(
    pipeline: Pipeline, queries: Queries
) -> None:
    for number in range(1, 8):
        pipeline.append(body(cashReceiptID=str(number)), body(cashReceiptID=str(number), terminalID="9"))
        pipeline.clock.advance(number % 2)
    pipeline.drain()
    seen: list[str] = []
    page = queries.receipts({"limit": "4"})
    while True:
        seen += [f"{each.receipt}/{each.till}" for each in page.receipts]
        if page.next is None:
            break
        page = queries.receipts({"limit": "4", "cursor": page.next})
    assert seen == [f"{number}/{till}" for number in range(7, 0, -1) for till in ("9", "3")]
