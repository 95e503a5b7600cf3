"""An independent recount of all metrics, one receipt at a time, with Python decimals.

It follows the documented rules instead of the engine's SQL, so tests can find errors in the SQL.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

Figures = dict[tuple[Any, ...], dict[str, Any]]

CENT = Decimal("0.01")
NOISE = Decimal("0.000001")
UNALLOCATED = "(unallocated)"
WEIGHED = {"kg", "g", "gr", "kilogram", "gram", "l", "cl", "ml", "litre", "liter", "lb", "oz", "m"}


def amount(value: Any) -> Decimal | None:
    """The number without the rounding noise of binary floats, or None."""
    return None if value is None else Decimal(str(value).strip()).quantize(NOISE, ROUND_HALF_UP)


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def first_text(*candidates: Any) -> str:
    """The first text that is not blank, or "(none)"."""
    for candidate in candidates:
        if candidate is not None and str(candidate).strip(" "):
            return str(candidate).strip(" ")
    return "(none)"


class ReceiptFigures(NamedTuple):
    """The figures of one receipt, of its lines, and the mechanism and amount of its payments."""

    totals: dict[str, Any]
    lines: list[dict[str, Any]]
    payments: list[tuple[str, Decimal]]


def read_receipt(receipt: dict[str, Any]) -> ReceiptFigures:
    """The figures of a receipt whose numbers are decimals. A difference between total and lines becomes another line."""
    gross = cents(amount(receipt["documentTotal"]["grossTotal"]) or Decimal(0))
    lines = [read_line(line) for line in receipt.get("lines") or []]
    net, tax = read_totals(receipt["documentTotal"], gross, lines)
    totals = {
        "revenue": gross,
        "net": net,
        "tax": tax,
        "receipts": 1,
        "quantity": sum(line["items"] for line in lines),
        "lines": len(lines),
        "refunds": min(gross, Decimal(0)),
        "refund_count": int(gross < 0),
    }
    rest_gross, rest_net = gross - sum(line["gross"] for line in lines), net - sum(line["net"] for line in lines)
    if rest_gross or rest_net:
        names = dict.fromkeys(("category", "product", "description", "rate"), UNALLOCATED)
        lines.append({**names, "gross": rest_gross, "net": rest_net, "items": 0, "count": 0})
    payments = [
        (first_text(each.get("paymentMechanism")), cents(amount(each["settlementAmount"]) or Decimal(0)))
        for each in receipt.get("settlements") or []
    ]
    return ReceiptFigures(totals, lines, payments)


@dataclass
class Recount:
    """The rows of all metrics, by metric name and key. A key begins with the day in ISO format."""

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

    def add_receipt(self, body: bytes, day: str) -> None:
        ids = json.loads(body)
        totals, lines, payments = read_receipt(json.loads(body, parse_float=Decimal, parse_int=Decimal))
        self.receipts += 1
        sold = datetime.fromisoformat(ids["date"])
        store, till = str(ids["storeID"]), str(ids.get("terminalID") or "-")
        times = {"first": sold, "last": sold}
        self.add("sales", day, **totals)
        self.add("sales_by_store", day, store, **totals, **times)
        of_till = {name: totals[name] for name in ("revenue", "receipts", "refunds", "refund_count")}
        self.add("sales_by_till", day, store, till, **of_till, **times)
        self.add("sales_by_minute", day, sold.replace(second=0, microsecond=0), **totals)
        of_hour = {name: totals[name] for name in ("revenue", "receipts", "quantity")}
        self.add("sales_by_store_and_hour", day, store, sold.hour, **of_hour)
        for line in lines:
            self._add_line(line, day, sold.hour)
        for mechanism, paid in payments:
            self.add("payments_by_mechanism", day, mechanism, revenue=paid, settlements=1)

    def _add_line(self, line: dict[str, Any], day: str, hour: int) -> None:
        money = {"revenue": line["gross"], "net": line["net"], "tax": line["gross"] - line["net"]}
        counted = {"lines": line["count"], "quantity": line["items"]}
        self.add("sales_by_category", day, line["category"], **money, **counted)
        self.add("sales_by_product", day, line["product"], **money, **counted, description=line["description"])
        self.add("sales_by_product_and_hour", day, line["product"], hour, revenue=line["gross"], **counted)
        self.add("sales_by_hour_and_category", day, hour, line["category"], revenue=line["gross"], **counted)
        self.add("vat_by_rate", day, line["rate"], **money, lines=line["count"])


def read_line(line: dict[str, Any]) -> dict[str, Any]:
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
        "category": first_text(line.get("productCategoryName"), line.get("productCategoryCode")),
        "product": first_text(line.get("productCode"), line.get("productDescription")),
        "description": first_text(line.get("productDescription"), line.get("productCode")),
        "rate": "(none)" if rate is None else rate_text(rate),
        "gross": gross,
        "net": cents(net),
        "items": items,
        "count": 1,
    }


def rate_text(rate: Decimal) -> str:
    text = f"{rate:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_totals(total: dict[str, Any], gross: Decimal, lines: list[dict[str, Any]]) -> tuple[Decimal, Decimal]:
    """The net total and the tax. A missing value is calculated from the other one or from the lines."""
    net, tax = amount(total.get("netTotal")), amount(total.get("taxPayable"))
    if net is not None:
        net = cents(net)
    elif tax is not None:
        net = gross - cents(tax)
    else:
        net = gross - sum((line["gross"] - line["net"] for line in lines), Decimal(0))
    return net, gross - net if tax is None else cents(tax)


def recount(receipts: Iterable[tuple[bytes, str]]) -> Recount:
    """The metrics of receipts. Each receipt is a pair of body and business day."""
    counted = Recount()
    for body, day in receipts:
        counted.add_receipt(body, day)
    return counted
