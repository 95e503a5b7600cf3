"""Metrics are merged from time to time and aggregated at read time in between, with the same figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.database.duckdb.metric_tables import MetricTables
from tillstream.errors import UnknownMetric
from tillstream.metrics.catalogue import BUILT_IN


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def merged(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pipeline.database.query("SELECT receipts FROM merged_sales")


def test_a_commit_soon_after_a_merge_is_aggregated_at_read_time(pipeline: Pipeline) -> None:
    pipeline.append(body())
    pipeline.drain()
    pipeline.append(body(cashReceiptID="2"))
    pipeline.drain()
    assert merged(pipeline) == [{"receipts": 1}]
    assert pipeline.rows("sales")[0]["receipts"] == 2


def test_a_commit_long_after_a_merge_merges_all_later_receipts(pipeline: Pipeline) -> None:
    for number in range(3):
        pipeline.append(body(cashReceiptID=str(number)))
        pipeline.drain()
    pipeline.clock.advance(10)
    pipeline.append(body(cashReceiptID="3"))
    pipeline.drain()
    assert merged(pipeline) == [{"receipts": 4}]
    assert pipeline.rows("sales")[0]["receipts"] == 4


def test_a_commit_without_receipts_merges_nothing(pipeline: Pipeline) -> None:
    pipeline.refuse(b"{}", [])
    pipeline.drain()
    assert merged(pipeline) == []


def test_an_unknown_metric_is_named() -> None:
    tables = MetricTables(BUILT_IN, 2)
    with pytest.raises(UnknownMetric, match="no metric 'nonsense'"):
        tables.rebuild(duckdb.connect().execute, "nonsense", 0)
