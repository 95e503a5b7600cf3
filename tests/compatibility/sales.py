"""Inputs for the recordings of the data directory and of the broker."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.compatibility import corpus

FORMATS = ("json", "ndjson", "csv", "form", "xml", "poslog", "square", "records")
INPUTS_PER_FORMAT = 5
"""The maximum number of accepted inputs per format, and also of rejected inputs."""


def selected_inputs(per_format: int = INPUTS_PER_FORMAT) -> list[dict[str, Any]]:
    """Some accepted inputs of every format, each with a new receipt, and some rejected inputs."""
    found, known = [], set[str]()
    for name in FORMATS:
        recorded = json.loads((corpus.RECORDED / f"{name}.json").read_bytes())
        remaining = {True: per_format, False: per_format}
        for each in corpus.inputs(name):
            result = recorded[each["name"]]
            accepted = result["status"] == 202
            keys = {record["head"]["key"] for record in result["records"]} - {""}
            if remaining[accepted] and _is_small(result) and not (accepted and keys <= known):
                remaining[accepted] -= 1
                known |= keys
                found.append(each)
    return found


def _is_small(result: dict[str, Any]) -> bool:
    """Whether the input has few records and none of them depends on the clock."""
    heads = [each["head"] for each in result["records"]]
    return 0 < len(heads) < 10 and not any(corpus.CLOCK_AHEAD in head["notes"] for head in heads)


def post(client: httpx.Client, posted: dict[str, Any]) -> httpx.Response:
    return client.post(posted["path"], content=corpus.as_bytes(posted["body"]), headers=posted["headers"])


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
