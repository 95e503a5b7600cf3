"""The products that sell most, and those that have lost most against the days compared with."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tillstream.database.base import Row
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.span import Span
from tillstream.receipt.model import UNALLOCATED

TOP = 12
SINKING = 8


def products(question: OverviewContext) -> Row | None:
    """`top` by revenue so far; `sinking` by the revenue lost up to the same clock time. Null for one product."""
    if question.scope.kind == "product":
        return None
    compared = question.compared
    behind, before = compared.behind.products, compared.before.products
    rows = {row["product"]: row for row in _sold(question, question.spans.asked) if row["product"] != UNALLOCATED}
    top = sorted(rows, key=lambda each: (-rows[each]["revenue"], each))[:TOP]
    losses = []
    for name, base in before.items():
        revenue = rows[name]["revenue"] if name in rows else Decimal(0)
        loss = base - revenue + behind.get(name, 0)
        if base > 0 and loss > 0 and name != UNALLOCATED:
            losses.append((-loss, name))
    sinking = [name for _, name in sorted(losses)[:SINKING]]
    gone = [name for name in sinking if name not in rows]
    earlier = {row["product"]: row for row in _sold(question, question.spans.before, gone)} if gone else {}

    def shown(name: str) -> Row:
        row = rows.get(name)
        return {
            "product": name,
            "description": (row or earlier[name])["description"],
            "quantity": int(row["quantity"]) if row else 0,
            **question.sold(row["revenue"] if row else None, name, behind, before),
        }

    return {"top": [shown(name) for name in top], "sinking": [shown(name) for name in sinking]}


def _sold(question: OverviewContext, span: Span, only: Sequence[str] = ()) -> list[Row]:
    """What was sold of all products or of some, on whole days, and what the tills call them."""
    sql, values = question.folds.select("sales_by_product", question.scope, span.whole)
    where = f"WHERE product IN ({', '.join('?' * len(only))})" if only else ""
    return question.query(
        (
            f"""SELECT product, sum(revenue) AS revenue, sum(quantity) AS quantity, max(description) AS description
            FROM ({sql}) AS rows {where} GROUP BY product""",
            [*values, *only],
        )
    )
