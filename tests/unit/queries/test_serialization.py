"""Texts of amounts and times in the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tillstream.queries.serialization import amount, trimmed, zulu
from tillstream.receipt.amounts import minor_unit


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
