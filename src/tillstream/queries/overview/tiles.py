"""The figures on top of the overview, each with what it was on the days compared with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tillstream.clock import utc
from tillstream.database.base import Row
from tillstream.metrics.delays import percentiles
from tillstream.queries.overview.comparison import Number
from tillstream.queries.overview.context import OverviewContext
from tillstream.queries.overview.folds import LINE_TOTALS, total
from tillstream.queries.overview.reporting import reporting
from tillstream.queries.overview.span import Span
from tillstream.queries.summary import rate

TREND_MINUTES = 60
MINUTE = timedelta(minutes=1)

_MONEY = ("revenue", "net", "tax", "refunds")
_COUNTS = ("receipts", "quantity", "lines")
_RATIOS = {"average_ticket": "revenue", "items_per_ticket": "quantity"}
"""What is divided by the number of receipts."""
_RECEIPTS_ONLY = ("refunds", "receipts", *_RATIOS, "receipts_per_minute", "shops", "tills")
_DELAYS = ("ingest_delay_ms", "till_delay_s")


def tiles(question: OverviewContext, totals: Mapping[str, Any], stores: Mapping[str, Row]) -> Row:
    """Every tile; null for what lines alone don't tell. `totals` and `stores` are of what is asked."""
    found = {name: _tile(question, name, totals) for name in LINE_TOTALS}
    if question.scope.source == "lines":
        return found | dict.fromkeys((*_RECEIPTS_ONLY, *_DELAYS))
    found |= {name: _tile(question, name, totals) for name in (*_RATIOS, "refunds", "receipts")}
    found["refunds"]["count"] = int(totals["refund_count"])
    return found | {"receipts_per_minute": _rate(question), **reporting(question, stores), **_delays(question)}


def _tile(question: OverviewContext, name: str, totals: Mapping[str, Any]) -> Row:
    compared = question.compared
    behind, before = compared.behind.totals, compared.before.totals
    now: dict[str, Any] = {each: value - behind.get(each, 0) for each, value in totals.items()}
    if name == "refunds":
        # More given back is a growth of refunds, although their sum lies further below zero.
        change = compared.change(abs(now[name]), abs(Fraction(before[name])))
    else:
        figure = _figure(name, now)
        change = None if figure is None else compared.change(figure, _figure(name, before))
    shown = _shown(question, name, before)
    return {"value": _shown(question, name, totals), "before": None if compared.empty else shown, "change": change}


def _figure(name: str, totals: Mapping[str, Any]) -> Number | None:
    """Exact; None for a ratio of nothing."""
    if name not in _RATIOS:
        number: Number = totals[name]
        return number
    return Fraction(totals[_RATIOS[name]]) / int(totals["receipts"]) if totals["receipts"] else None


def _shown(question: OverviewContext, name: str, totals: Mapping[str, Any]) -> str | int | None:
    if name in _MONEY:
        return question.money(totals[name])
    if name in _COUNTS:
        return int(totals[name])
    if not totals["receipts"]:
        return None
    least = question.cent if name == "average_ticket" else Decimal("0.01")
    ratio = Decimal(totals[_RATIOS[name]]) / Decimal(totals["receipts"])
    return format(ratio.quantize(least, ROUND_HALF_UP), "f")


def _rate(question: OverviewContext) -> Row:
    """Receipts of the last minute by their arrival, and of the last complete minutes by the tills' clocks."""
    cut = question.spans.upto.cut
    if cut is None:
        return {"value": None, "trend": []}
    today = question.spans.asked.last
    since = cut - TREND_MINUTES * MINUTE
    days = Span(question.calendar.day_of(since), today)
    rows = question.query(total(question.folds.minutes(question.scope, days, since, cut), ["minute"], ["receipts"]))
    counted = {row["minute"]: int(row["receipts"]) for row in rows}
    trend = [counted.get(since + number * MINUTE, 0) for number in range(TREND_MINUTES)]
    if question.scope.kind == "chain":
        return {"value": rate(question.reader, today, question.now_us), "trend": trend}
    return {"value": _arrived(question), "trend": trend}


def _arrived(question: OverviewContext) -> int:
    """What `rate` tells of the whole chain, counted from the receipts of the scope."""
    now = utc(question.now_us).replace(tzinfo=None)
    own, values = question.scope.condition
    since, last = now - MINUTE, now.replace(microsecond=0) + timedelta(seconds=1)
    second = "date_trunc('second', received_at)"
    sql = f"""SELECT count(*) AS receipts FROM receipts WHERE day = ? AND received_at > ? AND received_at < ?
        AND {second} > ? AND {own}"""
    return int(question.reader.query(sql, [question.spans.asked.last, since, last, since, *values])[0]["receipts"])


def _delays(question: OverviewContext) -> Row:
    """Upper bounds of the buckets, as a summary has them."""
    rows = question.rows("delays", ["ingest_bucket", "till_bucket"], ["receipts"])
    ingest, till = percentiles(rows, "ingest_bucket"), percentiles(rows, "till_bucket")
    return {
        "ingest_delay_ms": {name: ms and round(ms, 1) for name, ms in ingest.items()},
        "till_delay_s": {name: ms and round(ms / 1_000, 3) for name, ms in till.items()},
    }
