"""The best and the worst shops against their own sales of the days compared with, and a shop's tills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from tillstream.database.base import Row
from tillstream.queries.overview.context import OverviewContext

SHOPS = 8
"""Most shops of each list."""


def shops(question: OverviewContext, stores: Mapping[str, Row]) -> Row | None:
    """Shops by their change, none on both lists. Null for one shop.

    `stores` are those that sold on the days asked, each with its `revenue`. Shops without a base come behind the best, by their revenue. A shop that has sold nothing today
    is among the worst.
    """
    if question.scope.kind in ("store", "till"):
        return None
    behind, before = question.compared.behind.stores, question.compared.before.stores
    revenue = {store: row["revenue"] for store, row in stores.items()}
    ratios = {
        store: (revenue.get(store, Decimal(0)) - behind.get(store, Decimal(0))) / base
        for store, base in before.items()
        if base > 0
    }
    ranked = sorted(ratios, key=lambda each: (-ratios[each], -revenue.get(each, Decimal(0)), each))
    gone = sum(store not in revenue for store in ranked)
    worst = ranked[::-1][: min(SHOPS, max(len(ranked) // 2, gone))]
    new = sorted((each for each in revenue if each not in ratios), key=lambda each: (-revenue[each], each))
    better = [store for store in ranked[: len(ranked) - len(worst)] if store in revenue]
    best = [*better, *new][:SHOPS]
    hours = _hours(question, [*best, *worst])

    def shown(store: str) -> Row:
        return {
            "store": store,
            "title": question.shops.title(store),
            **question.sold(revenue.get(store), store, behind, before),
            "hours": hours[store],
        }

    return {"best": [shown(store) for store in best], "worst": [shown(store) for store in worst]}


def tills(question: OverviewContext) -> list[Row] | None:
    """The tills of one shop, with their last sale by their own clocks; null for anything else."""
    if question.scope.kind != "store":
        return None
    sql, values = question.folds.select("sales_by_till", question.scope, question.spans.asked)
    rows = question.reader.query(
        f"""SELECT till, sum(revenue) AS revenue, sum(receipts) AS receipts, max(last) AS last
        FROM ({sql}) AS rows GROUP BY till ORDER BY till""",
        values,
    )
    return [
        {
            "till": row["till"],
            "revenue": question.money(row["revenue"]),
            "receipts": int(row["receipts"]),
            "last": row["last"].isoformat(),
        }
        for row in rows
    ]


def _hours(question: OverviewContext, stores: Sequence[str]) -> dict[str, list[str]]:
    """Revenue of each hour from a shop's first to its last."""
    found: dict[str, dict[int, Decimal]] = defaultdict(dict)
    if stores:
        sql, values = question.folds.select("sales_by_store_and_hour", question.scope, question.spans.asked)
        rows = question.reader.query(
            f"""SELECT store, hour, sum(revenue) AS revenue FROM ({sql}) AS rows
            WHERE store IN ({", ".join("?" * len(stores))}) GROUP BY store, hour""",
            [*values, *stores],
        )
        for row in rows:
            found[row["store"]][(row["hour"] - question.calendar.first_hour) % 24] = row["revenue"]
    return {
        store: [question.money(found[store].get(place)) for place in range(min(found[store]), max(found[store]) + 1)]
        if store in found
        else []
        for store in stores
    }
