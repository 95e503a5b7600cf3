"""Tiles of the overview: its key figures, with those of the earlier days, and the stores and tills that report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tillstream.clock import utc
from tillstream.database.base import Row
from tillstream.queries.overview.context import Number, OverviewContext
from tillstream.queries.overview.sales_sql import LINE_TOTALS, total
from tillstream.queries.overview.scope import Period
from tillstream.queries.summary import delay_percentiles, receipts_per_minute
from tillstream.receipt.amounts import round_half_up
from tillstream.stores.model import zone_of

TREND_MINUTES = 60
MINUTE = timedelta(minutes=1)

RECENT_DAYS = 14
"""Without a list of stores, a store or a till exists if it sold something within this number of days."""

Tills = dict[str, set[str]]
"""Tills by store."""

_MONEY = ("revenue", "net", "tax", "refunds")
_COUNTS = ("receipts", "quantity", "lines")
# The dividend of each ratio; the divisor is the number of receipts.
_RATIOS = {"average_ticket": "revenue", "items_per_ticket": "quantity"}
_RECEIPTS_ONLY = ("refunds", "receipts", *_RATIOS, "receipts_per_minute", "shops", "tills")
_DELAYS = ("ingest_delay_ms", "till_delay_s")


def tiles(context: OverviewContext, totals: Mapping[str, Any], stores: Mapping[str, Row]) -> Row:
    """All tiles; those that lines cannot answer are null for a category or a product.

    `totals` and `stores` are those of the requested days.
    """
    found = {name: _tile(context, name, totals) for name in LINE_TOTALS}
    if context.scope.source == "lines":
        return found | dict.fromkeys((*_RECEIPTS_ONLY, *_DELAYS))
    found |= {name: _tile(context, name, totals) for name in (*_RATIOS, "refunds", "receipts")}
    found["refunds"]["count"] = int(totals["refund_count"])
    delays = delay_percentiles(context.rows("delays", ["ingest_bucket", "till_bucket"], ["receipts"]))
    return found | {"receipts_per_minute": _rate(context), **_reporting(context, stores), **delays}


def _tile(context: OverviewContext, name: str, totals: Mapping[str, Any]) -> Row:
    comparison = context.comparison
    after_cutoff, before = comparison.after_cutoff.totals, comparison.previous.totals
    now: dict[str, Any] = {each: value - after_cutoff.get(each, 0) for each, value in totals.items()}
    if name == "refunds":
        # More refunds are growth, although their sum is further below zero.
        change = comparison.change(abs(now[name]), abs(Fraction(before[name])))
    else:
        figure = _figure(name, now)
        change = None if figure is None else comparison.change(figure, _figure(name, before))
    return {
        "value": _formatted(context, name, totals),
        "before": comparison.unless_empty(_formatted(context, name, before)),
        "change": change,
    }


def _figure(name: str, totals: Mapping[str, Any]) -> Number | None:
    """The exact value; None for a ratio without receipts."""
    if name not in _RATIOS:
        number: Number = totals[name]
        return number
    return Fraction(totals[_RATIOS[name]]) / int(totals["receipts"]) if totals["receipts"] else None


def _formatted(context: OverviewContext, name: str, totals: Mapping[str, Any]) -> str | int | None:
    if name in _MONEY:
        return context.money(totals[name])
    if name in _COUNTS:
        return int(totals[name])
    if not totals["receipts"]:
        return None
    unit = context.cent if name == "average_ticket" else Decimal("0.01")
    ratio = Decimal(totals[_RATIOS[name]]) / Decimal(totals["receipts"])
    return format(round_half_up(ratio, unit), "f")


def _rate(context: OverviewContext) -> Row:
    """Receipts that arrived in the last minute, and receipts in each of the last full minutes on the tills' clocks."""
    cutoff = context.periods.to_date.cutoff
    if cutoff is None:
        return {"value": None, "trend": []}
    today = context.periods.requested.last
    since = cutoff - TREND_MINUTES * MINUTE
    days = Period(context.calendar.day_of(since), today)
    rows = context.query(total(context.sales.by_minute(context.scope, days, since, cutoff), ["minute"], ["receipts"]))
    counts = {row["minute"]: int(row["receipts"]) for row in rows}
    trend = [counts.get(since + number * MINUTE, 0) for number in range(TREND_MINUTES)]
    if context.scope.kind == "chain":
        return {"value": receipts_per_minute(context.reader, today, context.now_us), "trend": trend}
    return {"value": _arrived(context), "trend": trend}


