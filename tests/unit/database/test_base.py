"""The tables have the columns that metrics need, in the decimals of the currency."""

from __future__ import annotations

import duckdb

from tillstream.database.base import tables
from tillstream.metrics.catalogue import COLUMNS, DERIVED


def test_amounts_have_the_decimals_of_the_currency() -> None:
    assert tables(0)["receipts"]["gross"] == "DECIMAL(18,0)"
    assert tables(3)["lines"]["net"] == "DECIMAL(18,3)"


def test_every_column_of_a_measure_is_stored_or_derived_from_stored_columns() -> None:
    connection = duckdb.connect()
    for source, columns in COLUMNS.items():
        declared = ", ".join(f"{name} {kind}" for name, kind in tables(2)[source].items())
        connection.execute(f"CREATE TABLE {source} ({declared})")
        for column in columns:
            expression = DERIVED.get(column, column)
            assert connection.execute(f"SELECT {expression} FROM {source}").fetchall() == []
