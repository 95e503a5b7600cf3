"""Panels of the overview: sales over time, by category, hour, payment and VAT rate, and the latest receipts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tillstream.database.base import Row
from tillstream.log.base import PARTITION_SHIFT
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.sales_sql import Select
from tillstream.queries.overview.scope import Period
from tillstream.queries.serialization import trimmed
from tillstream.receipt.amounts import round_half_up
from tillstream.receipt.model import UNALLOCATED

CATEGORIES = 20
HOUR_ROWS = 10
PARTS = 20
"""Maximum number of payment mechanisms, and of VAT rates."""

HOURLY_DAYS = 7
"""Periods of up to this many days are shown by hour, longer ones by day."""

LATEST = 12
LINES = 3
"""Lines in the summary of a receipt; the others are counted."""

LINE_CHARACTERS = 40
"""Maximum length of a description in the summary of a receipt."""

_UNIT_MINUTES = {"minute": 1, "hour": 60, "day": 1440}


def sales_over_time(context: OverviewContext) -> Row:
    """Sales by minute, hour or day, as parallel lists, beside those of the full earlier days.

    `offset`, `now` and `end` count units of wall-clock time from `start`.
    """
    requested, previous = context.periods.requested, context.periods.previous.full_days
    unit = "minute" if requested.days == 1 else "hour" if requested.days <= HOURLY_DAYS else "day"
    start = context.calendar.start(requested.first)
    before = context.cache.get(
        ("sales over time", context.scope.identity, previous, unit),
        context.version(previous),
        lambda: _series(context, previous, unit),
    )
    size = timedelta(minutes=_UNIT_MINUTES[unit])
    return {
        "unit": unit,
        "start": start.isoformat(timespec="minutes"),
        "now": (context.now - start) // size if context.periods.live else None,
        "end": requested.days * (timedelta(days=1) // size),
        **_series(context, requested, unit),
        "before": before,
    }


def _series(context: OverviewContext, period: Period, unit: str) -> Row:
    """Receipts are null for a category or a product."""
    has_receipts = context.scope.source == "receipts"
    measures = ["revenue", "receipts"] if has_receipts else ["revenue"]
    key = "day" if unit == "day" else "minute"
    sums: dict[int, tuple[Decimal, int]] = {}
    start, size = context.calendar.start(period.first), timedelta(minutes=_UNIT_MINUTES[unit])
    for row in context.rows("sales" if key == "day" else "sales_by_minute", [key], measures, period):
        moment = row[key] if isinstance(row[key], datetime) else context.calendar.start(row[key])
        offset = (moment - start) // size
        revenue, receipts = sums.get(offset, (Decimal(0), 0))
        sums[offset] = revenue + row["revenue"], receipts + int(row.get("receipts", 0))
    offsets = sorted(sums)
    return {
        "offset": offsets,
        "revenue": [context.money(sums[each][0]) for each in offsets],
        "receipts": [sums[each][1] for each in offsets] if has_receipts else None,
    }


def by_hour_and_category(context: OverviewContext) -> list[Row]:
    """Revenue and quantity by hour and category: the input of `categories` and `hours`."""
    return context.rows("sales_by_hour_and_category", ["hour", "category"], ["revenue", "quantity"])


def categories(context: OverviewContext, rows: Sequence[Row]) -> list[Row]:
    """The categories with the highest revenue, also those that only the earlier days have."""
    previous = context.comparison.previous.revenue_by["category"]
    revenues: dict[str, Decimal] = defaultdict(Decimal)
    quantities: Counter[str] = Counter()
    for row in rows:
        revenues[row["category"]] += row["revenue"]
        quantities[row["category"]] += row["quantity"]
    names = [name for name in {*revenues, *previous} if name != UNALLOCATED or revenues.get(name) or previous.get(name)]
    return [
        {"category": name, "quantity": int(quantities[name]), **context.revenue(revenues[name], "category", name)}
        for name in sorted(names, key=lambda each: (-revenues[each], each))[:CATEGORIES]
    ]


def hours(context: OverviewContext, rows: Sequence[Row]) -> Row:
    """Revenue of the largest categories in each hour from the first to the last sale; null if there was none."""
    first = context.calendar.first_hour
    cells: dict[str, dict[int, Decimal]] = defaultdict(dict)
    for row in rows:
        cells[row["category"]][(row["hour"] - first) % 24] = row["revenue"]
    sums = {name: sum(by_hour.values(), Decimal(0)) for name, by_hour in cells.items()}
    names = sorted((name for name in sums if name != UNALLOCATED or sums[name]), key=lambda each: (-sums[each], each))
    shown = names[:HOUR_ROWS]
    offsets = {offset for name in shown for offset in cells[name]}
    columns = range(min(offsets), max(offsets) + 1) if offsets else range(0)
    return {
        "hours": [(first + offset) % 24 for offset in columns],
        "rows": [
            {
                "category": name,
                "revenue": [context.money(cells[name][each]) if each in cells[name] else None for each in columns],
            }
            for name in shown
        ],
    }


def payments(context: OverviewContext) -> list[Row] | None:
    """The payment mechanisms with the highest revenue and their share; null for a category or a product."""
    if context.scope.source == "lines":
        return None
    rows = context.rows("payments_by_mechanism", ["mechanism"], ["revenue", "settlements"])
    whole = sum((row["revenue"] for row in rows), Decimal(0))
    return [
        {
            "mechanism": row["mechanism"],
            "revenue": context.money(row["revenue"]),
            "settlements": int(row["settlements"]),
            "share": share(row["revenue"], whole),
        }
        for row in sorted(rows, key=lambda each: (-each["revenue"], each["mechanism"]))[:PARTS]
    ]


def vat(context: OverviewContext) -> list[Row]:
    """The VAT rates with the highest revenue."""
    rows = context.rows("vat_by_rate", ["rate"], ["revenue", "net", "tax"])
    return [
        {"rate": row["rate"], **{name: context.money(row[name]) for name in ("revenue", "net", "tax")}}
        for row in sorted(rows, key=lambda each: (-each["revenue"], each["rate"]))[:PARTS]
        if row["rate"] != UNALLOCATED or row["revenue"] or row["net"]
    ]


def share(part: Decimal, whole: Decimal) -> str | None:
    """Percent with one decimal, rounded half-up; None if the whole is not positive."""
    if whole <= 0:
        return None
    return format(round_half_up(part * 100 / whole, Decimal("0.1")), "f")


def latest_receipts(context: OverviewContext) -> list[Row]:
    """The receipts that arrived last, newest first. Those of a category or a product have a line of it."""
    requested = context.periods.requested
    condition, values = context.scope.condition
    if context.scope.source == "lines":
        condition, values = _with_a_line(context, condition, values)
    rows = context.reader.query(
        f"""SELECT place, day, key, store, till, sold_local, gross, anomalous FROM receipts
        WHERE day BETWEEN ? AND ? AND {condition} ORDER BY received_at DESC, place DESC LIMIT {LATEST}""",
        [requested.first, requested.last, *values],
    )
    summaries = _summaries(context, rows)
    return [
        {
            "key": row["key"].hex,
            "store": row["store"],
            "title": context.stores.title(row["store"]),
            "till": row["till"],
            "sold": row["sold_local"].isoformat(),
            "gross": context.money(row["gross"]),
            "what": summaries[row["place"]],
            "anomalous": bool(row["anomalous"]),
        }
        for row in rows
    ]


def _with_a_line(context: OverviewContext, condition: str, values: list[Any]) -> Select:
    """Condition on receipts that have a matching line: the last receipts of each partition of the log.

    Record ids ascend with time only within one partition.
    """
    days = [context.periods.requested.first, context.periods.requested.last]
    partitions = context.reader.query(
        f"SELECT DISTINCT place >> {PARTITION_SHIFT} AS number FROM receipts WHERE day BETWEEN ? AND ?", days
    )
    select = f"""(SELECT place FROM lines WHERE day BETWEEN ? AND ? AND {condition} AND place >> {PARTITION_SHIFT} = ?
        GROUP BY place ORDER BY place DESC LIMIT {LATEST})"""
    numbers = [row["number"] for row in partitions] or [0]
    return (
        f"place IN ({' UNION ALL '.join([select] * len(numbers))})",
        [value for number in numbers for value in (*days, *values, number)],
    )


def _summaries(context: OverviewContext, receipts: list[Row]) -> dict[int, str]:
    """A summary of the lines of each receipt, by record id."""
    lines: dict[int, list[str]] = defaultdict(list)
    if receipts:
        days = [row["day"] for row in receipts]
        rows = context.reader.query(
            f"""SELECT place, description, quantity FROM lines
            WHERE day BETWEEN ? AND ? AND place IN ({", ".join("?" * len(receipts))}) AND is_line = 1
            ORDER BY place, line""",
            [min(days), max(days), *(row["place"] for row in receipts)],
        )
        for row in rows:
            lines[row["place"]].append(line_text(row["description"], row["quantity"]))
    return {row["place"]: summary_text(lines[row["place"]]) for row in receipts}


def line_text(description: str, quantity: Decimal) -> str:
    """A line as text: `Baguette tradition ×2`."""
    short = description if len(description) <= LINE_CHARACTERS else f"{description[: LINE_CHARACTERS - 1]}…"
    return short if quantity == 1 else f"{short} ×{trimmed(quantity, Decimal(1))}"


def summary_text(lines: list[str]) -> str:
    """The first lines and the number of the others."""
    more = len(lines) - LINES
    return ", ".join(lines[:LINES]) + (f" +{more}" if more > 0 else "")
