"""The course of a span: its sales minute by minute, hour by hour or day by day, beside the days compared with."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from tillstream.database.base import Row
from tillstream.queries.overview.context import ONE_DAY, OverviewContext
from tillstream.queries.overview.span import Span

HOURLY_DAYS = 7
"""Spans of up to so many days are shown by the hour, longer ones by the day."""

_MINUTES = {"minute": 1, "hour": 60, "day": 1440}


def pace(question: OverviewContext) -> Row:
    """Parallel lists; `offset` counts wall-clock units from `start`, as do `now` and `end`.

    `before` is the whole of the days compared with, so that their end shows too.
    """
    asked, whole = question.spans.asked, question.spans.before.whole
    unit = "minute" if asked.days == 1 else "hour" if asked.days <= HOURLY_DAYS else "day"
    start = question.calendar.start(asked.first)
    before = question.kept.get(
        ("pace", question.scope.identity, whole, unit), question.version(whole), lambda: _course(question, whole, unit)
    )
    size = timedelta(minutes=_MINUTES[unit])
    return {
        "unit": unit,
        "start": start.isoformat(timespec="minutes"),
        "now": (question.now - start) // size if question.spans.live else None,
        "end": asked.days * (ONE_DAY // size),
        **_course(question, asked, unit),
        "before": before,
    }


def _course(question: OverviewContext, span: Span, unit: str) -> Row:
    """Receipts are null where lines are counted."""
    counts = question.scope.source == "receipts"
    measures = ["revenue", "receipts"] if counts else ["revenue"]
    key = "day" if unit == "day" else "minute"
    found: dict[int, tuple[Decimal, int]] = {}
    start, size = question.calendar.start(span.first), timedelta(minutes=_MINUTES[unit])
    for row in question.rows("sales" if key == "day" else "sales_by_minute", [key], measures, span):
        moment = row[key] if isinstance(row[key], datetime) else question.calendar.start(row[key])
        offset = (moment - start) // size
        revenue, receipts = found.get(offset, (Decimal(0), 0))
        found[offset] = revenue + row["revenue"], receipts + int(row.get("receipts", 0))
    offsets = sorted(found)
    return {
        "offset": offsets,
        "revenue": [question.money(found[each][0]) for each in offsets],
        "receipts": [found[each][1] for each in offsets] if counts else None,
    }
