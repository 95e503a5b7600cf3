"""Which shops and tills report, how many there are, and which have fallen silent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from tillstream.database.base import Row
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.span import Span

KNOWN_DAYS = 14
"""Who sold within these days is known, where no list of shops says more."""

SILENT = timedelta(minutes=20)
"""A shop that has sold nothing for longer than this, by its tills' clock, is silent."""

Tills = dict[str, set[str]]
"""Tills by their store."""


def reporting(question: OverviewContext, stores: Mapping[str, Row]) -> Row:
    """The tiles of shops and tills: how many sold, how many there are, and how many shops are silent.

    `stores` are the shops that sold on the days asked, each with its `last` sale.
    """
    asked = question.spans.asked
    selling = _tills(question, asked)
    known: Tills = defaultdict(set)
    earlier = Span(_before(asked.last, KNOWN_DAYS - 1), _before(asked.last, 1))
    version = question.version(earlier)
    recent: Tills = question.kept.get(
        ("tills", question.scope.identity, earlier), version, lambda: _tills(question, earlier)
    )
    for tills in (recent, selling):
        for store, names in tills.items():
            known[store] |= names
    listed = {store: shop for store, shop in question.shops.by_id.items() if question.scope.has(store)}
    every = set(listed) | set(selling) if listed else set(known)
    counts = [max(listed[each].tills if each in listed else 0, len(known.get(each, ()))) for each in every]
    return {
        "shops": {"value": len(selling), "known": len(every), "silent": _silent(question, stores)},
        "tills": {"value": sum(map(len, selling.values())), "known": _known_tills(question, sum(counts))},
    }


def _before(day: date, days: int) -> date:
    """So many days before, or the first that there is."""
    return day - min(timedelta(days=days), day - date.min)


def _known_tills(question: OverviewContext, counted: int) -> int:
    return 1 if question.scope.kind == "till" else counted


def _tills(question: OverviewContext, span: Span) -> Tills:
    select, values = question.folds.select("sales_by_till", question.scope, span)
    tills: Tills = defaultdict(set)
    distinct = "" if span.days == 1 else "DISTINCT"
    for row in question.reader.query(f"SELECT {distinct} store, till FROM ({select}) AS rows", values):
        tills[row["store"]].add(row["till"])
    return tills


def _silent(question: OverviewContext, stores: Mapping[str, Row]) -> int | None:
    """Today's sellers, and listed shops within their opening hours, that have sold nothing for too long.

    Null for days that are over. A shop that opened only just is not silent yet.
    """
    if not question.spans.live:
        return None
    listed = [store for store, shop in question.shops.by_id.items() if shop.hours and question.scope.has(store)]
    lasts = {store: row["last"] for store, row in stores.items()}
    return sum(_is_silent(question, store, lasts.get(store)) for store in {*lasts, *listed})


def _is_silent(question: OverviewContext, store: str, last: datetime | None) -> bool:
    shop = question.shops.get(store)
    zone = question.store_zones.get(store) or shop.zone
    now = question.calendar.local(question.now_us, zone) if zone else question.now
    since = now - SILENT
    if last is not None and last >= since:
        return False
    if not shop.hours:
        return True
    return shop.is_open(now) is True and shop.is_open(since) is True
