"""The products that sell most, and those that have lost most against the days compared with."""

from __future__ import annotations

from decimal import Decimal

from tillstream.receipt import UNALLOCATED
from tillstream.store.base import Row
from tillstream.views.question import Question

TOP = 12
SINKING = 8


def products(question: Question) -> Row | None:
    """`top` by revenue so far; `sinking` by the revenue lost up to the same clock time. Null for one product."""
    if question.scope.kind == "product":
        return None
    compared = question.compared
    behind, before = compared.behind.products, compared.before.products
    rows = {
        row["product"]: row
        for row in question.rows("sales_by_product", ["product"], ["revenue", "quantity"])
        if row["product"] != UNALLOCATED
    }
    top = sorted(rows, key=lambda each: (-rows[each]["revenue"], each))[:TOP]
    losses = []
    for name, base in before.items():
        revenue = rows[name]["revenue"] if name in rows else Decimal(0)
        loss = base - revenue + behind.get(name, 0)
        if base > 0 and loss > 0 and name != UNALLOCATED:
            losses.append((-loss, name))
    sinking = [name for _, name in sorted(losses)[:SINKING]]
    names = _descriptions(question, [*top, *sinking])

    def shown(name: str) -> Row:
        row = rows.get(name, {"revenue": Decimal(0), "quantity": 0})
        return {
            "product": name,
            "description": names.get(name, name),
            "quantity": int(row["quantity"]),
            **question.sold(row["revenue"], name, behind, before),
        }

    return {"top": [shown(name) for name in top], "sinking": [shown(name) for name in sinking]}


def _descriptions(question: Question, products: list[str]) -> dict[str, str]:
    """What the tills call them: on the days asked, or else on those compared with."""
    found: dict[str, str] = {}
    for span in (question.spans.before.whole, question.spans.asked):
        sql, values = question.folds.select("sales_by_product", question.scope, span)
        marks = ", ".join("?" * len(products))
        rows = (
            question.reader.query(
                f"""SELECT product, max(description) AS description FROM ({sql}) AS rows
            WHERE product IN ({marks}) GROUP BY product""",
                [*values, *products],
            )
            if products
            else []
        )
        found |= {row["product"]: row["description"] for row in rows}
    return found
