"""Independent recount of all metrics, one receipt at a time, with Python decimals.

It follows the documented rules and not the engine's SQL, so it can find errors in the SQL.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Figures = dict[tuple[Any, ...], dict[str, Any]]

CENT = Decimal("0.01")
NOISE = Decimal("0.000001")
WEIGHED = {"kg", "g", "gr", "kilogram", "gram", "l", "cl", "ml", "litre", "liter", "lb", "oz", "m"}


def amount(value: Any) -> Decimal | None:
    """The number without binary-float noise, or None."""
    return None if value is None else Decimal(str(value).strip()).quantize(NOISE, ROUND_HALF_UP)


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def text(*candidates: Any) -> str:
    for candidate in candidates:
        if candidate is not None and str(candidate).strip(" "):
            return str(candidate).strip(" ")
    return "(none)"


@dataclass
class Recount:
    """Metric rows by metric name and by key. A key begins with the day in ISO format."""

    figures: dict[str, Figures] = field(default_factory=lambda: defaultdict(lambda: defaultdict(dict)))
    receipts: int = 0

    def add(self, metric: str, *key: Any, **measures: Any) -> None:
        row = self.figures[metric][key]
        for name, value in measures.items():
            if name in ("description", "last"):
                row[name] = max(row.get(name, value), value)
            elif name == "first":
                row[name] = min(row.get(name, value), value)
            else:
                row[name] = row.get(name, 0) + value

    def add_receipt(self, body: bytes, day: str, anomalous: bool | None = None) -> None:
        receipt = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        ids = json.loads(body)
        self.receipts += 1
        sold = datetime.fromisoformat(ids["date"])
        store, till = str(ids["storeID"]), str(ids.get("terminalID") or "-")
        gross = cents(amount(receipt["documentTotal"]["grossTotal"]) or Decimal(0))
        lines = [read_line(line, index) for index, line in enumerate(receipt.get("lines") or [])]
        net, tax = totals(receipt["documentTotal"], gross, lines)
        rest = gross - sum(line["gross"] for line in lines), net - sum(line["net"] for line in lines)
        items = sum(line["items"] for line in lines)
        whole = {"revenue": gross, "net": net, "tax": tax, "receipts": 1, "quantity": items}
        refunded = {"refunds": min(gross, Decimal(0)), "refund_count": int(gross < 0)}
        times = {"first": sold, "last": sold}
        self.add("sales", day, **whole, **refunded, lines=len(lines))
        self.add("sales_by_store", day, store, **whole, **refunded, **times, lines=len(lines))
        self.add("sales_by_till", day, store, till, revenue=gross, receipts=1, **refunded, **times)
        minute = sold.replace(second=0, microsecond=0)
        self.add("sales_by_minute", day, minute, **whole, **refunded, lines=len(lines))
        self.add("sales_by_store_and_hour", day, store, sold.hour, revenue=gross, receipts=1, quantity=items)
        if any(rest):
            unallocated = "(unallocated)"
            lines.append(
                {"category": unallocated, "product": unallocated, "description": unallocated, "rate": unallocated, "gross": rest[0],
                 "net": rest[1], "items": 0, "count": 0}
            )  # fmt: skip
        for line in lines:
            self._add_line(line, day, sold.hour)
        for settlement in receipt.get("settlements") or []:
            paid = cents(amount(settlement["settlementAmount"]) or Decimal(0))
            mechanism = text(settlement.get("paymentMechanism"))
            self.add("payments_by_mechanism", day, mechanism, revenue=paid, settlements=1)

    def _add_line(self, line: dict[str, Any], day: str, hour: int) -> None:
        money = {"revenue": line["gross"], "net": line["net"], "tax": line["gross"] - line["net"]}
        counted = {"lines": line["count"], "quantity": line["items"]}
        self.add("sales_by_category", day, line["category"], **money, **counted)
        self.add("sales_by_product", day, line["product"], **money, **counted, description=line["description"])
        self.add("sales_by_product_and_hour", day, line["product"], hour, revenue=line["gross"], **counted)
        self.add("sales_by_hour_and_category", day, hour, line["category"], revenue=line["gross"], **counted)
        self.add("vat_by_rate", day, line["rate"], **money, lines=line["count"])


def read_line(line: dict[str, Any], index: int) -> dict[str, Any]:
    gross, net, rate = (amount(line.get(name)) for name in ("settlementAmount", "creditAmount", "taxPercentage"))
    rate = None if rate is None else rate.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    if gross is None:
        gross = Decimal(0) if net is None else net * (100 + (rate or 0)) / 100
    gross = cents(gross)
    if net is None:
        net = gross if rate is None or rate < 0 else gross * 100 / (100 + rate)
    quantity = amount(line.get("quantity"))
    weighed = str(line.get("unitOfMeasure") or "").strip().lower() in WEIGHED
    if quantity is None:
        items = 1
    elif weighed or quantity != quantity.to_integral_value() or abs(quantity) >= 1_000_000:
        items = (quantity > 0) - (quantity < 0)
    else:
        items = int(quantity)
    return {
        "category": text(line.get("productCategoryName"), line.get("productCategoryCode")),
        "product": text(line.get("productCode"), line.get("productDescription")),
        "description": text(line.get("productDescription"), line.get("productCode")),
        "rate": "(none)" if rate is None else plain(rate),
        "gross": gross,
        "net": cents(net),
        "items": items,
        "count": 1,
    }


def plain(rate: Decimal) -> str:
    written = f"{rate:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def totals(total: dict[str, Any], gross: Decimal, lines: list[dict[str, Any]]) -> tuple[Decimal, Decimal]:
    net, tax = amount(total.get("netTotal")), amount(total.get("taxPayable"))
    if net is not None:
        net = cents(net)
    elif tax is not None:
        net = gross - cents(tax)
    else:
        net = gross - sum((line["gross"] - line["net"] for line in lines), Decimal(0))
    return net, gross - net if tax is None else cents(tax)


def recount(receipts: Iterable[tuple[bytes, str]]) -> Recount:
    """The metrics of receipts, given as pairs of body and business day."""
    counted = Recount()
    for body, day in receipts:
        counted.add_receipt(body, day)
    return counted
