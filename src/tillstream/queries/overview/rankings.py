"""Rankings of the overview: the best and the sinking products, the best and the worst stores, and a store's tills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tillstream.database.base import Row
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.scope import Period
from tillstream.receipt.model import UNALLOCATED

TOP_PRODUCTS = 12
SINKING_PRODUCTS = 8
STORES = 8
"""Maximum number of stores in each list."""


def products(context: OverviewContext) -> Row | None:
    """`top`: the products with the highest revenue. `sinking`: those that lost most revenue. Null for one product."""
    if context.scope.kind == "product":
        return None
    after_cutoff = context.comparison.after_cutoff.revenue_by["product"]
    rows = {row["product"]: row for row in _product_sales(context, context.periods.requested)}
    rows.pop(UNALLOCATED, None)
    top = sorted(rows, key=lambda each: (-rows[each]["revenue"], each))[:TOP_PRODUCTS]
    losses = []
    for name, before in context.comparison.previous.revenue_by["product"].items():
        revenue = rows[name]["revenue"] if name in rows else Decimal(0)
        loss = before - revenue + after_cutoff.get(name, 0)
        if before > 0 and loss > 0 and name != UNALLOCATED:
            losses.append((-loss, name))
    sinking = [name for _, name in sorted(losses)[:SINKING_PRODUCTS]]
    gone = [name for name in sinking if name not in rows]
    earlier = {row["product"]: row for row in _product_sales(context, context.periods.previous, gone)} if gone else {}

    def entry(name: str) -> Row:
        row = rows.get(name)
        return {
            "product": name,
            "description": (row or earlier[name])["description"],
            "quantity": int(row["quantity"]) if row else 0,
            **context.revenue(row["revenue"] if row else None, "product", name),
        }

    return {"top": [entry(name) for name in top], "sinking": [entry(name) for name in sinking]}


def _product_sales(context: OverviewContext, period: Period, only: Sequence[str] = ()) -> list[Row]:
    """Sales and description of all products, or of `only` some, on full days."""
    sql, values = context.sales.select("sales_by_product", context.scope, period.full_days)
    where = f"WHERE product IN ({', '.join('?' * len(only))})" if only else ""
    return context.reader.query(
        f"""SELECT product, sum(revenue) AS revenue, sum(quantity) AS quantity, max(description) AS description
        FROM ({sql}) AS rows {where} GROUP BY product""",
        [*values, *only],
    )


def stores(context: OverviewContext, sales: Mapping[str, Row]) -> Row | None:
    """The `best` and the `worst` stores by their change, none in both lists. Null for one store.

    `sales` has the `revenue` of each store on the requested days. New stores follow the best ones, by revenue. A
    store that has sold nothing yet is among the worst.
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
    new = sorted((each for each in revenue if each not in ratios), key=lambda each: (-revenue[each], each))
    better = [store for store in ranked[: len(ranked) - len(worst)] if store in revenue]
    best = [*better, *new][:STORES]
    hours = _revenue_by_hour(context, [*best, *worst])

    def entry(store: str) -> Row:
        return {
            "store": store,
            "title": context.stores.title(store),
            **context.revenue(revenue.get(store), "store", store),
            "hours": hours[store],
        }

    return {"best": [entry(store) for store in best], "worst": [entry(store) for store in worst]}


def _revenue_by_hour(context: OverviewContext, stores: Sequence[str]) -> dict[str, list[str]]:
    """Revenue of each store in every hour from its first to its last sale."""
    found: dict[str, dict[int, Decimal]] = defaultdict(dict)
    if stores:
        sql, values = context.sales.select("sales_by_store_and_hour", context.scope, context.periods.requested)
        rows = context.reader.query(
            f"""SELECT store, hour, sum(revenue) AS revenue FROM ({sql}) AS rows
            WHERE store IN ({", ".join("?" * len(stores))}) GROUP BY store, hour""",
            [*values, *stores],
        )
        for row in rows:
            found[row["store"]][(row["hour"] - context.calendar.first_hour) % 24] = row["revenue"]
    return {
        store: [context.money(found[store].get(hour)) for hour in range(min(found[store]), max(found[store]) + 1)]
        if store in found
        else []
        for store in stores
    }


def tills(context: OverviewContext) -> list[Row] | None:
    """The tills of one store with their last sale by their own clocks; null for any other scope."""
    if context.scope.kind != "store":
        return None
    sql, values = context.sales.select("sales_by_till", context.scope, context.periods.requested)
    rows = context.reader.query(
        f"""SELECT till, sum(revenue) AS revenue, sum(receipts) AS receipts, max(last) AS last
        FROM ({sql}) AS rows GROUP BY till ORDER BY till""",
        values,
    )
    return [
        {
            "till": row["till"],
            "revenue": context.money(row["revenue"]),
            "receipts": int(row["receipts"]),
            "last": row["last"].isoformat(),
        }
        for row in rows
    ]
