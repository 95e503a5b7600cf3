"""The course of a span beside that of the days compared with."""

from __future__ import annotations

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell
from tests.support.receipts import body
from tillstream.queries.queries import Queries


def test_given_a_live_day_when_asked_then_its_minutes_stand_beside_the_whole_other_day(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-23 08:15:59"), body(date="2026-11-16 08:14:00"), body(date="2026-11-16 21:00:00"))
    pace = queries.overview()["pace"]
    assert {name: pace[name] for name in ("unit", "start", "now", "end")} == {
        "unit": "minute", "start": "2026-11-23T00:00", "now": 720, "end": 1440,
    }  # fmt: skip
    assert (pace["offset"], pace["revenue"], pace["receipts"]) == ([495], ["5.00"], [1])
    assert pace["before"] == {"offset": [494, 1260], "revenue": ["5.00", "5.00"], "receipts": [1, 1]}


def test_given_late_receipts_when_asked_again_then_the_other_day_has_them(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body(date="2026-11-16 08:14:00"))
    assert queries.overview()["pace"]["before"]["receipts"] == [1]
    sell(pipeline, body(cashReceiptID="late", date="2026-11-16 08:14:00"))
    assert queries.overview()["pace"]["before"]["receipts"] == [2]


def test_given_some_days_when_asked_then_it_goes_by_the_hour_or_by_the_day(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(date="2026-11-17 08:15:00"), body(date="2026-11-23 11:59:00"))
    week = queries.overview({"from": "2026-11-17", "to": "2026-11-23"})["pace"]
    assert (week["unit"], week["offset"], week["now"], week["end"]) == ("hour", [8, 6 * 24 + 11], 6 * 24 + 12, 168)
    days = queries.overview({"from": "2026-11-14", "to": "2026-11-23"})["pace"]
    assert (days["unit"], days["offset"], days["now"], days["end"]) == ("day", [3, 9], 9, 10)


def test_given_a_category_when_asked_then_its_course_counts_no_receipts(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body())
    pace = queries.overview({"category": "Pain"})["pace"]
    assert (pace["offset"], pace["revenue"], pace["receipts"]) == ([719], ["2.50"], None)
