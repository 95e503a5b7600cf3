"""An overview recounted from single receipts by the documented rules, without SQL."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.support.recount import amount, cents, read_line, text, totals
from tillstream.receipt.model import receipt_key

GONE = "(unallocated)"
ZERO = Decimal(0)

Row = dict[str, Any]


@dataclass(frozen=True)
class Sold:
    """One receipt: its business day, the time of sale on the till's clock, and its parts."""

    day: date
    sold: datetime
    received: int
    store: str
    till: str
    key: str
    figures: Row
    lines: tuple[Row, ...]
    settlements: tuple[tuple[str, Decimal], ...]


def sold(body: Row, day: date, received: int) -> Sold:
    """A receipt from its body; `received` is its number in the order of arrival."""
    read = json.loads(json.dumps(body), parse_float=Decimal, parse_int=Decimal)
    gross = cents(amount(read["documentTotal"]["grossTotal"]) or ZERO)
    lines = [read_line(line, number) for number, line in enumerate(read["lines"])]
    net, tax = totals(read["documentTotal"], gross, lines)
    items = sum(line["items"] for line in lines)
    figures = {"revenue": gross, "net": net, "tax": tax, "receipts": 1, "quantity": items, "lines": len(lines),
               "refunds": min(gross, ZERO), "refund_count": int(gross < 0)}  # fmt: skip
    rest = gross - sum(line["gross"] for line in lines), net - sum(line["net"] for line in lines)
    if any(rest):
        lines.append({"category": GONE, "product": GONE, "description": GONE, "rate": GONE, "gross": rest[0],
                      "net": rest[1], "items": 0, "count": 0})  # fmt: skip
    paid = [(text(each["paymentMechanism"]), cents(amount(each["settlementAmount"]) or ZERO))
            for each in read["settlements"]]  # fmt: skip
    key = receipt_key(body["storeID"], body["terminalID"], body["cashReceiptID"], body["date"])
    return Sold(day, datetime.fromisoformat(body["date"]), received, body["storeID"], body["terminalID"], key,
                figures, tuple(lines), tuple(paid))  # fmt: skip


def change(now: Any, before: Any) -> str | None:
    if not before:
        return "new" if now else None
    percent = (Fraction(now) - Fraction(before)) * 100 / abs(Fraction(before))
    tenths = abs(percent) * 10
    whole = int(tenths) + (tenths - int(tenths) >= Fraction(1, 2))
    return f"{'-' if percent < 0 and whole else ''}{whole // 10}.{whole % 10}"


