"""Delays are counted in buckets, and percentiles are computed from them."""

from __future__ import annotations

import duckdb
import pytest

from tillstream.metrics.delays import NOT_MEASURED, bound_ms, bucket, percentiles


@pytest.mark.parametrize("milliseconds", [0, 0.5, 1, 1.001, 2, 3, 250, 500, 86_400_000, 283_000_000_000])
def test_a_bucket_holds_delays_up_to_its_bound_and_not_a_quarter_octave_less(milliseconds: float) -> None:
    [(number,)] = duckdb.execute(f"SELECT {bucket(f'CAST({milliseconds} AS DOUBLE)')}").fetchall()
    assert milliseconds <= bound_ms(number) * (1 + 1e-12)
    assert number == 0 or milliseconds > bound_ms(number - 1) * (1 - 1e-12)


def test_an_unknown_delay_has_its_own_bucket() -> None:
    assert duckdb.execute(f"SELECT {bucket('CAST(NULL AS DOUBLE)')}").fetchall() == [(NOT_MEASURED,)]


def test_percentiles_are_the_upper_bounds_of_their_buckets() -> None:
    rows = [{"b": -1, "receipts": 1_000}, {"b": 0, "receipts": 98}, {"b": 8, "receipts": 1}, {"b": 40, "receipts": 1}]
    assert percentiles(rows, "b") == {"p50": 1.0, "p99": 4.0}
    assert percentiles(rows[:1], "b") == {"p50": None, "p99": None}
    assert percentiles([*rows, {"b": 40, "receipts": 1}], "b")["p99"] == 1024.0
