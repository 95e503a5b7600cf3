"""Rows as plain data, ready for JSON: amounts as decimal strings, days and times in ISO 8601."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tillstream.database.base import Row

_UTC_COLUMNS = frozenset({"received_at", "sold_at", "applied_at", "found_at"})


def amount(value: Decimal, least: Decimal) -> str:
    """The amount with as many decimals as `least` has."""
    return format(value.quantize(least), "f")


def trimmed(number: Decimal, least: Decimal) -> str:
    """Without idle zeros, but with no fewer decimals than `least` has."""
    rounded = number.quantize(least)
    return format(rounded if rounded == number else number.normalize(), "f")


def zulu(instant: datetime) -> str:
    """A UTC time with or without its zone, to the millisecond."""
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def plain(row: Row) -> Row:
    """The row with every value as JSON has it; by its column a time is UTC or a till's own."""
    return {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return zulu(value) if name in _UTC_COLUMNS else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value
