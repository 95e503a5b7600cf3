"""Receipts for imports: as many as a test wants, each its own, of which the total is known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DAY = "2026-11-23"
GROSS_CENTS = 250

MANY_RECEIPTS = 12_000
PER_STORE = 500
"""Receipts a second of one of the seven stores: so to take so many lasts seconds, and can be met in the middle."""


def numbered_receipt(number: int, day: str = DAY, **fields: Any) -> dict[str, Any]:
    """The receipt of that number: 2.50 of the currency."""
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
    """Of so many receipts, as the API writes it."""
    cents = count * GROSS_CENTS
    return f"{cents // 100}.{cents % 100:02}"


def ndjson_file(path: Path, numbers: Iterable[int], day: str = DAY) -> Path:
    path.write_bytes(ndjson(numbers, day))
    return path
