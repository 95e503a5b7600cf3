"""Queries: each answer shows one commit, and the stores have their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import to_builtins

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries
from tillstream.stores.model import Store, parse_hours


def test_given_a_currency_without_decimals_when_read_then_amounts_have_none(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(currency="JPY"))
    process_receipts(pipeline, receipt_with_total(1200))
    assert queries_of(pipeline).summary().revenue == "1200"
    pipeline.close()


def test_given_a_commit_between_two_queries_when_the_summary_is_read_then_it_shows_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Callable[[str, Callable[[], object]], None]
) -> None:
    process_receipts(pipeline, body())
    pipeline.append(body(cashReceiptID="2", storeID="13"), body())
    interrupt("metric_delays", pipeline.drain)
    summary = queries.summary()
    assert (summary.receipts, summary.stores_active, summary.duplicates) == (1, 1, 0)
    summary = queries.summary()
    assert (summary.receipts, summary.stores_active, summary.duplicates) == (2, 2, 1)


def test_given_a_reader_when_the_summary_is_read_then_it_shows_the_commit_of_that_reader(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    with pipeline.database.snapshot() as reader:
        assert queries.summary(reader=reader).receipts == 1
        process_receipts(pipeline, body(cashReceiptID="2"))
        assert queries.summary(reader=reader).receipts == 1
        assert queries.summary().receipts == 2


def test_given_records_that_wait_when_the_lag_is_read_then_it_is_their_number(
    pipeline: Pipeline, queries: Queries
) -> None:
    pipeline.append(body(), body(cashReceiptID="2"))
    assert queries.lag() == 2
    pipeline.drain()
    assert queries.lag() == 0


OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", "", 3, parse_hours("Mo-Sa 07:00-19:30; Su 07:00-13:00"))


def test_given_a_list_and_sales_when_stores_are_read_then_unlisted_ones_follow(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(
        pipeline, body(), body(cashReceiptID="2", storeID="13", date="2017-11-18 20:39:32"), body(storeID="11")
    )
    assert [(row.id, row.name, row.listed) for row in queries.stores()] == [
        ("11", "11", False),
        ("12", "12", False),
        ("13", "13", False),
    ]
    pipeline.set_shops(Store("99", zone="Indian/Reunion"), OPERA)
    rows = queries.stores()
    assert [row.id for row in rows] == ["99", "12", "11", "13"]
    assert to_builtins(rows[0]) == {
        "id": "99", "name": "99", "city": "", "region": "", "zone": "Indian/Reunion", "tills": 0, "hours": "",
        "listed": True,
    }  # fmt: skip
    assert to_builtins(rows[1]) == {
        "id": "12", "name": "Paris Opéra", "city": "Paris", "region": "Île-de-France", "zone": "", "tills": 3,
        "hours": "Mo-Sa 07:00-19:30; Su 07:00-13:00", "listed": True,
    }  # fmt: skip
