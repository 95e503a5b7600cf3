"""Serialization of database rows for JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tillstream.queries.serialization import amount, serialize, trimmed, with_store_names, zulu
from tillstream.receipt.amounts import minor_unit
from tillstream.stores.model import Store, StoreList


def test_given_a_row_when_serialized_then_its_amounts_are_texts_and_its_times_iso() -> None:
    row = {
        "day": date(2026, 11, 23),
        "sold_local": datetime(2026, 11, 23, 12, 0),
        "received_at": datetime(2026, 11, 23, 11, 0, 0, 1_999),
        "gross": Decimal("0.0000001"),
        "count": 3,
        "nothing": None,
    }
    assert serialize(row) == {
        "day": "2026-11-23",
        "sold_local": "2026-11-23T12:00:00",
        "received_at": "2026-11-23T11:00:00.001Z",
        "gross": "0.0000001",
        "count": 3,
        "nothing": None,
    }


def test_given_an_instant_with_a_zone_when_written_then_it_ends_in_z() -> None:
    assert zulu(datetime(2026, 11, 23, tzinfo=UTC)) == "2026-11-23T00:00:00.000Z"


@pytest.mark.parametrize(
    ("number", "least", "shown"),
    [("2.000000", "1", "2"), ("0.420000", "1", "0.42"), ("1.190000", "0.01", "1.19"), ("1.200000", "0.01", "1.20")],
)
def test_given_trailing_zeros_when_trimmed_then_only_those_of_the_unit_remain(
    number: str, least: str, shown: str
) -> None:
    assert trimmed(Decimal(number), Decimal(least)) == shown


def test_given_a_currency_when_an_amount_is_written_then_it_has_its_decimals() -> None:
    assert [amount(Decimal(5), minor_unit(currency)) for currency in ("EUR", "JPY", "TND")] == ["5.00", "5", "5.000"]


def test_given_rows_when_store_names_are_added_then_the_name_follows_the_id() -> None:
    rows = [{"day": 1, "store": "12", "till": "1"}, {"day": 1, "store": "13", "till": "1"}]
    assert [list(row.items()) for row in with_store_names(rows, StoreList({"12": Store("12", "Paris Opéra")}))] == [
        [("day", 1), ("store", "12"), ("store_name", "Paris Opéra"), ("till", "1")],
        [("day", 1), ("store", "13"), ("store_name", "13"), ("till", "1")],
    ]
