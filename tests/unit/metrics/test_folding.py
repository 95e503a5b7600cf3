"""The SQL of metrics."""

from __future__ import annotations

from decimal import Decimal

import duckdb

from tillstream.metrics.catalogue import BUILT_IN
from tillstream.metrics.folding import fold, metric_columns


def test_a_metric_s_columns_are_its_keys_and_then_its_measures() -> None:
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


def test_a_fold_groups_by_the_metric_s_keys() -> None:
    [by_store] = [metric for metric in BUILT_IN if metric.name == "sales_by_store"]
    duckdb.execute("CREATE OR REPLACE TEMP TABLE receipt AS SELECT DATE '2026-11-23' AS day, unnest(['a', 'a', 'b']) AS "
               "store, 1.10 AS gross, 1.00 AS net, 0.10 AS tax, 2 AS items, 1 AS line_count, 0 AS anomalous, TIMESTAMP '2026-11-23 10:00:00' AS sold_local")  # fmt: skip
    rows = duckdb.execute(fold(by_store, "receipt", 2) + " ORDER BY store").fetchall()
    names = ["day", "store", *(measure.name for measure in by_store.measures)]
    shown = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(row["store"], row["revenue"], row["receipts"], row["quantity"]) for row in shown] == [
        ("a", Decimal("2.20"), 2, 4),
        ("b", Decimal("1.10"), 1, 2),
    ]
