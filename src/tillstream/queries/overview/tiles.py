"""The tiles of the overview: its key figures and their change, and the number of active stores and tills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

from tillstream.clock import utc
from tillstream.database.base import Row
from tillstream.queries.overview import answers
from tillstream.queries.overview.context import Number, OverviewContext, version
from tillstream.queries.overview.sales_sql import total
from tillstream.queries.overview.scope import Period
from tillstream.queries.serialization import Amount, Change
from tillstream.queries.summary import delay_percentiles, receipts_per_minute
from tillstream.receipt.amounts import round_half_up
from tillstream.stores.model import zone_of

TREND_MINUTES = 60
MINUTE = timedelta(minutes=1)

RECENT_DAYS = 14
"""A till counts as known if it sold something within this number of days, up to the last requested day.

The same applies to a store if no store list was imported.
"""

Tills = dict[str, set[str]]
"""The ids of tills by the id of their store."""

Totals = Mapping[str, Any]
"""The total of each measure by its name."""

_MONEY = ("revenue", "net", "tax", "refunds")
# For each ratio, the measure that is divided by the number of receipts.
_RATIOS = {"average_ticket": "revenue", "items_per_ticket": "quantity"}


def tiles(context: OverviewContext, totals: Totals, stores: Mapping[str, Row]) -> answers.Tiles:
    """Return all tiles. The tiles about receipts are null for a category or a product.

    `totals` contains the total of each measure on the requested days. `stores` contains the sales of each store.
    """
    compared = partial(_compared, context, totals)
    found: dict[str, Any] = dict.fromkeys(answers.Tiles.__struct_fields__)
    found |= {name: answers.AmountTile(*compared(name)) for name in ("revenue", "net", "tax")}
    found |= {name: answers.CountTile(*compared(name)) for name in ("lines", "quantity")}
    if context.scope.source == "lines":
        return answers.Tiles(**found)
    delays = context.rows("delays", ["ingest_bucket", "till_bucket"], ["receipts"])
    found |= {name: answers.RatioTile(*compared(name)) for name in _RATIOS}
    found["refunds"] = answers.RefundsTile(*compared("refunds"), int(totals["refund_count"]))
    found["receipts"] = answers.CountTile(*compared("receipts"))
    found["receipts_per_minute"] = _rate(context)
    found["shops"], found["tills"] = _reporting(context, stores)
    found["ingest_delay_ms"], found["till_delay_s"] = delay_percentiles(delays)
    return answers.Tiles(**found)


def _compared(context: OverviewContext, totals: Totals, name: str) -> tuple[Any, Any, Change | None]:
    """Return a figure of the requested days, the same figure of the earlier days, and the change."""
    comparison = context.comparison
    after_cutoff = comparison.after_cutoff.totals
    to_date = {each: value - after_cutoff.get(each, 0) for each, value in totals.items()}
    now, before = _figure(name, to_date), _figure(name, comparison.previous.totals)
    return (
        _formatted(context, name, totals),
        comparison.unless_empty(_formatted(context, name, comparison.previous.totals)),
        None if now is None else comparison.change(now, before),
    )


def _figure(name: str, totals: Totals) -> Number | None:
    """Return the exact value of a figure for the comparison. If there are no receipts, a ratio is None."""
    if name in _RATIOS:
        return Fraction(totals[_RATIOS[name]]) / int(totals["receipts"]) if totals["receipts"] else None
    figure: Number = totals[name]
    # The sum of refunds is negative. It is negated, so that more refunds are shown as an increase.
    return -figure if name == "refunds" else figure


def _formatted(context: OverviewContext, name: str, totals: Totals) -> Amount | int | None:
    figure = _figure(name, totals)
    if name in _MONEY:
        return context.money(totals[name])
    if not isinstance(figure, Fraction):
        return None if figure is None else int(figure)
    unit = context.cent if name == "average_ticket" else Decimal("0.01")
    return format(round_half_up(Decimal(figure.numerator) / figure.denominator, unit), "f")


def _rate(context: OverviewContext) -> answers.RateTile:
    """Return the tile with the number of receipts in the last 60 seconds and in each of the last full minutes."""
    cutoff = context.periods.to_date.cutoff
    if cutoff is None:
        return answers.RateTile(None, [])
    today = context.periods.requested.last
    since = cutoff - TREND_MINUTES * MINUTE
    days = Period(context.calendar.day_of(since), today)
    rows = context.reader.query(*total(context.sales.by_minute(days, since, cutoff), ["minute"], ["receipts"]))
    counts = {row["minute"]: int(row["receipts"]) for row in rows}
    trend = [counts.get(since + number * MINUTE, 0) for number in range(TREND_MINUTES)]
    if context.scope.kind == "chain":
        return answers.RateTile(receipts_per_minute(context.reader, today, context.now_us), trend)
    return answers.RateTile(_arrived(context), trend)


def _arrived(context: OverviewContext) -> int:
    """Return the number of receipts of a part of the chain that arrived in the last 60 seconds."""
    now = utc(context.now_us).replace(tzinfo=None)
    in_scope, values = context.scope.condition
    since, last = now - MINUTE, now.replace(microsecond=0) + timedelta(seconds=1)
    sql = f"""SELECT count(*) AS receipts FROM receipts WHERE day = ? AND received_at > ? AND received_at < ?
        AND date_trunc('second', received_at) > ? AND {in_scope}"""
    return int(context.reader.query(sql, [context.periods.requested.last, since, last, since, *values])[0]["receipts"])


def _reporting(context: OverviewContext, stores: Mapping[str, Row]) -> tuple[answers.ShopsTile, answers.TillsTile]:
    """Return the tiles with the numbers of stores and tills."""
    requested = context.periods.requested
    selling = _tills(context, requested)
    earlier = Period(_days_before(requested.last, RECENT_DAYS - 1), _days_before(requested.last, 1))
    recent = context.cached("tills", earlier, version(context.reader, earlier), lambda: _tills(context, earlier))
    active = {store: recent.get(store, set()) | selling.get(store, set()) for store in {*recent, *selling}}
    listed = {store: each for store, each in context.stores.by_id.items() if context.scope.has(store)}
    every = set(listed) | set(selling) if listed else set(active)
    tills = sum(max(listed[each].tills if each in listed else 0, len(active.get(each, ()))) for each in every)
    return (
        answers.ShopsTile(len(selling), len(every), _silent_stores(context, stores)),
        answers.TillsTile(sum(map(len, selling.values())), 1 if context.scope.kind == "till" else tills),
    )


def _days_before(day: date, days: int) -> date:
    """Subtract days from a day. The result is at least `date.min`."""
    return day - min(timedelta(days=days), day - date.min)


def _tills(context: OverviewContext, period: Period) -> Tills:
    """Return the tills that sold something in a period."""
    select, values = context.sales.select("sales_by_till", period)
    tills: Tills = defaultdict(set)
    for row in context.reader.query(f"SELECT DISTINCT store, till FROM ({select}) AS rows", values):
        tills[row["store"]].add(row["till"])
    return tills


def _silent_stores(context: OverviewContext, stores: Mapping[str, Row]) -> int | None:
    """Return the number of stores that are silent now, see `_is_silent`. For past days, return None.

    A store without opening hours counts only if it sold something on the requested days.
    """
    if not context.periods.live:
        return None
    listed = [store for store, each in context.stores.by_id.items() if each.hours and context.scope.has(store)]
    last_sales = {store: row["last"] for store, row in stores.items()}
    return sum(_is_silent(context, store, last_sales.get(store)) for store in {*last_sales, *listed})


def _is_silent(context: OverviewContext, store_id: str, last: datetime | None) -> bool:
    """Return whether a store has sold nothing for `silent_shop_minutes`.

    If the store has opening hours, it must also have been open at the beginning and at the end of this time.
    """
    store = context.stores.get(store_id)
    now = context.calendar.local(context.now_us, zone_of(context.settings, store))
    since = now - timedelta(minutes=context.settings.silent_shop_minutes)
    if last is not None and last >= since:
        return False
    return not store.hours or (store.is_open(now) is True and store.is_open(since) is True)
