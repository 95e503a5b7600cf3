"""The panels of the overview: sales over time, breakdowns, rankings, and the latest receipts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from tillstream.database.base import Row
from tillstream.log.base import PARTITION_SHIFT
from tillstream.queries.overview import answers
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.sales_sql import Select
from tillstream.queries.overview.scope import Period
from tillstream.queries.serialization import Amount, trimmed
from tillstream.receipt.amounts import round_half_up
from tillstream.receipt.model import UNALLOCATED

CATEGORIES = 20
HOUR_ROWS = 10
"""The maximum number of categories in the panel of hours."""

PARTS = 20
"""The maximum number of payment mechanisms, and of VAT rates."""

TOP_PRODUCTS = 12
SINKING_PRODUCTS = 8
STORES = 8
"""The maximum number of stores in each list."""

HOURLY_DAYS = 7
"""The maximum length of a period that is shown by hour. Longer periods are shown by day."""

LATEST = 12
LINES = 3
"""The maximum number of lines in the summary of a receipt. Further lines are only counted."""

LINE_CHARACTERS = 40
"""The maximum length of a description in the summary of a receipt."""

Unit = Literal["minute", "hour", "day"]

_UNITS: dict[Unit, timedelta] = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


def sales_over_time(context: OverviewContext) -> answers.Pace:
    """Return the sales per minute, hour or day on the requested days and on the earlier days.

    The sales of the earlier days are complete, even if the last requested day is not over yet.
    """
    requested, previous = context.periods.requested, context.periods.previous.full_days
    unit: Unit = "minute" if requested.days == 1 else "hour" if requested.days <= HOURLY_DAYS else "day"
    start, size = context.calendar.start(requested.first), _UNITS[unit]
    course = _course(context, requested, unit)
    return answers.Pace(
        unit,
        start.isoformat(timespec="minutes"),
        (context.now - start) // size if context.periods.live else None,
        requested.days * (_UNITS["day"] // size),
        course.offset,
        course.revenue,
        course.receipts,
        context.cached("course", previous, context.comparison.receipts, lambda: _course(context, previous, unit)),
    )


def _course(context: OverviewContext, period: Period, unit: Unit) -> answers.Course:
    has_receipts = context.scope.source == "receipts"
    key = "day" if unit == "day" else "minute"
    start, size = context.calendar.start(period.first), _UNITS[unit]
    revenue: dict[int, Decimal] = defaultdict(Decimal)
    receipts: Counter[int] = Counter()
    measures = ["revenue", "receipts"] if has_receipts else ["revenue"]
    for row in context.rows("sales" if key == "day" else "sales_by_minute", [key], measures, period):
        moment = row[key] if isinstance(row[key], datetime) else context.calendar.start(row[key])
        offset = (moment - start) // size
        revenue[offset] += row["revenue"]
        receipts[offset] += int(row.get("receipts", 0))
    offsets = sorted(revenue)
    return answers.Course(
        offsets,
        [context.money(revenue[offset]) for offset in offsets],
        [receipts[offset] for offset in offsets] if has_receipts else None,
    )


def categories(context: OverviewContext, rows: Sequence[Row]) -> list[answers.CategorySales]:
    """Return the categories with the highest revenue.

    A category that was sold only on the earlier days has a revenue of 0. `rows` contains revenue and quantity by hour
    and category on the requested days.
    """
    previous = context.comparison.previous.revenue_by["category"]
    revenues: dict[str, Decimal] = dict.fromkeys(previous, Decimal(0))
    quantities: Counter[str] = Counter()
    for row in rows:
        name = row["category"]
        revenues[name] = revenues.get(name, Decimal(0)) + row["revenue"]
        quantities[name] += int(row["quantity"])
    if not (revenues.get(UNALLOCATED) or previous.get(UNALLOCATED)):
        revenues.pop(UNALLOCATED, None)
    return [
        answers.CategorySales(name, quantities[name], *context.revenue(revenues[name], "category", name))
        for name in _highest(revenues)[:CATEGORIES]
    ]


def hours(context: OverviewContext, rows: Sequence[Row]) -> answers.Hours:
    """Return the revenue of the largest categories in each hour from the first to the last sale.

    `rows` contains revenue and quantity by hour and category. The revenue is None in an hour without sales.
    """
    first = context.calendar.first_hour
    cells: dict[str, dict[int, Decimal]] = defaultdict(dict)
    for row in rows:
        cells[row["category"]][(row["hour"] - first) % 24] = row["revenue"]
    sums = {name: sum(by_hour.values(), Decimal(0)) for name, by_hour in cells.items()}
    if not sums.get(UNALLOCATED):
        sums.pop(UNALLOCATED, None)
    names = _highest(sums)[:HOUR_ROWS]
    columns = _span({offset for name in names for offset in cells[name]})
    return answers.Hours(
        [(first + offset) % 24 for offset in columns],
        [
            answers.CategoryHours(
                name, [context.money(cells[name][each]) if each in cells[name] else None for each in columns]
            )
            for name in names
        ],
    )


def payments(context: OverviewContext) -> list[answers.Payment] | None:
    """Return the payment mechanisms with the highest revenue, or None for a category or a product."""
    if context.scope.source == "lines":
        return None
    rows = context.rows("payments_by_mechanism", ["mechanism"], ["revenue", "settlements"])
    total = sum((row["revenue"] for row in rows), Decimal(0))
    return [
        answers.Payment(
            row["mechanism"], context.money(row["revenue"]), int(row["settlements"]), share(row["revenue"], total)
        )
        for row in sorted(rows, key=lambda each: (-each["revenue"], each["mechanism"]))[:PARTS]
    ]


def vat(context: OverviewContext) -> list[answers.VatRate]:
    """Return the VAT rates with the highest revenue."""
    rows = context.rows("vat_by_rate", ["rate"], ["revenue", "net", "tax"])
    return [
        answers.VatRate(row["rate"], *(context.money(row[name]) for name in ("revenue", "net", "tax")))
        for row in sorted(rows, key=lambda each: (-each["revenue"], each["rate"]))[:PARTS]
        if row["rate"] != UNALLOCATED or row["revenue"] or row["net"]
    ]


def share(part: Decimal, total: Decimal) -> Amount | None:
    """Return `part` in percent of `total`, rounded to one decimal. Return None if `total` is not positive."""
    if total <= 0:
        return None
    return format(round_half_up(part * 100 / total, Decimal("0.1")), "f")


def products(context: OverviewContext) -> answers.Products | None:
    """Return the products that sold best and the products that lost the most revenue, or None for a single product."""
    if context.scope.kind == "product":
        return None
    after_cutoff = context.comparison.after_cutoff.revenue_by["product"]
    rows = {row["product"]: row for row in _product_sales(context, context.periods.requested)}
    rows.pop(UNALLOCATED, None)
    revenues = {name: row["revenue"] for name, row in rows.items()}
    losses = {
        name: before - revenues.get(name, 0) + after_cutoff.get(name, 0)
        for name, before in context.comparison.previous.revenue_by["product"].items()
        if before > 0 and name != UNALLOCATED
    }
    sinking = _highest({name: loss for name, loss in losses.items() if loss > 0})[:SINKING_PRODUCTS]
    missing = [name for name in sinking if name not in rows]
    if missing:
        for row in _product_sales(context, context.periods.previous, missing):
            rows[row["product"]] = {**row, "revenue": None, "quantity": 0}

    def entry(name: str) -> answers.ProductSales:
        row = rows[name]
        revenue = context.revenue(row["revenue"], "product", name)
        return answers.ProductSales(name, row["description"], int(row["quantity"]), *revenue)

    return answers.Products(
        [entry(name) for name in _highest(revenues)[:TOP_PRODUCTS]], [entry(name) for name in sinking]
    )


def _product_sales(context: OverviewContext, period: Period, only: Sequence[str] = ()) -> list[Row]:
    """Return the sales and the description of each product in a period, without regard to its cutoff.

    If `only` contains products, return only these products.
    """
    sql, values = context.sales.select("sales_by_product", period.full_days)
    where = f"WHERE product IN ({', '.join('?' * len(only))})" if only else ""
    return context.reader.query(
        f"""SELECT product, sum(revenue) AS revenue, sum(quantity) AS quantity, max(description) AS description
        FROM ({sql}) AS rows {where} GROUP BY product""",
        [*values, *only],
    )


def stores(context: OverviewContext, sales: Mapping[str, Row]) -> answers.ShopRanking | None:
    """Return the stores with the best and the worst change, or None for a single store. No store is in both lists.

    `sales` contains the `revenue` of each store on the requested days. Stores without earlier sales have no change.
    They come after the best stores and are sorted by revenue. A store that sold something only on the earlier days
    counts as one of the worst stores.
    """
    if context.scope.kind in ("store", "till"):
        return None
    after_cutoff = context.comparison.after_cutoff.revenue_by["store"]
    revenue = {store: row["revenue"] for store, row in sales.items()}
    ratios = {
        store: (revenue.get(store, Decimal(0)) - after_cutoff.get(store, Decimal(0))) / before
        for store, before in context.comparison.previous.revenue_by["store"].items()
        if before > 0
    }
    ranked = sorted(ratios, key=lambda each: (-ratios[each], -revenue.get(each, Decimal(0)), each))
    gone = sum(store not in revenue for store in ranked)
    worst = ranked[::-1][: min(STORES, max(len(ranked) // 2, gone))]
    improved = [store for store in ranked[: len(ranked) - len(worst)] if store in revenue]
    new = _highest({store: each for store, each in revenue.items() if store not in ratios})
    best = [*improved, *new][:STORES]
    hourly = _revenue_by_hour(context, [*best, *worst])

    def entry(store: str) -> answers.ShopSales:
        compared = context.revenue(revenue.get(store), "store", store)
        return answers.ShopSales(store, context.stores.title(store), *compared, hourly[store])

    return answers.ShopRanking([entry(store) for store in best], [entry(store) for store in worst])


def _revenue_by_hour(context: OverviewContext, stores: Sequence[str]) -> dict[str, list[Amount]]:
    """Return the revenue of each store in every hour from its first to its last sale."""
    found: dict[str, dict[int, Decimal]] = {store: {} for store in stores}
    if stores:
        sql, values = context.sales.select("sales_by_store_and_hour", context.periods.requested)
        rows = context.reader.query(
            f"""SELECT store, hour, sum(revenue) AS revenue FROM ({sql}) AS rows
            WHERE store IN ({", ".join("?" * len(stores))}) GROUP BY store, hour""",
            [*values, *stores],
        )
        for row in rows:
            found[row["store"]][(row["hour"] - context.calendar.first_hour) % 24] = row["revenue"]
    return {store: [context.money(cells.get(each)) for each in _span(cells)] for store, cells in found.items()}


def tills(context: OverviewContext) -> list[answers.TillSales] | None:
    """Return the sales of each till of a store, or None for any other scope."""
    if context.scope.kind != "store":
        return None
    sql, values = context.sales.select("sales_by_till", context.periods.requested)
    rows = context.reader.query(
        f"""SELECT till, sum(revenue) AS revenue, sum(receipts) AS receipts, max(last) AS last
        FROM ({sql}) AS rows GROUP BY till ORDER BY till""",
        values,
    )
    return [
        answers.TillSales(row["till"], context.money(row["revenue"]), int(row["receipts"]), row["last"].isoformat())
        for row in rows
    ]


def latest_receipts(context: OverviewContext) -> list[answers.LatestReceipt]:
    """Return the receipts of the scope that arrived last, newest first."""
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
        answers.LatestReceipt(
            row["key"].hex,
            row["store"],
            context.stores.title(row["store"]),
            row["till"],
            row["sold_local"].isoformat(),
            context.money(row["gross"]),
            summaries[row["place"]],
            bool(row["anomalous"]),
        )
        for row in rows
    ]


def _with_a_line(context: OverviewContext, condition: str, values: list[Any]) -> Select:
    """Convert a condition for lines to a condition for the latest receipts with such a line.

    Record ids ascend with time only within one partition of the log, so the highest ids of each partition are selected.
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
    """Return a summary of the lines of each receipt, by record id."""
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
    """Return a line as text, for example `Baguette tradition ×2`."""
    short = description if len(description) <= LINE_CHARACTERS else f"{description[: LINE_CHARACTERS - 1]}…"
    return short if quantity == 1 else f"{short} ×{trimmed(quantity, Decimal(1))}"


def summary_text(lines: list[str]) -> str:
    """Join the first lines and append the number of further lines, for example `Baguette, Milk ×2, Butter +4`."""
    more = len(lines) - LINES
    return ", ".join(lines[:LINES]) + (f" +{more}" if more > 0 else "")


def _highest(values: Mapping[str, Decimal]) -> list[str]:
    """Sort names by their values, highest first. Names with equal values are in alphabetical order."""
    return sorted(values, key=lambda each: (-values[each], each))


def _span(numbers: Collection[int]) -> range:
    """Return the range from the lowest to the highest number, both included."""
    return range(min(numbers), max(numbers) + 1) if numbers else range(0)
