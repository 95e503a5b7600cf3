"""A declaration is all that a metric needs, and an invalid one is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.errors import CatalogueError
from tillstream.metrics.catalogue import BUILT_IN, DERIVED, Measure, aggregate, catalogue, declare, metric_columns


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def test_a_declared_metric_has_a_table_and_figures(tmp_path: Path) -> None:
    own = [
        {
            "name": "sales_by_till_and_hour",
            "help": "Sales of each till and hour",
            "source": "receipts",
            "keys": ["day", "store", "till", "hour"],
            "measures": ["revenue", "receipts", {"name": "largest", "fold": "max", "column": "gross"}],
        }
    ]
    pipeline = Pipeline(tmp_path, metrics=catalogue(own))
    pipeline.append(body(), body(cashReceiptID="2"))
    pipeline.drain()
    [row] = pipeline.rows("sales_by_till_and_hour")
    assert (row["store"], row["till"], row["hour"], str(row["revenue"])) == ("12", "3", 11, "10.00")
    assert pipeline.verify("sales_by_till_and_hour") == []
    pipeline.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Sales!"}, "lower-case identifier"),
        ({"source": "tills"}, "there is no source 'tills'"),
        ({"keys": []}, "must begin with `day`"),
        ({"keys": ["store", "day"]}, "must begin with `day`"),
        ({"keys": ["day", "category"]}, "receipts have no key 'category'"),
        ({"measures": []}, "no measures"),
        ({"measures": ["profit"]}, "receipts have no measure 'profit'"),
        ({"measures": [{"name": "x", "fold": "median", "column": "gross"}]}, "no fold 'median'"),
        ({"measures": [{"name": "x", "fold": "max", "column": "key"}]}, "max cannot fold 'key'"),
        ({"measures": [{"name": "x", "fold": "sum"}]}, "sum cannot fold ''"),
        ({"measures": [{"name": "x", "fold": "sum", "column": "sold_local"}]}, "sum cannot fold 'sold_local'"),
        ({"measures": [{"name": "x; drop", "fold": "count"}]}, "is not valid"),
        ({"measures": ["revenue", "revenue"]}, "two of its columns have the same name"),
    ],
)
def test_an_invalid_declaration_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    declaration = {"name": "own", "help": "", "source": "receipts", "keys": ["day"], "measures": ["revenue"]}
    with pytest.raises(CatalogueError) as caught:
        declare(**{**declaration, **changes})
    assert reason in str(caught.value)


def test_a_name_in_use_is_refused() -> None:
    own = {"name": "sales", "source": "receipts", "keys": ["day"], "measures": ["revenue"]}
    with pytest.raises(CatalogueError, match="another metric has the same name"):
        catalogue([own])


def test_an_unknown_part_of_a_declaration_is_refused() -> None:
    with pytest.raises(CatalogueError, match="unexpected keyword argument 'wherever'"):
        catalogue([{"name": "own", "source": "receipts", "keys": ["day"], "measures": ["revenue"], "wherever": 1}])


def test_counts_merge_by_sum() -> None:
    assert Measure("receipts", "count").merge == "sum"
    assert Measure("largest", "max", "gross").merge == "max"


def test_a_digest_changes_with_the_figures_and_not_with_the_help() -> None:
    first = declare("own", "a", "receipts", ["day"], ["revenue"])
    assert first.digest == declare("own", "b", "receipts", ["day"], ["revenue"]).digest
    assert first.digest != declare("own", "a", "receipts", ["day"], ["net"]).digest


def test_a_digest_changes_with_the_definition_of_a_derived_column(monkeypatch: pytest.MonkeyPatch) -> None:
    refunds = declare("own", "", "receipts", ["day"], ["refunds"])
    before, sales = refunds.digest, declare("own", "", "receipts", ["day"], ["revenue"]).digest
    monkeypatch.setitem(DERIVED, "refund", "CASE WHEN gross < -1 THEN gross ELSE 0 END")
    assert refunds.digest != before
    assert declare("own", "", "receipts", ["day"], ["revenue"]).digest == sales


def test_refunds_are_receipts_below_zero_and_times_are_local(pipeline: Pipeline) -> None:
    pipeline.append(
        body(),
        body(cashReceiptID="2", date="2026-11-23 09:30:01", documentTotal={"grossTotal": -2.5}),
        body(cashReceiptID="3", date="2026-11-23 10:00:00", documentTotal={"grossTotal": 0}),
    )
    pipeline.drain()
    [row] = pipeline.rows("sales_by_store")
    assert (str(row["refunds"]), row["refund_count"], str(row["revenue"])) == ("-2.50", 1, "2.50")
    assert (row["first"], row["last"]) == (datetime(2026, 11, 23, 9, 30, 1), datetime(2026, 11, 23, 11, 59, 58))
    pipeline.append(body(cashReceiptID="4", date="2026-11-23 08:00:00", documentTotal={"grossTotal": "-0.01"}))
    pipeline.drain()
    [row] = pipeline.rows("sales_by_store")
    assert (str(row["refunds"]), row["refund_count"], row["first"].hour) == ("-2.51", 2, 8)
    assert pipeline.verify("sales_by_store") == []


def test_every_built_in_metric_has_a_help() -> None:
    assert all(metric.help for metric in BUILT_IN)


def test_the_columns_of_a_metric_are_its_keys_and_then_its_measures() -> None:
    [by_till] = [metric for metric in BUILT_IN if metric.name == "sales_by_till"]
    assert metric_columns(by_till, 2) == {
        "day": "DATE",
        "store": "VARCHAR",
        "till": "VARCHAR",
        "revenue": "DECIMAL(38,2)",
        "receipts": "BIGINT",
        "refunds": "DECIMAL(38,2)",
        "refund_count": "BIGINT",
        "first": "TIMESTAMP",
        "last": "TIMESTAMP",
    }


def test_an_aggregate_groups_by_the_keys_of_the_metric() -> None:
    [by_store] = [metric for metric in BUILT_IN if metric.name == "sales_by_store"]
    duckdb.execute("CREATE OR REPLACE TEMP TABLE receipts AS SELECT DATE '2026-11-23' AS day, unnest(['a', 'a', 'b']) AS "
               "store, 1.10 AS gross, 1.00 AS net, 0.10 AS tax, 2 AS items, 1 AS line_count, 0 AS anomalous, TIMESTAMP '2026-11-23 10:00:00' AS sold_local")  # fmt: skip
    rows = duckdb.execute(aggregate(by_store, 2) + " ORDER BY store").fetchall()
    names = ["day", "store", *(measure.name for measure in by_store.measures)]
    shown = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(row["store"], row["revenue"], row["receipts"], row["quantity"]) for row in shown] == [
        ("a", Decimal("2.20"), 2, 4),
        ("b", Decimal("1.10"), 1, 2),
    ]