def _arrived(context: OverviewContext) -> int:
    """The same count as `receipts_per_minute`, from the receipts of the scope."""
    now = utc(context.now_us).replace(tzinfo=None)
    in_scope, values = context.scope.condition
    since, last = now - MINUTE, now.replace(microsecond=0) + timedelta(seconds=1)
    sql = f"""SELECT count(*) AS receipts FROM receipts WHERE day = ? AND received_at > ? AND received_at < ?
        AND date_trunc('second', received_at) > ? AND {in_scope}"""
    return int(context.query((sql, [context.periods.requested.last, since, last, since, *values]))[0]["receipts"])


def _reporting(context: OverviewContext, stores: Mapping[str, Row]) -> Row:
    """The tiles of stores and tills: how many sold something, how many exist, and how many stores are silent."""
    requested = context.periods.requested
    selling = _tills(context, requested)
    earlier = Period(_days_before(requested.last, RECENT_DAYS - 1), _days_before(requested.last, 1))
    recent: Tills = context.cache.get(
        ("tills", context.scope.identity, earlier), context.version(earlier), lambda: _tills(context, earlier)
    )
    active = {store: recent.get(store, set()) | selling.get(store, set()) for store in {*recent, *selling}}
    listed = {store: each for store, each in context.stores.by_id.items() if context.scope.has(store)}
    every = set(listed) | set(selling) if listed else set(active)
    tills = sum(max(listed[each].tills if each in listed else 0, len(active.get(each, ()))) for each in every)
    return {
        "shops": {"value": len(selling), "known": len(every), "silent": _silent_stores(context, stores)},
        "tills": {
            "value": sum(map(len, selling.values())),
            "known": 1 if context.scope.kind == "till" else tills,
        },
    }


def _days_before(day: date, days: int) -> date:
    """The day this number of days earlier, or the first one of the calendar."""
    return day - min(timedelta(days=days), day - date.min)


def _tills(context: OverviewContext, period: Period) -> Tills:
    """The tills that sold something."""
    select, values = context.sales.select("sales_by_till", context.scope, period)
    tills: Tills = defaultdict(set)
    distinct = "" if period.days == 1 else "DISTINCT"
    for row in context.reader.query(f"SELECT {distinct} store, till FROM ({select}) AS rows", values):
        tills[row["store"]].add(row["till"])
    return tills


def _silent_stores(context: OverviewContext, stores: Mapping[str, Row]) -> int | None:
    """How many stores are silent among those that sold today and those with opening hours; null for past days."""
    if not context.periods.live:
        return None
    listed = [store for store, each in context.stores.by_id.items() if each.hours and context.scope.has(store)]
    last_sales = {store: row["last"] for store, row in stores.items()}
    return sum(_is_silent(context, store, last_sales.get(store)) for store in {*last_sales, *listed})


def _is_silent(context: OverviewContext, store_id: str, last: datetime | None) -> bool:
    """Whether a store has sold nothing for too long, by its own clock, and was open all that time."""
    store = context.stores.get(store_id)
    now = context.calendar.local(context.now_us, zone_of(context.settings, store))
    since = now - timedelta(minutes=context.settings.silent_shop_minutes)
    if last is not None and last >= since:
        return False
    return not store.hours or (store.is_open(now) is True and store.is_open(since) is True)
