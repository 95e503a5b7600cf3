"""The pieces of SQL that the plan is made of."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest

from tillstream.engine.plan import Plan
from tillstream.metrics.catalogue import BUILT_IN


@pytest.mark.parametrize(
    ("digits", "amount", "rounded"),
    [
        (2, "0.345", "0.35"),
        (2, "-0.345", "-0.35"),
        (2, "3.360000", "3.36"),
        (0, "0.5", "1"),
        (3, "0.0005", "0.001"),
    ],
)
def test_amounts_round_half_up_to_the_minor_unit(digits: int, amount: str, rounded: str) -> None:
    sql = Plan(digits)._round(f"CAST('{amount}' AS DECIMAL(19,6))")
    assert duckdb.execute(f"SELECT {sql}").fetchall() == [(Decimal(rounded),)]


def test_a_fold_groups_by_the_metric_s_keys() -> None:
    [by_store] = [metric for metric in BUILT_IN if metric.name == "sales_by_store"]
    duckdb.execute("CREATE OR REPLACE TEMP TABLE receipt AS SELECT DATE '2026-11-23' AS day, unnest(['a', 'a', 'b']) AS "
               "store, 1.10 AS gross, 1.00 AS net, 0.10 AS tax, 2 AS items, 1 AS line_count, 0 AS anomalous, TIMESTAMP '2026-11-23 10:00:00' AS sold_local")  # fmt: skip
    rows = duckdb.execute(Plan(2).fold(by_store, "receipt") + " ORDER BY store").fetchall()
    names = ["day", "store", *(measure.name for measure in by_store.measures)]
    shown = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(row["store"], row["revenue"], row["receipts"], row["quantity"]) for row in shown] == [
        ("a", Decimal("2.20"), 2, 4),
        ("b", Decimal("1.10"), 1, 2),
    ]
