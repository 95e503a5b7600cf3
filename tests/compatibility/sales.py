"""Inputs that the recordings of the data directory and of the broker are made of."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.compatibility import corpus

FORMATS = ("json", "ndjson", "csv", "form", "xml", "poslog", "square", "records")
OF_EACH = 5
"""Inputs of each format that were taken, and as many that were refused."""


def chosen(of_each: int = OF_EACH) -> list[dict[str, Any]]:
    """Inputs of every format: some that became receipts which no other one became, and some that were refused."""
    found, known = [], set[str]()
    for name in FORMATS:
        recorded = json.loads((corpus.RECORDED / f"{name}.json").read_bytes())
        left = {True: of_each, False: of_each}
        for each in corpus.inputs(name):
            result = recorded[each["name"]]
            taken = result["status"] == 202
            keys = {record["head"]["key"] for record in result["records"]} - {""}
            if left[taken] and _is_small(result) and not (taken and keys <= known):
                left[taken] -= 1
                known |= keys
                found.append(each)
    return found


def _is_small(result: dict[str, Any]) -> bool:
    """Whether a few records were made of the input, and none depends on the clock."""
    heads = [each["head"] for each in result["records"]]
    return 0 < len(heads) < 10 and not any(corpus.CLOCK_AHEAD in head["notes"] for head in heads)


def post(client: httpx.Client, given: dict[str, Any]) -> httpx.Response:
    return client.post(given["path"], content=corpus.as_bytes(given["body"]), headers=given["headers"])


def receipt(number: str, **changes: Any) -> bytes:
    """A small receipt of store 2 in JSON."""
    found = {
        "cashReceiptID": number,
        "storeID": "2",
        "terminalID": "1",
        "date": "2025-12-01 10:15:00",
        "lines": [{"productCode": "BAG", "productCategoryName": "Pain", "quantity": 2, "settlementAmount": 2.4}],
        "documentTotal": {"grossTotal": 2.4, "netTotal": 2.27, "taxPayable": 0.13},
        "settlements": [{"paymentMechanism": "CB", "settlementAmount": 2.4}],
    }
    return json.dumps(found | changes).encode()
