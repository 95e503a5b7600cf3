"""The built-in formats, and their examples in the OpenAPI document of ingest."""

from __future__ import annotations

import json
from typing import NamedTuple

import httpx

from tests.support.receipts import body


class Format(NamedTuple):
    """A format: its title in reports and its media types, the main media type first."""

    title: str
    media_types: tuple[str, ...]

    @property
    def media_type(self) -> str:
        return self.media_types[0]


JSON = Format("JSON", ("application/json",))
NDJSON = Format("NDJSON", ("application/x-ndjson", "application/ndjson", "application/jsonl"))
XML = Format("XML", ("application/xml", "text/xml"))
CSV = Format("CSV", ("text/csv", "application/csv"))
FORM = Format("HTML form", ("application/x-www-form-urlencoded",))
SQUARE = Format("Square Orders", ("application/vnd.square.orders+json",))
POSLOG = Format("ARTS POSLog", ("application/vnd.nrf-arts.poslog+xml", "application/poslog+xml", "text/x-poslog"))
RECORDS = Format("Records", ("application/vnd.tillstream.records+ndjson",))

FORMATS = (JSON, NDJSON, XML, CSV, FORM, SQUARE, POSLOG, RECORDS)


def described_examples(ingest: str) -> dict[str, str]:
    """The example of each media type in the OpenAPI document of ingest."""
    operation = httpx.get(f"{ingest}/openapi.json").json()["paths"]["/receipts"]["post"]
    content = operation["requestBody"]["content"]
    # JSON has a schema instead of an example. The receipt is indented, because a single line is also valid NDJSON.
    by_schema = {JSON.media_type: json.dumps(body(cashReceiptID="1047"), indent=2)}
    return {media_type: each.get("example") or by_schema[media_type] for media_type, each in content.items()}
