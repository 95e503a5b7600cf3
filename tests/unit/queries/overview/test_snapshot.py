"""All that the live page shows of a day is of one commit."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.queries.queries import Queries

Interrupt = Callable[[str, Callable[[], object]], None]


def test_given_receipts_of_other_days_when_asked_then_those_received_today_are_counted(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body(), *(body(date="2017-11-18 20:39:32", cashReceiptID=str(n)) for n in range(3)))
    sell(pipeline, body(date="2026-11-22 20:39:32"))
    pipeline.append(body(date="2026-11-21 20:39:32"), source="json/http/simulated")
    pipeline.drain()
    assert queries.other_days() == [{"day": "2026-11-22", "receipts": 1}, {"day": "2017-11-18", "receipts": 3}]
    pipeline.clock.advance(12 * 3600)
    assert queries.other_days() == []


def test_given_receipts_when_a_snapshot_is_asked_then_its_parts_agree(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body(), body(cashReceiptID="2", date="2026-11-23 08:15:00"), total("1.00", cashReceiptID="3"))
    snapshot = queries.snapshot()
    assert snapshot["live"] is True
    assert snapshot["summary"] == queries.summary()
    assert snapshot["minutes"] == {
        "start": "2026-11-23T00:00",
        "now": 720,
        "offset": [495, 719],
        "revenue": ["5.00", "6.00"],
        "receipts": [1, 2],
    }
    assert [(row["category"], row["revenue"]) for row in snapshot["categories"]] == [
        ("Pain", "5.00"),
        ("Sandwich Froid", "5.00"),
        ("(unallocated)", "1.00"),
    ]
    assert (snapshot["lag"], snapshot["age_ms"]) == (0, 0)


def test_given_a_past_day_when_a_snapshot_is_asked_then_it_is_not_live(pipeline: Pipeline, queries: Queries) -> None:
    sell(pipeline, body(date="2017-11-18 20:39:32"))
    snapshot = queries.snapshot("2017-11-18")
    assert (snapshot["live"], snapshot["summary"]["receipts"], snapshot["other_days"]) == (False, 1, [])
    assert (snapshot["minutes"]["offset"], snapshot["minutes"]["now"]) == ([1239], None)


def test_given_the_engine_stands_still_when_a_snapshot_is_asked_then_its_age_grows(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body())
    pipeline.append(body(cashReceiptID="2"))
    pipeline.clock.advance(7)
    snapshot = queries.snapshot()
    assert (snapshot["lag"], snapshot["age_ms"]) == (1, 7_000)
    assert queries.lag() == 1


def test_given_a_commit_between_two_queries_when_a_snapshot_is_asked_then_it_is_of_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Interrupt
) -> None:
    sell(pipeline, body())
    pipeline.append(
        body(cashReceiptID="2", date="2026-11-23 08:15:00"), body(cashReceiptID="3", date="2026-11-22 09:00:00")
    )
    interrupt("metric_sales_by_minute", pipeline.drain)
    snapshot = queries.snapshot()
    assert snapshot["summary"]["receipts"] == sum(snapshot["minutes"]["receipts"]) == 1
    assert snapshot["other_days"] == []
    snapshot = queries.snapshot()
    assert snapshot["summary"]["receipts"] == sum(snapshot["minutes"]["receipts"]) == 2
    assert snapshot["other_days"] == [{"day": "2026-11-22", "receipts": 1}]


def test_given_commits_all_the_time_when_snapshots_are_asked_then_the_parts_of_each_agree(
    pipeline: Pipeline, queries: Queries
) -> None:
    done = Event()
    apart: list[object] = []

    def watch() -> None:
        while not done.is_set():
            snapshot = queries.snapshot()
            counted = {snapshot["summary"]["receipts"], sum(snapshot["minutes"]["receipts"])}
            counted.add(sum(row["lines"] for row in snapshot["categories"]) // 2)
            if len(counted) > 1:
                apart.append(counted)

    watcher = Thread(target=watch)
    watcher.start()
    for number in range(15):
        sell(pipeline, body(cashReceiptID=str(number)))
        pipeline.clock.advance(1)
    done.set()
    watcher.join()
    assert apart == []
