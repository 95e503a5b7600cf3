"""Metrics: their descriptions and their rows."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts
from tests.support.receipts import body
from tillstream.errors import BadQuery, UnknownMetric
from tillstream.queries.queries import Queries
from tillstream.stores.model import Store

TODAY = "2026-11-23"


def test_given_every_metric_when_read_then_rows_have_its_columns_and_amounts_are_strings(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body())
    for described in queries.catalogue():
        answer = queries.metric(described.name)
        names = [[key, "store_name"] if key == "store" else [key] for key in described.keys]
        assert answer.columns == [*chain(*names), *(measure.name for measure in described.measures)]
        assert answer.rows, described.name
        for row in answer.rows:
            assert list(row) == answer.columns
            assert row["day"] == TODAY
            for measure in described.measures:
                assert isinstance(
                    row[measure.name], {"money": str, "count": int, "text": str, "time": str}[measure.kind]
                )


def test_given_key_filters_when_a_metric_is_read_then_only_matching_rows_come(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), body(cashReceiptID="2", storeID="13", date="2026-11-23 10:00:00"))
    rows = queries.metric("sales_by_store_and_hour", {"store": "13", "hour": "10"}).rows
    row = {"day": TODAY, "store": "13", "store_name": "13", "hour": 10, "revenue": "5.00", "receipts": 1, "quantity": 3}
    assert rows == [row]
    minute = queries.metric("sales_by_minute", {"minute": "2026-11-23T10:00"}).rows
    assert [row["minute"] for row in minute] == ["2026-11-23T10:00:00"]
    assert queries.metric("sales", {"day": "2026-11-22"}).rows == []


def test_given_a_list_of_shops_when_a_metric_by_store_is_read_then_it_has_their_names(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), body(cashReceiptID="2", storeID="13"))
    pipeline.set_shops(Store("12", "Paris Opéra"))
    rows = queries.metric("sales_by_till").rows
    assert [(row["store"], row["store_name"]) for row in rows] == [("12", "Paris Opéra"), ("13", "13")]
    assert "store_name" not in queries.metric("sales").columns


def test_given_an_unknown_metric_or_key_when_read_then_it_is_refused(queries: Queries) -> None:
    with pytest.raises(UnknownMetric, match="sales_by_store"):
        queries.metric("nope")
    with pytest.raises(BadQuery, match="filter by day, store"):
        queries.metric("sales_by_store", {"category": "Pain"})
