"""The pieces of SQL that the plan is made of."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest

from tillstream.engine.plan import Plan, bucket, bucket_bound_ms
from tillstream.metrics import BUILT_IN


@pytest.mark.parametrize("milliseconds", [0, 0.5, 1, 1.001, 2, 3, 250, 500, 86_400_000, 283_000_000_000])
def test_a_bucket_holds_delays_up_to_its_bound_and_not_a_quarter_octave_less(milliseconds: float) -> None:
    [(number,)] = duckdb.execute(f"SELECT {bucket(f'CAST({milliseconds} AS DOUBLE)')}").fetchall()
    assert milliseconds <= bucket_bound_ms(number) * (1 + 1e-12)
    assert number == 0 or milliseconds > bucket_bound_ms(number - 1) * (1 - 1e-12)


def test_a_delay_that_is_unknown_has_a_bucket_of_its_own() -> None:
    assert duckdb.execute(f"SELECT {bucket('CAST(NULL AS DOUBLE)')}").fetchall() == [(-1,)]


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
               "store, 1.10 AS gross, 1.00 AS net, 0.10 AS tax, 2 AS items")  # fmt: skip
    rows = duckdb.execute(Plan(2).fold(by_store, "receipt") + " ORDER BY store").fetchall()
    assert [(row[1], row[2], row[5], row[6]) for row in rows] == [
        ("a", Decimal("2.20"), 2, 4),
        ("b", Decimal("1.10"), 1, 2),
    ]
