"""The receipts that came last, each in a few words."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from tillstream.database.base import Row
from tillstream.log.base import PARTITION_SHIFT
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.folds import Select
from tillstream.queries.serialization import trimmed

LATEST = 12
LINES = 3
"""Lines that are told; the others are counted."""

WORDS = 40
"""Most characters of one line."""


def latest(question: OverviewContext) -> list[Row]:
    """The newest first, by their arrival; of a category or a product, those that have a line of it."""
    asked = question.spans.asked
    own, values = question.scope.condition
    if question.scope.source == "lines":
        own, values = _with_a_line(question, own, values)
    rows = question.reader.query(
        f"""SELECT place, day, key, store, till, sold_local, gross, anomalous FROM receipts
        WHERE day BETWEEN ? AND ? AND {own} ORDER BY received_at DESC, place DESC LIMIT {LATEST}""",
        [asked.first, asked.last, *values],
    )
    told = _told(question, rows)
    return [
        {
            "key": row["key"].hex,
            "store": row["store"],
            "title": question.shops.title(row["store"]),
            "till": row["till"],
            "sold": row["sold_local"].isoformat(),
            "gross": question.money(row["gross"]),
            "what": told[row["place"]],
            "anomalous": bool(row["anomalous"]),
        }
        for row in rows
    ]


def _with_a_line(question: OverviewContext, own: str, values: list[Any]) -> Select:
    """The condition of the receipts with such a line: of each partition the last, because only in it do places ascend."""
    days = [question.spans.asked.first, question.spans.asked.last]
    found = question.reader.query(
        f"SELECT DISTINCT place >> {PARTITION_SHIFT} AS number FROM receipts WHERE day BETWEEN ? AND ?", days
    )
    select = f"""(SELECT place FROM lines WHERE day BETWEEN ? AND ? AND {own} AND place >> {PARTITION_SHIFT} = ?
        GROUP BY place ORDER BY place DESC LIMIT {LATEST})"""
    numbers = [row["number"] for row in found] or [0]
    return (
        f"place IN ({' UNION ALL '.join([select] * len(numbers))})",
        [value for number in numbers for value in (*days, *values, number)],
    )


def _told(question: OverviewContext, receipts: list[Row]) -> dict[int, str]:
    """What each receipt sold, by its place."""
    lines: dict[int, list[str]] = defaultdict(list)
    if receipts:
        days = [row["day"] for row in receipts]
        found = question.reader.query(
            f"""SELECT place, description, quantity FROM lines
            WHERE day BETWEEN ? AND ? AND place IN ({", ".join("?" * len(receipts))}) AND is_line = 1
            ORDER BY place, line""",
            [min(days), max(days), *(row["place"] for row in receipts)],
        )
        for row in found:
            lines[row["place"]].append(words(row["description"], row["quantity"]))
    return {row["place"]: sentence(lines[row["place"]]) for row in receipts}


def words(description: str, quantity: Decimal) -> str:
    """A line in words: `Baguette tradition ×2`."""
    short = description if len(description) <= WORDS else f"{description[: WORDS - 1]}…"
    return short if quantity == 1 else f"{short} ×{trimmed(quantity, Decimal(1))}"


def sentence(lines: list[str]) -> str:
    """The first lines, and how many more there are."""
    more = len(lines) - LINES
    return ", ".join(lines[:LINES]) + (f" +{more}" if more > 0 else "")
