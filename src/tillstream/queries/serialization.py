"""Texts in API responses: their types, and functions that format amounts and times."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

# The patterns and formats only appear in the OpenAPI document. Values are not checked against them.
Amount = Annotated[str, Meta(extra_json_schema={"pattern": r"^-?[0-9]+(\.[0-9]+)?$"})]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
LocalTime = Annotated[
    str, Meta(extra_json_schema={"format": "date-time-local", "description": "local time of the till or the chain"})
]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
ReceiptKey = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"})]
EntryId = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,18}$"})]
Change = Annotated[str, Meta(description="percent with one decimal, or `new` if there was nothing before")]


def amount(value: Decimal, unit: Decimal) -> Amount:
    """Format an amount with as many decimals as `unit`."""
    return format(value.quantize(unit), "f")


def trimmed(number: Decimal, unit: Decimal) -> Amount:
    """Format a number without trailing zeros, but with at least as many decimals as `unit`."""
    rounded = number.quantize(unit)
    return format(rounded if rounded == number else number.normalize(), "f")


def zulu(instant: datetime) -> Instant:
    """Format a UTC time, aware or naive, with milliseconds, for example `2026-11-30T12:00:00.000Z`."""
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
