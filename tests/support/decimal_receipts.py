"""Exact amounts: receipts with decimals, and amounts in cents."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


def parse_receipt(receipt: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(receipt, parse_float=Decimal)
    return document


def cents(amount: Decimal | int) -> int:
    """The amount in cents. Fails if it differs from whole cents by more than float noise."""
    exact = Decimal(amount) * 100
    rounded = exact.to_integral_value(ROUND_HALF_UP)
    assert abs(exact - rounded) < Decimal("1e-9"), f"{amount} is not a whole number of cents"
    return int(rounded)


def euros(amount_cents: int) -> str:
    """An amount that is not negative, in the form of the API."""
    return f"{amount_cents // 100}.{amount_cents % 100:02}"


def gross_cents(document: dict[str, Any]) -> int:
    return cents(document["documentTotal"]["grossTotal"])
