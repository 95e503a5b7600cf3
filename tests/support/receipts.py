"""Receipts that most tests use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RECEIPT_OF_2017 = (Path(__file__).parent / "receipt-of-2017.json").read_bytes()
"""A receipt of 4.86 € of 18 November 2017, as a till wrote it."""

NOON_US = 1_795_431_600_000_000  # 2026-11-23 12:00:00 in Paris


def body(**changes: Any) -> dict[str, Any]:
    """A receipt with two lines and a total of 5.00 €. `changes` replace top-level fields."""
    receipt = {
        "cashReceiptID": "1",
        "storeID": "12",
        "terminalID": "3",
        "agentID": "7",
        "customerID": "42",
        "date": "2026-11-23 11:59:58",
        "lines": [
            {
                "lineNumber": 1, "productCode": "BAG", "productDescription": "Baguette tradition",
                "productCategoryCode": "P", "productCategoryName": "Pain", "quantity": 2,
                "unitOfMeasure": "piece", "unitPrice": 1.19, "creditAmount": 2.37, "taxPercentage": 5.5,
                "settlementAmount": 2.5,
            },
            {
                "lineNumber": 2, "productCode": "SAN", "productDescription": "Sandwich jambon",
                "productCategoryCode": "S", "productCategoryName": "Sandwich Froid", "quantity": 1,
                "unitOfMeasure": "piece", "unitPrice": 2.27, "creditAmount": 2.27, "taxPercentage": 10,
                "settlementAmount": 2.5,
            },
        ],
        "documentTotal": {"grossTotal": 5.0, "netTotal": 4.64, "taxPayable": 0.36},
        "settlements": [{"paymentMechanism": "CB", "settlementAmount": 5.0}],
    }  # fmt: skip
    receipt.update(changes)
    return receipt