class Expected:
    """The expected panels of an overview. `requested` and `previous` are first and last days, `cutoff` is an offset.

    `scope` are the query's parameters, `stores` those of a region; `start` is the time of the day at
    which business days begin.
    """

    def __init__(self, receipts: Iterable[Sold], requested: tuple[date, date], previous: tuple[date, date],
                 cutoff: timedelta | None, start: timedelta, scope: Row, stores: Sequence[str]) -> None:  # fmt: skip
        self.every = list(receipts)
        self.days, self.cutoff, self.start, self.scope, self.stores = requested, cutoff, start, scope, stores
        self.of_lines = bool({"category", "product"} & set(scope))
        self.empty = not self._within(self.every, previous, None)
        own = [each for each in self.every if self._has(each)]
        self.own = own
        self.all = self._within(own, requested, None)
        self.now, self.then = self._within(own, requested, cutoff), self._within(own, previous, cutoff)
        self.whole_then = self._within(own, previous, None)
        self.previous = previous

    def _has(self, each: Sold) -> bool:
        if "region" in self.scope:
            return each.store in self.stores
        return all(getattr(each, name) == self.scope[name] for name in ("store", "till") if name in self.scope)

    def _within(self, receipts: list[Sold], days: tuple[date, date], cutoff: timedelta | None) -> list[Sold]:
        end = None if cutoff is None else datetime.combine(days[1], datetime.min.time()) + self.start + cutoff
        return [each for each in receipts if days[0] <= each.day <= days[1]
                and (end is None or each.day < days[1] or each.sold < end)]  # fmt: skip

    def lines(self, receipts: list[Sold]) -> list[tuple[Sold, Row]]:
        names = [name for name in ("category", "product") if name in self.scope]
        return [(each, line) for each in receipts for line in each.lines
                if all(line[name] == self.scope[name] for name in names)]  # fmt: skip

    def sums(self, receipts: list[Sold]) -> Row:
        if not self.of_lines:
            names = ("revenue", "net", "tax", "receipts", "quantity", "lines", "refunds", "refund_count")
            return {name: sum((each.figures[name] for each in receipts), ZERO) for name in names}
        found = [line for _, line in self.lines(receipts)]
        sums = {
            "revenue": sum((line["gross"] for line in found), ZERO),
            "net": sum((line["net"] for line in found), ZERO),
            "quantity": sum(line["items"] for line in found),
            "lines": sum(line["count"] for line in found),
        }
        return sums | {"tax": sums["revenue"] - sums["net"]}  # fmt: skip

    def by(self, receipts: list[Sold], name: str) -> dict[str, Decimal]:
        """Revenue by category, product or store."""
        found: dict[str, Decimal] = defaultdict(lambda: ZERO)
        if name == "store" and not self.of_lines:
            for each in receipts:
                found[each.store] += each.figures["revenue"]
        else:
            for each, line in self.lines(receipts):
                found[each.store if name == "store" else line[name]] += line["gross"]
        return dict(found)

    def compared(self, name: str, key: str) -> Row:
        now, then = (self.by(side, name).get(key, ZERO) for side in (self.now, self.then))
        revenue = self.by(self.all, name).get(key, ZERO)
        return {"revenue": f"{cents(revenue)}", "before": None if self.empty else f"{cents(then)}",
                "change": None if self.empty else change(now, then)}  # fmt: skip

    def tiles(self) -> Row:
        value, now, then = (self.sums(side) for side in (self.all, self.now, self.then))
        found: Row = {}
        for name in ("revenue", "net", "tax", "lines", "quantity"):
            found[name] = self._tile(value[name], now[name], then[name], money=name in ("revenue", "net", "tax"))
        if self.of_lines:
            return found
        found["receipts"] = self._tile(value["receipts"], now["receipts"], then["receipts"], money=False)
        refunds = self._tile(value["refunds"], -now["refunds"], -then["refunds"], money=True)
        refunds["before"] = None if self.empty else f"{cents(then['refunds'])}"
        found["refunds"] = refunds | {"count": value["refund_count"]}
        for name, top in (("average_ticket", "revenue"), ("items_per_ticket", "quantity")):
            value_, now_, then_ = (ratio(side[top], side["receipts"]) for side in (value, now, then))
            found[name] = {"value": shown(value_), "before": None if self.empty else shown(then_),
                           "change": None if self.empty or now_ is None else change(now_, then_)}  # fmt: skip
        return found

    def _tile(self, value: Any, now: Any, then: Any, *, money: bool) -> Row:
        write: Callable[[Any], Any] = (lambda each: f"{cents(each)}") if money else int
        return {"value": write(value), "before": None if self.empty else write(then),
                "change": None if self.empty else change(now, then)}  # fmt: skip

    def categories(self) -> list[Row]:
        pieces: Counter[str] = Counter()
        for _, line in self.lines(self.all):
            pieces[line["category"]] += line["items"]
        now, then = self.by(self.all, "category"), self.by(self.then, "category")
        names = [name for name in {*now, *then} if name != GONE or now.get(name) or then.get(name)]
        return [{"category": name, "quantity": pieces[name], **self.compared("category", name)}
                for name in sorted(names, key=lambda each: (-now.get(each, ZERO), each))][:20]  # fmt: skip

    def hours(self) -> Row:
        first = self.start // timedelta(hours=1)
        cells: dict[tuple[str, int], Decimal] = defaultdict(lambda: ZERO)
        for each, line in self.lines(self.all):
            cells[line["category"], (each.sold.hour - first) % 24] += line["gross"]
        names = [row["category"] for row in self.categories() if any(key[0] == row["category"] for key in cells)][:10]
        places = sorted(place for name, place in cells if name in names)
        span = range(places[0], places[-1] + 1) if places else range(0)
        rows = [{"category": name, "revenue": [f"{cents(cells[name, place])}" if (name, place) in cells else None
                                               for place in span]} for name in names]  # fmt: skip
        return {"hours": [(first + place) % 24 for place in span], "rows": rows}

    def payments(self) -> list[Row] | None:
        if self.of_lines:
            return None
        paid: dict[str, list[Decimal]] = defaultdict(list)
        for each in self.all:
            for mechanism, value in each.settlements:
                paid[mechanism].append(value)
        whole = sum(sum(each) for each in paid.values())
        return [{"mechanism": name, "revenue": f"{cents(Decimal(sum(paid[name])))}", "settlements": len(paid[name]),
                 "share": (change(sum(paid[name]) + whole, whole) or "0.0") if whole > 0 else None}
                for name in sorted(paid, key=lambda each: (-sum(paid[each]), each))]  # fmt: skip

    def vat(self) -> list[Row]:
        rates: dict[str, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
        for _, line in self.lines(self.all):
            rates[line["rate"]][0] += line["gross"]
            rates[line["rate"]][1] += line["net"]
        return [{"rate": name, "revenue": f"{cents(rates[name][0])}", "net": f"{cents(rates[name][1])}",
                 "tax": f"{cents(rates[name][0] - rates[name][1])}"}
                for name in sorted(rates, key=lambda each: (-rates[each][0], each))
                if name != GONE or any(rates[name])]  # fmt: skip

    def products(self) -> Row | None:
        if "product" in self.scope:
            return None
        value, now, then = (self.by(side, "product") for side in (self.all, self.now, self.then))
        losses = {name: base - now.get(name, ZERO) for name, base in then.items() if base > 0 and name != GONE}
        top = sorted((name for name in value if name != GONE), key=lambda each: (-value[each], each))[:12]
        sinking = sorted((name for name in losses if losses[name] > 0), key=lambda each: (-losses[each], each))[:8]
        return {"top": [self._product(name) for name in top], "sinking": [self._product(name) for name in sinking]}

    def _product(self, name: str) -> Row:
        found = [line for _, line in self.lines(self.all) if line["product"] == name]
        named = found or [line for _, line in self.lines(self.whole_then) if line["product"] == name]
        return {"product": name, "description": max(line["description"] for line in named),
                "quantity": sum(line["items"] for line in found), **self.compared("product", name)}  # fmt: skip

    def shops(self) -> Row | None:
        if "store" in self.scope:
            return None
        value, now, then = (self.by(side, "store") for side in (self.all, self.now, self.then))
        ratios = {name: Fraction(now.get(name, ZERO)) / Fraction(base) for name, base in then.items() if base > 0}
        ranked = sorted(ratios, key=lambda each: (-ratios[each], -value.get(each, ZERO), each))
        gone = [name for name in ranked if name not in value]
        worst = list(reversed(ranked))[: min(8, max(len(ranked) // 2, len(gone)))]
        new = sorted((name for name in value if name not in ratios), key=lambda each: (-value[each], each))
        best = [name for name in [*ranked, *new] if name not in worst and name in value][:8]
        return {"best": [self._shop(name) for name in best], "worst": [self._shop(name) for name in worst]}

    def _shop(self, name: str) -> Row:
        first = self.start // timedelta(hours=1)
        hours: dict[int, Decimal] = defaultdict(lambda: ZERO)
        mine = [each for each in self.all if each.store == name]
        for each in mine if not self.of_lines else ():
            hours[(each.sold.hour - first) % 24] += each.figures["revenue"]
        for each, line in self.lines(mine) if self.of_lines else ():
            hours[(each.sold.hour - first) % 24] += line["gross"]
        span = range(min(hours), max(hours) + 1) if hours else range(0)
        return {"store": name, "hours": [f"{cents(hours[place])}" for place in span], **self.compared("store", name)}

    def tills(self) -> list[Row] | None:
        if set(self.scope) != {"store"}:
            return None
        return [{"till": till, "revenue": f"{cents(sum((each.figures['revenue'] for each in mine), ZERO))}",
                 "receipts": len(mine), "last": max(each.sold for each in mine).isoformat()}
                for till in sorted({each.till for each in self.all})
                if (mine := [each for each in self.all if each.till == till])]  # fmt: skip

    def latest(self) -> list[str]:
        """The keys of the latest receipts, newest first."""
        found = {each.key: each.received for each in self.all}
        if self.of_lines:
            found = {each.key: each.received for each, _ in self.lines(self.all)}
        return sorted(found, key=lambda each: -found[each])[:12]

    def pace(self) -> Row:
        days = (self.days[1] - self.days[0]).days + 1
        size = timedelta(minutes=1) if days == 1 else timedelta(hours=1) if days <= 7 else timedelta(days=1)
        return self._series(self.all, self.days[0], size) | {
            "before": self._series(self.whole_then, self.previous[0], size)
        }

    def _series(self, receipts: list[Sold], first: date, size: timedelta) -> Row:
        found: dict[int, list[Decimal]] = defaultdict(list)
        start = datetime.combine(first, datetime.min.time()) + self.start
        for each in receipts:
            offset = (each.day - first).days if size == timedelta(days=1) else (each.sold - start) // size
            if self.of_lines:
                found[offset] += [line["gross"] for _, line in self.lines([each])]
            else:
                found[offset].append(each.figures["revenue"])
        offsets = sorted(each for each in found if found[each])
        return {"offset": offsets, "revenue": [f"{cents(sum(found[each], ZERO))}" for each in offsets],
                "receipts": None if self.of_lines else [len(found[each]) for each in offsets]}  # fmt: skip

    def reporting(self, now: datetime) -> tuple[Row, Row]:
        """The tiles of shops and tills at this wall-clock time, without a list of shops."""
        lasts: dict[str, datetime] = {}
        for each in self.all:
            lasts[each.store] = max(lasts.get(each.store, each.sold), each.sold)
        recent = [each for each in self.own if (self.days[1] - each.day).days < 14 and each.day <= self.days[1]]
        recent += self.all
        silent = sum(last < now - timedelta(minutes=20) for last in lasts.values())
        known = len({(each.store, each.till) for each in recent})
        shops = {"value": len(lasts), "known": len({each.store for each in recent}),
                 "silent": silent if self.cutoff is not None else None}  # fmt: skip
        return shops, {"value": len({(each.store, each.till) for each in self.all}), "known": known}


def ratio(top: Any, receipts: Any) -> Fraction | None:
    return Fraction(top) / Fraction(receipts) if receipts else None


def shown(value: Fraction | None) -> str | None:
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return f"{exact.quantize(Decimal('0.01'), ROUND_HALF_UP)}"
