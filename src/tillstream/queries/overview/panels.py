"""Sales by category, by hour and category, by means of payment and by VAT rate."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from tillstream.database.base import Row
from tillstream.queries.overview.context import OverviewContext
from tillstream.receipt.model import UNALLOCATED

CATEGORIES = 20
HOUR_ROWS = 10
PARTS = 20
"""Most means of payment, and most rates."""


def by_hour(question: OverviewContext) -> list[Row]:
    """What both panels of categories are made of: revenue and quantity by hour and category."""
    return question.rows("sales_by_hour_and_category", ["hour", "category"], ["revenue", "quantity"])


def categories(question: OverviewContext, rows: Sequence[Row]) -> list[Row]:
    """The largest first; also those that only the days compared with have. `rows` are those of `by_hour`."""
    compared = question.compared
    revenues: dict[str, Decimal] = defaultdict(Decimal)
    quantities: Counter[str] = Counter()
    for row in rows:
        revenues[row["category"]] += row["revenue"]
        quantities[row["category"]] += row["quantity"]
    found = []
    for name in {*revenues, *compared.before.categories}:
        revenue, quantity = revenues[name], quantities[name]
        base = compared.before.categories.get(name)
        if name == UNALLOCATED and not revenue and not base:
            continue
        sold = question.sold(revenue, name, compared.behind.categories, compared.before.categories)
        found.append((-revenue, name, {"category": name, "quantity": int(quantity), **sold}))
    return [row for _, _, row in sorted(found, key=lambda each: each[:2])][:CATEGORIES]


def hours(question: OverviewContext, rows: Sequence[Row]) -> Row:
    """Revenue of the largest categories in every hour from the first to the last with sales; null: none.

    `rows` are those of `by_hour`.
    """
    first = question.calendar.first_hour
    cells: dict[str, dict[int, Decimal]] = defaultdict(dict)
    for row in rows:
        cells[row["category"]][(row["hour"] - first) % 24] = row["revenue"]
    sums = {name: sum(by_hour.values(), Decimal(0)) for name, by_hour in cells.items()}
    names = sorted((name for name in sums if name != UNALLOCATED or sums[name]), key=lambda each: (-sums[each], each))
    shown = names[:HOUR_ROWS]
    places = sorted({place for name in shown for place in cells[name]})
    every = range(places[0], places[-1] + 1) if places else range(0)
    return {
        "hours": [(first + place) % 24 for place in every],
        "rows": [
            {
                "category": name,
                "revenue": [question.money(cells[name][place]) if place in cells[name] else None for place in every],
            }
            for name in shown
        ],
    }


def payments(question: OverviewContext) -> list[Row] | None:
    """The largest first, each with its share of the whole in percent; null where lines are counted."""
    if question.scope.source == "lines":
        return None
    rows = question.rows("payments_by_mechanism", ["mechanism"], ["revenue", "settlements"])
    whole = sum((row["revenue"] for row in rows), Decimal(0))
    return [
        {
            "mechanism": row["mechanism"],
            "revenue": question.money(row["revenue"]),
            "settlements": int(row["settlements"]),
            "share": share(row["revenue"], whole),
        }
        for row in sorted(rows, key=lambda each: (-each["revenue"], each["mechanism"]))[:PARTS]
    ]


def vat(question: OverviewContext) -> list[Row]:
    """The largest first."""
    rows = question.rows("vat_by_rate", ["rate"], ["revenue", "net", "tax"])
    return [
        {"rate": row["rate"], **{name: question.money(row[name]) for name in ("revenue", "net", "tax")}}
        for row in sorted(rows, key=lambda each: (-each["revenue"], each["rate"]))[:PARTS]
        if row["rate"] != UNALLOCATED or row["revenue"] or row["net"]
    ]


def share(part: Decimal, whole: Decimal) -> str | None:
    """Percent with one decimal, half-up; None of nothing, and where more was given back than taken."""
    if whole <= 0:
        return None
    return format((part * 100 / whole).quantize(Decimal("0.1"), ROUND_HALF_UP), "f")
