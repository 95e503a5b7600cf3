"""Filters of requests: functions that parse filters, build SQL conditions and read pages of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tillstream.database.base import Database, Reader, Row
from tillstream.errors import BadQuery
from tillstream.metrics.catalogue import Key
from tillstream.receipt.amounts import AMOUNT_LIMIT
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.model import SIMULATED

LIMIT = 1_000
"""The maximum number of rows on one page."""

DEFAULT_LIMIT = 100

Conditions = tuple[list[str], list[Any]]
"""A list of SQL conditions, and a list of their parameters."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_AMOUNT = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?")
_CURSOR = re.compile(r"(\d{1,17})-(\d{1,19})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)

_RECEIPT_FILTERS = {
    "day": "day = ?",
    "store": "store = ?",
    "till": "till = ?",
    "receipt": "receipt = ?",
    "from": "sold_local >= ?",
    "to": "sold_local < ?",
    "min": "gross >= ?",
    "max": "gross <= ?",
}

# The condition for `reason` has two parameters, every other condition has one. The SQL function `position` works in
# both DuckDB and PostgreSQL.
_QUARANTINE_FILTERS = {
    "day": "day = ?",
    "kind": "kind = ?",
    "source": "source = ?",
    "reason": "(reason = ? OR position(? IN lower(reasons)) > 0)",
}


def read_page(
    database: Database | Reader,
    select: str,
    filters: Mapping[str, str] | None,
    parse: Callable[[Mapping[str, str]], Conditions],
) -> tuple[list[Row], str | None]:
    """Read one page of rows, newest first. Return the rows and the cursor of the next page.

    The cursor is None on the last page. `select` contains the columns and the table of a SELECT statement. The
    columns must include `received_at` and `place`, because these two form the cursor. `parse` converts all filters
    except `limit` and `cursor` to conditions. A cursor stays valid when more rows arrive. Raises `BadQuery`.
    """
    remaining = dict(filters or {})
    limit, cursor = parse_limit(remaining.pop("limit", None)), remaining.pop("cursor", None)
    conditions, values = parse(remaining)
    if cursor is not None:
        conditions.append("(received_at, place) < (?, ?)")
        values.extend(parse_cursor(cursor))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = database.query(
        f"SELECT {select} {where} ORDER BY received_at DESC, place DESC LIMIT ?", [*values, limit + 1]
    )
    return rows[:limit], format_cursor(rows[limit - 1]) if len(rows) > limit else None


def parse_day(text: str, name: str = "day") -> date:
    """Parse a day in the format `YYYY-MM-DD`. Raises `BadQuery`."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadQuery(name, f"expected a day, got {text!r}", "write it as YYYY-MM-DD")


def requested_day(calendar: Calendar, text: str | None) -> date:
    """Parse a business day. The default is today. Raises `BadQuery`."""
    return calendar.today() if text is None else parse_day(text)


def parse_time(text: str, name: str) -> datetime:
    """Parse a local time in ISO 8601 format without a time zone. Raises `BadQuery`."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(name, f"expected a time, got {text!r}", "write it as YYYY-MM-DDTHH:MM:SS") from None
    if time.tzinfo is not None:
        raise BadQuery(name, f"expected the till's own time, got {text!r}", "leave the time zone out")
    return time


def parse_amount(text: str, name: str) -> Decimal:
    """Parse an amount such as `12.50`, without rounding. Raises `BadQuery`."""
    if not _AMOUNT.fullmatch(text) or abs(amount := Decimal(text)) >= AMOUNT_LIMIT:
        raise BadQuery(name, f"expected an amount, got {text!r}", "write it like 12.50")
    return amount


def parse_limit(text: str | None) -> int:
    """Parse a number of rows from 1 to `LIMIT`. The default is `DEFAULT_LIMIT`. Raises `BadQuery`."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= LIMIT):
        raise BadQuery(
            "limit", f"expected a number from 1 to {LIMIT}, got {text!r}", "use `cursor` to read further pages"
        )
    return int(text)


def parse_key(key: Key, text: str) -> Any:
    """Parse the value of a filter for a metric's key.

    The type of the key decides whether the result is a date, a time, a whole number or a text. Raises `BadQuery`.
    """
    if key.type == "DATE":
        return parse_day(text, key.name)
    if key.type == "TIMESTAMP":
        return parse_time(text, key.name)
    if key.type == "INTEGER":
        if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
            raise BadQuery(key.name, f"expected a whole number, got {text!r}")
        return int(text)
    return text


_PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "day": parse_day,
    "from": parse_time,
    "to": parse_time,
    "min": parse_amount,
    "max": parse_amount,
}


def receipt_conditions(calendar: Calendar, filters: Mapping[str, str]) -> Conditions:
    """Return the SQL conditions that filter the table of receipts. Raises `BadQuery`."""
    conditions: list[str] = []
    values: list[Any] = []
    for name, text in filters.items():
        if name == "anomaly":
            conditions.append("anomalous = ?" if text == "any" else "position(? IN ',' || anomalies || ',') > 0")
            values.append(1 if text == "any" else f",{text},")
        elif name == "arrived":
            condition, parameters = other_days_condition(calendar, parse_day(text, name))
            conditions.append(condition)
            values.extend(parameters)
        elif name in _RECEIPT_FILTERS:
            parse = _PARSERS.get(name)
            conditions.append(_RECEIPT_FILTERS[name])
            values.append(parse(text, name) if parse else text)
        else:
            names = ", ".join([*_RECEIPT_FILTERS, "anomaly", "arrived", "cursor", "limit"])
            raise BadQuery(name, "receipts have no such filter", f"filter by {names}")
    return conditions, values


def other_days_condition(calendar: Calendar, day: date) -> tuple[str, list[Any]]:
    """Return a condition that selects the receipts that arrived on `day` and belong to another business day.

    Receipts with a simulated clock are excluded, because their days are not real.
    """
    condition = "received_at >= ? AND received_at < ? AND day <> ? AND source NOT LIKE ?"
    try:
        return condition, [*calendar.span(day), day, f"%/{SIMULATED}"]
    except OverflowError:
        # `date.min` and `date.max` may begin or end outside the range of `datetime`. No receipt arrives on such a day.
        return "false", []


def quarantine_conditions(filters: Mapping[str, str]) -> Conditions:
    """Return the SQL conditions that filter quarantine entries. The query must also join the decisions.

    Only entries without a decision are selected. If `settled` is `1`, only entries with a decision are selected
    instead. Raises `BadQuery`.
    """
    remaining = dict(filters)
    settled = remaining.pop("settled", "0")
    if settled not in ("0", "1"):
        raise BadQuery("settled", f"expected 0 or 1, got {settled!r}", "1: entries that were replayed or discarded")
    values: list[Any] = []
    conditions = [f"decision IS {'NOT ' if settled == '1' else ''}NULL"]
    for name, text in remaining.items():
        if name not in _QUARANTINE_FILTERS:
            names = ", ".join([*_QUARANTINE_FILTERS, "settled", "cursor", "limit"])
            raise BadQuery(name, "quarantine has no such filter", f"filter by {names}")
        conditions.append(_QUARANTINE_FILTERS[name])
        if name == "reason":
            # The column `reasons` contains JSON, so special characters of the text are escaped as in JSON.
            values += [text, json.dumps(text.lower(), ensure_ascii=False)[1:-1]]
        else:
            values.append(parse_day(text) if name == "day" else text)
    return conditions, values


def format_cursor(row: Row) -> str:
    """Return the cursor of the page that follows a row. The row must contain `received_at` and `place`."""
    return f"{microseconds(row['received_at'])}-{row['place']}"


def parse_cursor(text: str) -> tuple[datetime, int]:
    """Parse a cursor into a time of arrival and a record id (`place`). Raises `BadQuery`."""
    match = _CURSOR.fullmatch(text)
    if match is None or int(match[2]) >= 2**63:
        raise BadQuery("cursor", f"{text!r} is not a cursor", "use `next` of the previous answer unchanged")
    return _EPOCH + timedelta(microseconds=int(match[1])), int(match[2])


def microseconds(instant: datetime) -> int:
    """Convert a naive UTC time to microseconds since the epoch."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
