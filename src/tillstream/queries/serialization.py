"""Serialization of database rows for JSON: decimal strings for amounts, ISO 8601 for days and times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tillstream.database.base import Row
from tillstream.stores.model import StoreList

STORE_NAME = "store_name"

_UTC_COLUMNS = frozenset({"received_at", "sold_at", "applied_at", "found_at"})


def amount(value: Decimal, unit: Decimal) -> str:
    """The amount with as many decimals as `unit` has."""
    return format(value.quantize(unit), "f")


def trimmed(number: Decimal, unit: Decimal) -> str:
    """The number without trailing zeros, but with at least as many decimals as `unit` has."""
    rounded = number.quantize(unit)
    return format(rounded if rounded == number else number.normalize(), "f")


def zulu(instant: datetime) -> str:
    """A UTC time with or without its time zone, in milliseconds."""
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def serialize(row: Row) -> Row:
    """The row with JSON values. The name of a column says whether a time is in UTC or on the clock of a till."""
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return zulu(value) if name in _UTC_COLUMNS else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value


def with_store_names(rows: Iterable[Row], stores: StoreList) -> list[Row]:
    """The rows with `store_name` after `store`. A store without a name is called by its id."""
    named = []
    for row in rows:
        fresh: Row = {}
        for name, value in row.items():
            fresh[name] = value
            if name == "store":
                fresh[STORE_NAME] = stores.title(value)
        named.append(fresh)
    return named
