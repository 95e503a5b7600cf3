"""The SQL of normalization rounds amounts half-up."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest

from tillstream.receipt.normalization import Normalization


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
    sql = Normalization(digits)._round(f"CAST('{amount}' AS DECIMAL(19,6))")
    assert duckdb.execute(f"SELECT {sql}").fetchall() == [(Decimal(rounded),)]
