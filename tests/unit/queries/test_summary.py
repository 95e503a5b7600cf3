"""Figures of one business day: summary, snapshot and ticker."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from threading import Event, Thread

import pytest
from msgspec import to_builtins

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.queries.queries import Queries

TODAY = "2026-11-23"


def test_given_no_receipts_when_the_summary_is_read_then_it_has_zeros_and_nulls(queries: Queries) -> None:
    summary = queries.summary()
    assert summary.day == TODAY
    assert (summary.revenue, summary.net, summary.tax) == ("0.00", "0.00", "0.00")
    assert (summary.receipts, summary.receipts_per_minute) == (0, 0)
    assert summary.average_ticket is None
    assert to_builtins(summary.ingest_delay_ms) == {"p50": None, "p99": None}
    assert summary.as_of == "2026-11-23T11:00:00.000Z"


def test_given_receipts_when_the_summary_is_read_then_its_figures_are_exact(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), body(cashReceiptID="2", storeID="13"), body(cashReceiptID="3", terminalID="4"))
    summary = queries.summary()
    assert summary.currency == "EUR"
    assert (summary.revenue, summary.net, summary.tax) == ("15.00", "13.92", "1.08")
    assert (summary.receipts, summary.items, summary.average_ticket) == (3, 9, "5.00")
    assert (summary.stores_active, summary.tills_active, summary.receipts_per_minute) == (2, 3, 3)
    assert summary.till_delay_s.p50 == pytest.approx(2.048, abs=0.5)
    assert summary.ingest_delay_ms.p99 == 1.0


@pytest.mark.parametrize(("amounts", "average"), [(("0.01", "0.02"), "0.02"), (("-0.01", "-0.02"), "-0.02")])
def test_given_an_average_of_half_a_cent_when_the_summary_is_read_then_it_is_rounded_half_up(
    pipeline: Pipeline, queries: Queries, amounts: tuple[str, str], average: str
) -> None:
    process_receipts(pipeline, *(receipt_with_total(amount, cashReceiptID=amount) for amount in amounts))
    assert queries.summary().average_ticket == average


def test_given_receipts_older_than_a_minute_when_the_summary_is_read_then_the_rate_is_zero(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    pipeline.clock.advance(59)
    assert queries.summary().receipts_per_minute == 1
    pipeline.clock.advance(1)
    assert queries.summary().receipts_per_minute == 0


def test_given_another_day_when_the_summary_is_read_then_it_has_no_rate(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body(date="2017-11-18 20:39:32"))
    past = queries.summary("2017-11-18")
    assert (past.receipts, past.receipts_per_minute) == (1, None)
    assert queries.summary("2017-11-18").revenue == "5.00"
    assert queries.summary().receipts == 0


def test_given_duplicates_conflicts_and_refusals_when_the_summary_is_read_then_each_is_counted(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    process_receipts(pipeline, body())
    process_receipts(pipeline, receipt_with_total(9.99))
    pipeline.refuse(b"{", [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()
    summary = queries.summary()
    assert (summary.receipts, summary.revenue) == (1, "5.00")
    assert (summary.duplicates, summary.conflicts, summary.quarantined) == (1, 1, 1)


Interrupt = Callable[[str, Callable[[], object]], None]


def test_given_receipts_of_other_days_when_read_then_those_that_arrived_today_are_counted(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), *(body(date="2017-11-18 20:39:32", cashReceiptID=str(n)) for n in range(3)))
    process_receipts(pipeline, body(date="2026-11-22 20:39:32"))
    pipeline.append(body(date="2026-11-21 20:39:32"), source="json/http/simulated")
    pipeline.drain()
    assert to_builtins(queries.overview().other_days) == [
        {"day": "2026-11-22", "receipts": 1},
        {"day": "2017-11-18", "receipts": 3},
    ]
    pipeline.clock.advance(12 * 3600)
    assert queries.overview().other_days == []


def test_given_receipts_when_a_snapshot_is_read_then_its_parts_agree(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(
        pipeline,
        body(),
        body(cashReceiptID="2", date="2026-11-23 08:15:00"),
        receipt_with_total("1.00", cashReceiptID="3"),
    )
    snapshot = queries.snapshot()
    assert snapshot.live is True
    assert snapshot.summary == queries.summary()
    assert to_builtins(snapshot.minutes) == {
        "start": "2026-11-23T00:00",
        "now": 720,
        "offset": [495, 719],
        "revenue": ["5.00", "6.00"],
        "receipts": [1, 2],
    }
    assert [(row.category, row.revenue) for row in snapshot.categories] == [
        ("Pain", "5.00"),
        ("Sandwich Froid", "5.00"),
        ("(unallocated)", "1.00"),
    ]
    assert (snapshot.lag, snapshot.age_ms) == (0, 0)


def test_given_a_past_day_when_a_snapshot_is_read_then_it_is_not_live(pipeline: Pipeline, queries: Queries) -> None:
    process_receipts(pipeline, body(date="2017-11-18 20:39:32"))
    snapshot = queries.snapshot("2017-11-18")
    assert (snapshot.live, snapshot.summary.receipts, snapshot.other_days) == (False, 1, [])
    assert (snapshot.minutes.offset, snapshot.minutes.now) == ([1239], None)


def test_given_a_stalled_engine_when_a_snapshot_is_read_then_its_age_grows(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    pipeline.append(body(cashReceiptID="2"))
    pipeline.clock.advance(7)
    snapshot = queries.snapshot()
    assert (snapshot.lag, snapshot.age_ms) == (1, 7_000)
    assert queries.lag() == 1


def test_given_a_commit_between_two_queries_when_a_snapshot_is_read_then_it_shows_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Interrupt
) -> None:
    process_receipts(pipeline, body())
    pipeline.append(
        body(cashReceiptID="2", date="2026-11-23 08:15:00"), body(cashReceiptID="3", date="2026-11-22 09:00:00")
    )
    interrupt("metric_sales_by_minute", pipeline.drain)
    snapshot = queries.snapshot()
    assert snapshot.summary.receipts == sum(snapshot.minutes.receipts) == 1
    assert snapshot.other_days == []
    snapshot = queries.snapshot()
    assert snapshot.summary.receipts == sum(snapshot.minutes.receipts) == 2
    assert to_builtins(snapshot.other_days) == [{"day": "2026-11-22", "receipts": 1}]


def test_given_constant_commits_when_snapshots_are_read_then_the_parts_of_each_agree(
    pipeline: Pipeline, queries: Queries
) -> None:
    done = Event()
    apart: list[object] = []

    def watch() -> None:
        while not done.is_set():
            snapshot = queries.snapshot()
            counted = {snapshot.summary.receipts, sum(snapshot.minutes.receipts)}
            counted.add(sum(row.lines for row in snapshot.categories) // 2)
            if len(counted) > 1:
                apart.append(counted)

    watcher = Thread(target=watch)
    watcher.start()
    for number in range(15):
        process_receipts(pipeline, body(cashReceiptID=str(number)))
        pipeline.clock.advance(1)
    done.set()
    watcher.join()
    assert apart == []


def test_given_no_receipts_when_the_ticker_is_read_then_every_object_has_zeros(queries: Queries) -> None:
    assert queries.ticker() == {
        "count": {"sum": Decimal("0.00"), "count": 0},
        "categories": {},
        "metrics-db": {"connectionDelay": 0.0, "networkDelay": 0.0},
        "metrics-storm": {"averagePerMinute": 0, "averageMsCreation": 0.0, "averageMsSystem": 0.0},
    }


def test_given_receipts_when_the_ticker_is_read_then_the_sums_are_those_of_today(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), body(cashReceiptID="2"), body(cashReceiptID="3", date="2017-11-18 10:00:00"))
    found = queries.ticker()
    assert found["count"] == {"sum": Decimal("10.00"), "count": 2}
    assert sum(found["categories"].values()) == Decimal("10.00")
    assert found["metrics-storm"]["averagePerMinute"] == 2
    delays = found["metrics-db"]
    assert delays["networkDelay"] == pytest.approx(2.0, rel=0.2)
    assert found["metrics-storm"]["averageMsCreation"] == pytest.approx(delays["networkDelay"] * 1_000, abs=1)
    assert found["metrics-storm"]["averageMsSystem"] == pytest.approx(delays["connectionDelay"] * 1_000, abs=1)
