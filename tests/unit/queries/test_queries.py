"""One way for every reader, over the real log, engine and store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales import sell, total
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries


def test_given_a_currency_without_decimals_when_asked_then_money_has_none(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(currency="JPY"))
    sell(pipeline, total(1200))
    assert queries_of(pipeline).summary()["revenue"] == "1200"
    pipeline.close()


def test_given_a_commit_between_two_queries_when_the_summary_is_asked_then_it_is_of_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Callable[[str, Callable[[], object]], None]
) -> None:
    sell(pipeline, body())
    pipeline.append(body(cashReceiptID="2", storeID="13"), body())
    interrupt("metric_delays", pipeline.drain)
    summary = queries.summary()
    assert (summary["receipts"], summary["stores_active"], summary["duplicates"]) == (1, 1, 0)
    summary = queries.summary()
    assert (summary["receipts"], summary["stores_active"], summary["duplicates"]) == (2, 2, 1)


def test_given_a_reader_when_the_summary_is_asked_then_it_is_as_that_reader_sees_it(
    pipeline: Pipeline, queries: Queries
) -> None:
    sell(pipeline, body())
    with pipeline.database.snapshot() as reader:
        assert queries.summary(reader=reader)["receipts"] == 1
        sell(pipeline, body(cashReceiptID="2"))
        assert queries.summary(reader=reader)["receipts"] == 1
        assert queries.summary()["receipts"] == 2


def test_given_records_that_wait_when_asked_then_the_lag_is_told(pipeline: Pipeline, queries: Queries) -> None:
    pipeline.append(body(), body(cashReceiptID="2"))
    assert queries.lag() == 2
    pipeline.drain()
    assert queries.lag() == 0
