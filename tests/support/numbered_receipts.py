"""Distinct receipts with a known total, for imports."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.decimal_receipts import euros

DAY = "2026-11-23"
GROSS_CENTS = 250

MANY_RECEIPTS = 12_000
PER_STORE = 500
"""A rate limit per store, in receipts per second. It makes an import take seconds, so a test can interrupt it."""


def numbered_receipt(number: int, day: str = DAY, **fields: Any) -> dict[str, Any]:
    """The receipt with this number, with a total of 2.50."""
    second = number % 50_000
    return {
        "cashReceiptID": str(number),
        "storeID": str(number % 7 + 1),
        "date": f"{day} {8 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}",
        "lines": [{"productDescription": "Baguette", "quantity": 2, "settlementAmount": 2.5}],
        "documentTotal": {"grossTotal": 2.5},
        **fields,
    }


def ndjson(numbers: Iterable[int], day: str = DAY) -> bytes:
    return b"".join(json.dumps(numbered_receipt(number, day)).encode() + b"\n" for number in numbers)


def revenue(count: int) -> str:
    """The revenue of this many receipts in the form of the API."""
    return euros(count * GROSS_CENTS)


def imported_receipts(state: Path) -> int:
    """The number of receipts in the checkpoint of the only import in a state directory, or 0 without a checkpoint."""
    for file in state.glob("*.json"):
        return int(json.loads(file.read_bytes())["done"])
    return 0


def ndjson_file(path: Path, numbers: Iterable[int], day: str = DAY) -> Path:
    path.write_bytes(ndjson(numbers, day))
    return path
