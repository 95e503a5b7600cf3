"""What readers may ask by: days, keys, amounts, limits and cursors, read from text with a clear refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tillstream.database.base import Row
from tillstream.errors import BadQuery
from tillstream.metrics.catalogue import Key
from tillstream.receipt.amounts import AMOUNT_LIMIT
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.model import SIMULATED

LIMIT = 1_000
"""Most rows of one answer that is read page by page."""

DEFAULT_LIMIT = 100

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_AMOUNT = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?")
_CURSOR = re.compile(r"(\d{1,17})-(\d{1,19})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)

# Each takes one parameter; both DuckDB and PostgreSQL know `position`.
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

_QUARANTINE_FILTERS = {
    "day": "day = ?",
    "kind": "kind = ?",
    "source": "source = ?",
    "reason": "(reason = ? OR position(? IN lower(reasons)) > 0)",
}


def parse_day(text: str, name: str = "day") -> date:
    """A day from `YYYY-MM-DD`. Raises `BadQuery`."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadQuery(name, f"expected a day, got {text!r}", "write it as YYYY-MM-DD")


def parse_time(text: str, name: str) -> datetime:
    """A wall-clock time from ISO 8601 without a zone. Raises `BadQuery`."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(name, f"expected a time, got {text!r}", "write it as YYYY-MM-DDTHH:MM:SS") from None
    if time.tzinfo is not None:
        raise BadQuery(name, f"expected the till's own time, got {text!r}", "leave the zone out")
    return time


def parse_amount(text: str, name: str) -> Decimal:
    """An exact amount. Raises `BadQuery`."""
    if not _AMOUNT.fullmatch(text) or abs(amount := Decimal(text)) >= AMOUNT_LIMIT:
        raise BadQuery(name, f"expected an amount, got {text!r}", "write it like 12.50")
    return amount


def parse_limit(text: str | None) -> int:
    """How many rows are wanted, 1 to `LIMIT`. Raises `BadQuery`."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= LIMIT):
        raise BadQuery("limit", f"expected a number from 1 to {LIMIT}, got {text!r}", "ask for more page by page")
    return int(text)


def key_value(key: Key, text: str) -> Any:
    """What a key column is compared with. Raises `BadQuery`."""
    if key.type == "DATE":
        return parse_day(text, key.name)
    if key.type == "TIMESTAMP":
        return parse_time(text, key.name)
    if key.type == "INTEGER":
        if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
            raise BadQuery(key.name, f"expected a whole number, got {text!r}")
        return int(text)
    return text


def receipt_conditions(calendar: Calendar, filters: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """SQL conditions over the table of receipts, and their parameters. Raises `BadQuery`."""
    conditions: list[str] = []
    values: list[Any] = []
    for name, text in filters.items():
        if name == "anomaly":
            conditions.append("anomalous = ?" if text == "any" else "position(? IN ',' || anomalies || ',') > 0")
            values.append(1 if text == "any" else f",{text},")
            continue
        if name == "arrived":
            condition, parameters = other_days_condition(calendar, parse_day(text, name))
            conditions.append(condition)
            values.extend(parameters)
            continue
        if name not in _RECEIPT_FILTERS:
            known = ", ".join([*_RECEIPT_FILTERS, "anomaly", "arrived", "cursor", "limit"])
            raise BadQuery(name, "receipts have no such filter", f"filter by {known}")
        conditions.append(_RECEIPT_FILTERS[name])
        values.append(_receipt_value(name, text))
    return conditions, values


def other_days_condition(calendar: Calendar, day: date) -> tuple[str, list[Any]]:
    """SQL condition on receipts that arrived on one business day and belong to another, and its parameters.

    Those of a simulated clock stay out: their days are invented.
    """
    condition = "received_at >= ? AND received_at < ? AND day <> ? AND source NOT LIKE ?"
    try:
        return condition, [*calendar.span(day), day, f"%/{SIMULATED}"]
    except OverflowError:
        # The ends of the calendar are no instants in some zones, and nothing arrives then.
        return "false", []


def quarantine_conditions(filters: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """SQL conditions over the quarantine and its decisions, and their parameters. Raises `BadQuery`."""
    asked = dict(filters)
    settled = asked.pop("settled", "0")
    if settled not in ("0", "1"):
        raise BadQuery("settled", f"expected 0 or 1, got {settled!r}", "1: those that were replayed or discarded")
    values: list[Any] = []
    conditions = [f"decision IS {'NOT ' if settled == '1' else ''}NULL"]
    for name, text in asked.items():
        if name not in _QUARANTINE_FILTERS:
            known = ", ".join([*_QUARANTINE_FILTERS, "settled", "cursor", "limit"])
            raise BadQuery(name, "quarantine has no such filter", f"filter by {known}")
        conditions.append(_QUARANTINE_FILTERS[name])
        if name == "reason":
            # The reasons are JSON, so what is looked for is written as JSON writes it.
            values += [text, json.dumps(text.lower(), ensure_ascii=False)[1:-1]]
        else:
            values.append(parse_day(text) if name == "day" else text)
    return conditions, values


def _receipt_value(name: str, text: str) -> Any:
    if name == "day":
        return parse_day(text)
    if name in ("from", "to"):
        return parse_time(text, name)
    return parse_amount(text, name) if name in ("min", "max") else text


def where(conditions: list[str]) -> str:
    """The WHERE of all the conditions; nothing where there are none."""
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def cursor_of(row: Row) -> str:
    """The cursor behind a row that has `received_at` and `place`."""
    return f"{microseconds(row['received_at'])}-{row['place']}"


def parse_cursor(text: str) -> tuple[datetime, int]:
    """The time of receipt and the place that `cursor_of` took. Raises `BadQuery`."""
    match = _CURSOR.fullmatch(text)
    if match is None or int(match[2]) >= 2**63:
        raise BadQuery("cursor", f"{text!r} is no cursor", "take `next` of the answer before, as it is")
    return _EPOCH + timedelta(microseconds=int(match[1])), int(match[2])


def microseconds(instant: datetime) -> int:
    """Microseconds since the epoch of a UTC time without a zone."""
    return (instant - _EPOCH) // timedelta(microseconds=1)
