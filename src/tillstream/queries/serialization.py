"""Texts in the answers: their types, and the texts of amounts and times."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

# The patterns and formats describe the texts in the API's documentation. Nothing validates them.
Amount = Annotated[str, Meta(extra_json_schema={"pattern": r"^-?[0-9]+(\.[0-9]+)?$"})]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
LocalTime = Annotated[
    str, Meta(extra_json_schema={"format": "date-time-local", "description": "by the till's or the chain's clock"})
]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
ReceiptKey = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"})]
EntryId = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,18}$"})]
Change = Annotated[str, Meta(description="percent with one decimal, or `new` where there was nothing before")]


def amount(value: Decimal, unit: Decimal) -> Amount:
    """The amount with as many decimals as `unit` has."""
    return format(value.quantize(unit), "f")


def trimmed(number: Decimal, unit: Decimal) -> Amount:
    """The number without trailing zeros, but with at least as many decimals as `unit` has."""
    rounded = number.quantize(unit)
    return format(rounded if rounded == number else number.normalize(), "f")


def zulu(instant: datetime) -> Instant:
    """A UTC time with or without its time zone, in milliseconds."""
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
