"""An independent calculation of the overview from single receipts. It follows the documented rules and uses no SQL."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.support.recount import UNALLOCATED, ReceiptFigures, cents, read_receipt
from tillstream.receipt.model import receipt_key

ZERO = Decimal(0)
MEASURES = ("revenue", "net", "tax", "receipts", "quantity", "lines", "refunds", "refund_count")

Row = dict[str, Any]
Days = tuple[date, date]
"""The first and the last day of a period."""


@dataclass(frozen=True)
class Sale:
    """A receipt. `sold` is its time on the till's clock, and `received` is its position in the order of arrival."""

    day: date
    sold: datetime
    received: int
    store: str
    till: str
    key: str
    figures: ReceiptFigures


def sale(body: Row, day: date, received: int) -> Sale:
    figures = read_receipt(json.loads(json.dumps(body), parse_float=Decimal, parse_int=Decimal))
    store, till, number, sold = (body[name] for name in ("storeID", "terminalID", "cashReceiptID", "date"))
    key = receipt_key(store, till, number, sold)
    return Sale(day, datetime.fromisoformat(sold), received, store, till, key, figures)


def change(current: Any, before: Any) -> str | None:
    """The change in percent with one decimal, "new" if only the current value exists, or None."""
    if not before:
        return "new" if current else None
    percent = (Fraction(current) - Fraction(before)) * 100 / abs(Fraction(before))
    tenths = abs(percent) * 10
    rounded = int(tenths) + (tenths - int(tenths) >= Fraction(1, 2))
    return f"{'-' if percent < 0 and rounded else ''}{rounded // 10}.{rounded % 10}"


