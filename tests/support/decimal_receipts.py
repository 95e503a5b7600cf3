"""Reads generated receipts the exact way: amounts as decimals, rounded to the cent."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


def parse_receipt(receipt: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(receipt, parse_float=Decimal)
    return document


def cents(amount: Decimal | int) -> int:
    """To the cent; fails where an amount is finer than float noise explains."""
    exact = Decimal(amount) * 100
    rounded = exact.to_integral_value(ROUND_HALF_UP)
    assert abs(exact - rounded) < Decimal("1e-9"), f"{amount} is no amount of cents"
    return int(rounded)


def gross_cents(document: dict[str, Any]) -> int:
    return cents(document["documentTotal"]["grossTotal"])
