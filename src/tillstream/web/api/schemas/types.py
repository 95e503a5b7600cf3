"""The texts of the API that have a format: amounts are decimal strings, times are ISO 8601."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# These describe what the queries return, for readers of the API. Nothing checks it again.
Amount = Annotated[str, Meta(extra_json_schema={"pattern": r"^-?[0-9]+(\.[0-9]+)?$"})]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
LocalTime = Annotated[
    str, Meta(extra_json_schema={"format": "date-time-local", "description": "by the till's or the chain's clock"})
]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
ReceiptKey = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"})]
EntryId = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,18}$"})]
Change = Annotated[str, Meta(description="percent with one decimal, or `new` where there was nothing before")]