class ExpectedOverview:
    """The expected panels of an overview.

    `cutoff` is the time since the start of the last day at which a live comparison ends. `scope` are the parameters of
    the query, and `region_stores` are the stores of the region in the scope.
    """

    def __init__(
        self,
        sales: Iterable[Sale],
        requested_days: Days,
        previous_days: Days,
        cutoff: timedelta | None,
        day_start: timedelta,
        scope: Row,
        region_stores: Sequence[str],
    ) -> None:
        self.days, self.previous_days = requested_days, previous_days
        self.cutoff, self.day_start = cutoff, day_start
        self.scope, self.region_stores = scope, region_stores
        self.by_line = bool({"category", "product"} & set(scope))
        all_sales = list(sales)
        self.empty = not self._within(all_sales, previous_days, None)
        self.in_scope = [each for each in all_sales if self._is_in_scope(each)]
        self.requested = self._within(self.in_scope, requested_days, None)
        self.previous = self._within(self.in_scope, previous_days, None)
        self.compared = tuple(self._within(self.in_scope, days, cutoff) for days in (requested_days, previous_days))
        """The sales of both periods before the cutoff."""

    def _is_in_scope(self, each: Sale) -> bool:
        if "region" in self.scope:
            return each.store in self.region_stores
        return all(getattr(each, name) == self.scope[name] for name in ("store", "till") if name in self.scope)

    def _within(self, sales: list[Sale], days: Days, cutoff: timedelta | None) -> list[Sale]:
        end = None if cutoff is None else datetime.combine(days[1], datetime.min.time()) + self.day_start + cutoff
        return [
            each
            for each in sales
            if days[0] <= each.day <= days[1] and (end is None or each.day < days[1] or each.sold < end)
        ]

    def _lines(self, sales: list[Sale]) -> Iterator[tuple[Sale, Row]]:
        """The lines in the scope, each with its sale."""
        names = [name for name in ("category", "product") if name in self.scope]
        for each in sales:
            for line in each.figures.lines:
                if all(line[name] == self.scope[name] for name in names):
                    yield each, line

    def _sums(self, sales: list[Sale]) -> Row:
        if not self.by_line:
            return {name: sum((each.figures.totals[name] for each in sales), ZERO) for name in MEASURES}
        lines = [line for _, line in self._lines(sales)]
        sums = {
            "revenue": sum((line["gross"] for line in lines), ZERO),
            "net": sum((line["net"] for line in lines), ZERO),
            "quantity": sum(line["items"] for line in lines),
            "lines": sum(line["count"] for line in lines),
        }
        return sums | {"tax": sums["revenue"] - sums["net"]}

    def _revenue_by(self, sales: list[Sale], name: str) -> dict[str, Decimal]:
        """The revenue by `category`, `product` or `store`."""
        found: dict[str, Decimal] = defaultdict(lambda: ZERO)
        if name == "store" and not self.by_line:
            for each in sales:
                found[each.store] += each.figures.totals["revenue"]
        else:
            for each, line in self._lines(sales):
                found[each.store if name == "store" else line[name]] += line["gross"]
        return dict(found)

    def _compared_revenue(self, name: str, key: str) -> Row:
        current, before = (self._revenue_by(sales, name).get(key, ZERO) for sales in self.compared)
        revenue = self._revenue_by(self.requested, name).get(key, ZERO)
        return {
            "revenue": f"{cents(revenue)}",
            "before": None if self.empty else f"{cents(before)}",
            "change": None if self.empty else change(current, before),
        }

    def tiles(self) -> Row:
        values, current, before = (self._sums(sales) for sales in (self.requested, *self.compared))
        names = ["revenue", "net", "tax", "lines", "quantity", *([] if self.by_line else ["receipts", "refunds"])]
        found = {name: self._tile(name, values[name], current[name], before[name]) for name in names}
        if self.by_line:
            return found
        found["refunds"]["count"] = values["refund_count"]
        for name, measure in (("average_ticket", "revenue"), ("items_per_ticket", "quantity")):
            value, current_ratio, before_ratio = (
                _ratio(sums[measure], sums["receipts"]) for sums in (values, current, before)
            )
            found[name] = {
                "value": _two_decimals(value),
                "before": None if self.empty else _two_decimals(before_ratio),
                "change": None if self.empty or current_ratio is None else change(current_ratio, before_ratio),
            }
        return found

    def _tile(self, name: str, value: Any, current: Any, before: Any) -> Row:
        is_amount = name in ("revenue", "net", "tax", "refunds")
        value_text, before_text = (f"{cents(each)}" if is_amount else int(each) for each in (value, before))
        # Refunds are negative, but more refunds are an increase.
        sign = -1 if name == "refunds" else 1
        return {
            "value": value_text,
            "before": None if self.empty else before_text,
            "change": None if self.empty else change(sign * current, sign * before),
        }

    def categories(self) -> list[Row]:
        quantities: Counter[str] = Counter()
        for _, line in self._lines(self.requested):
            quantities[line["category"]] += line["items"]
        revenue, before = (self._revenue_by(sales, "category") for sales in (self.requested, self.compared[1]))
        names = [name for name in {*revenue, *before} if name != UNALLOCATED or revenue.get(name) or before.get(name)]
        return [
            {"category": name, "quantity": quantities[name], **self._compared_revenue("category", name)}
            for name in _largest_first(names, revenue)
        ][:20]

    def hours(self) -> Row:
        first = self.day_start // timedelta(hours=1)
        cells: dict[tuple[str, int], Decimal] = defaultdict(lambda: ZERO)
        for each, line in self._lines(self.requested):
            cells[line["category"], self._hour(each)] += line["gross"]
        sold = {category for category, _ in cells}
        names = [row["category"] for row in self.categories() if row["category"] in sold][:10]
        hours = sorted(hour for name, hour in cells if name in names)
        span = range(hours[0], hours[-1] + 1) if hours else range(0)
        rows = [
            {
                "category": name,
                "revenue": [f"{cents(cells[name, hour])}" if (name, hour) in cells else None for hour in span],
            }
            for name in names
        ]
        return {"hours": [(first + hour) % 24 for hour in span], "rows": rows}

    def _hour(self, each: Sale) -> int:
        """The hour of a sale since the start of the business day."""
        return (each.sold.hour - self.day_start // timedelta(hours=1)) % 24

    def payments(self) -> list[Row] | None:
        if self.by_line:
            return None
        amounts: dict[str, list[Decimal]] = defaultdict(list)
        for each in self.requested:
            for mechanism, paid in each.figures.payments:
                amounts[mechanism].append(paid)
        sums = {name: sum(paid, ZERO) for name, paid in amounts.items()}
        total = sum(sums.values(), ZERO)
        return [
            {
                "mechanism": name,
                "revenue": f"{cents(sums[name])}",
                "settlements": len(amounts[name]),
                "share": (change(sums[name] + total, total) or "0.0") if total > 0 else None,
            }
            for name in _largest_first(sums, sums)
        ]

    def vat(self) -> list[Row]:
        gross: dict[str, Decimal] = defaultdict(lambda: ZERO)
        net: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for _, line in self._lines(self.requested):
            gross[line["rate"]] += line["gross"]
            net[line["rate"]] += line["net"]
        return [
            {
                "rate": rate,
                "revenue": f"{cents(gross[rate])}",
                "net": f"{cents(net[rate])}",
                "tax": f"{cents(gross[rate] - net[rate])}",
            }
            for rate in _largest_first(gross, gross)
            if rate != UNALLOCATED or gross[rate] or net[rate]
        ]

    def products(self) -> Row | None:
        if "product" in self.scope:
            return None
        revenue, current, before = (self._revenue_by(sales, "product") for sales in (self.requested, *self.compared))
        losses = {
            name: base - current.get(name, ZERO) for name, base in before.items() if base > 0 and name != UNALLOCATED
        }
        top = _largest_first((name for name in revenue if name != UNALLOCATED), revenue)[:12]
        sinking = _largest_first((name for name in losses if losses[name] > 0), losses)[:8]
        return {"top": [self._product(name) for name in top], "sinking": [self._product(name) for name in sinking]}

    def _product(self, name: str) -> Row:
        lines = [line for _, line in self._lines(self.requested) if line["product"] == name]
        described = lines or [line for _, line in self._lines(self.previous) if line["product"] == name]
        return {
            "product": name,
            "description": max(line["description"] for line in described),
            "quantity": sum(line["items"] for line in lines),
            **self._compared_revenue("product", name),
        }

    def shops(self) -> Row | None:
        if "store" in self.scope:
            return None
        revenue, current, before = (self._revenue_by(sales, "store") for sales in (self.requested, *self.compared))
        ratios = {name: Fraction(current.get(name, ZERO)) / Fraction(base) for name, base in before.items() if base > 0}
        ranked = sorted(ratios, key=lambda name: (-ratios[name], -revenue.get(name, ZERO), name))
        closed = [name for name in ranked if name not in revenue]
        worst = list(reversed(ranked))[: min(8, max(len(ranked) // 2, len(closed)))]
        new = _largest_first((name for name in revenue if name not in ratios), revenue)
        best = [name for name in [*ranked, *new] if name not in worst and name in revenue][:8]
        return {"best": [self._shop(name) for name in best], "worst": [self._shop(name) for name in worst]}

    def _shop(self, name: str) -> Row:
        hours: dict[int, Decimal] = defaultdict(lambda: ZERO)
        for each in self.requested:
            if each.store == name:
                amounts = self._amounts(each)
                if amounts:
                    hours[self._hour(each)] += sum(amounts, ZERO)
        span = range(min(hours), max(hours) + 1) if hours else range(0)
        revenue = [f"{cents(hours[hour])}" for hour in span]
        return {"store": name, "hours": revenue, **self._compared_revenue("store", name)}

    def _amounts(self, each: Sale) -> list[Decimal]:
        """The revenue of a sale in the scope: of the receipt, or of its lines."""
        if self.by_line:
            return [line["gross"] for _, line in self._lines([each])]
        return [each.figures.totals["revenue"]]

    def tills(self) -> list[Row] | None:
        if set(self.scope) != {"store"}:
            return None
        by_till: dict[str, list[Sale]] = defaultdict(list)
        for each in self.requested:
            by_till[each.till].append(each)
        return [
            {
                "till": till,
                "revenue": f"{cents(sum((each.figures.totals['revenue'] for each in sales), ZERO))}",
                "receipts": len(sales),
                "last": max(each.sold for each in sales).isoformat(),
            }
            for till, sales in sorted(by_till.items())
        ]

    def latest(self) -> list[str]:
        """The keys of the latest receipts, the newest first."""
        received = {each.key: each.received for each in self.requested if self._amounts(each)}
        return sorted(received, key=lambda key: -received[key])[:12]

    def pace(self) -> Row:
        days = (self.days[1] - self.days[0]).days + 1
        step = timedelta(minutes=1) if days == 1 else timedelta(hours=1) if days <= 7 else timedelta(days=1)
        return self._series(self.requested, self.days[0], step) | {
            "before": self._series(self.previous, self.previous_days[0], step)
        }

    def _series(self, sales: list[Sale], first: date, step: timedelta) -> Row:
        amounts: dict[int, list[Decimal]] = defaultdict(list)
        start = datetime.combine(first, datetime.min.time()) + self.day_start
        for each in sales:
            offset = (each.day - first).days if step == timedelta(days=1) else (each.sold - start) // step
            amounts[offset] += self._amounts(each)
        offsets = sorted(offset for offset in amounts if amounts[offset])
        return {
            "offset": offsets,
            "revenue": [f"{cents(sum(amounts[offset], ZERO))}" for offset in offsets],
            "receipts": None if self.by_line else [len(amounts[offset]) for offset in offsets],
        }

    def reporting(self, now: datetime) -> tuple[Row, Row]:
        """The tiles of shops and tills at a local time, without a list of shops."""
        last_sales: dict[str, datetime] = {}
        for each in self.requested:
            last_sales[each.store] = max(last_sales.get(each.store, each.sold), each.sold)
        recent = [each for each in self.in_scope if (self.days[1] - each.day).days < 14 and each.day <= self.days[1]]
        recent += self.requested
        silent = sum(last < now - timedelta(minutes=20) for last in last_sales.values())
        shops = {
            "value": len(last_sales),
            "known": len({each.store for each in recent}),
            "silent": None if self.cutoff is None else silent,
        }
        tills, known_tills = (len({(each.store, each.till) for each in sales}) for sales in (self.requested, recent))
        return shops, {"value": tills, "known": known_tills}


def _largest_first(names: Iterable[str], values: dict[str, Decimal]) -> list[str]:
    """The names by descending value. Names with equal values are in alphabetical order."""
    return sorted(names, key=lambda name: (-values.get(name, ZERO), name))


def _ratio(value: Any, receipts: Any) -> Fraction | None:
    return Fraction(value) / Fraction(receipts) if receipts else None


def _two_decimals(value: Fraction | None) -> str | None:
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{exact.quantize(Decimal('0.01'), ROUND_HALF_UP)}"
