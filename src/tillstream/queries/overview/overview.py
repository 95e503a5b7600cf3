"""The overview: all that the dashboard shows of a scope and a span, beside the days compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tillstream.clock import utc
from tillstream.config.settings import Settings
from tillstream.database.base import Reader, Row
from tillstream.errors import BadQuery
from tillstream.queries.overview import panels, scope, span
from tillstream.queries.overview.comparison import Kept, Sides
from tillstream.queries.overview.context import OverviewContext, compare
from tillstream.queries.overview.folds import LINE_TOTALS, TOTALS, SalesSql
from tillstream.queries.overview.latest import latest
from tillstream.queries.overview.pace import pace
from tillstream.queries.overview.products import products
from tillstream.queries.overview.ranking import shops, tills
from tillstream.queries.overview.scope import Scope, described, parse_scope
from tillstream.queries.overview.snapshot import Snapshot
from tillstream.queries.overview.span import Spans, parse_spans
from tillstream.queries.overview.tiles import tiles
from tillstream.queries.serialization import zulu
from tillstream.queries.summary import COUNTERS
from tillstream.receipt.amounts import minor_digits, minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

PARAMETERS = (*span.PARAMETERS, *scope.PARAMETERS)


class Overview:
    """Overviews of any scope and span."""

    def __init__(
        self, settings: Settings, calendar: Calendar, snapshot: Snapshot, listed: Callable[[], StoreList]
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._snapshot = snapshot
        self._listed = listed
        self._cent = minor_unit(settings.currency)
        self._folds = SalesSql(minor_digits(settings.currency), calendar)
        self._sides = Sides(self._folds)
        self._kept = Kept()

    def read(self, reader: Reader, query: Mapping[str, str]) -> Row:
        """What the query asks for, as this reader sees it. Raises `BadQuery`."""
        for name in query:
            if name not in PARAMETERS:
                raise BadQuery(name, "there is no such parameter", f"it takes {', '.join(PARAMETERS)}")
        now_us = self._calendar.now_us()
        now = self._calendar.local(now_us)
        listed = self._listed()
        asked, spans = parse_scope(listed, query), parse_spans(self._calendar, now, query)
        question = OverviewContext(
            reader,
            asked,
            spans,
            listed,
            now_us,
            now,
            self._cent,
            self._settings.store_zones,
            self._calendar,
            self._folds,
            self._kept,
            compare(reader, asked, spans, self._sides),
        )
        return {
            "scope": _scope(question),
            **_days(spans, question.compared.empty),
            "today": self._calendar.day_of(now).isoformat(),
            "currency": self._settings.currency,
            "as_of": zulu(utc(now_us)),
            **self._snapshot.age(reader, now_us),
            **_panels(question),
            "other_days": self._snapshot.other_days(reader) if spans.live and asked.kind == "chain" else [],
        }


_WAITING = """SELECT kind, count(*) AS entries FROM quarantine LEFT JOIN decisions USING (place)
    WHERE decision IS NULL AND day BETWEEN ? AND ? GROUP BY kind"""


def _panels(question: OverviewContext) -> Row:
    names = LINE_TOTALS if question.scope.source == "lines" else (*TOTALS, "anomalies")
    [totals] = question.rows("sales", [], names)
    totals = {name: value or 0 for name, value in totals.items()}
    stores, by_hour = {row["store"]: row for row in _stores(question)}, panels.by_hour(question)
    return {
        "tiles": tiles(question, totals, stores),
        "pace": pace(question),
        "categories": panels.categories(question, by_hour),
        "hours": panels.hours(question, by_hour),
        "payments": panels.payments(question),
        "vat": panels.vat(question),
        "products": products(question),
        "shops": shops(question, stores),
        "tills": tills(question),
        "latest": latest(question),
        "counters": _counters(question, totals),
    }


def _stores(question: OverviewContext) -> list[Row]:
    """Revenue of every shop that sold something, and when it did last; lines don't tell that."""
    sql, values = question.folds.select("sales_by_store", question.scope, question.spans.asked)
    last = "" if question.scope.source == "lines" else ", max(last) AS last"
    select = f"SELECT store, sum(revenue) AS revenue{last} FROM ({sql}) AS rows GROUP BY store"
    return question.query((select, values))


def _days(spans: Spans, empty: bool) -> Row:
    asked, before = spans.asked, spans.before
    until = None if before.cut is None else before.cut.strftime("%H:%M")
    return {
        "from": asked.first.isoformat(),
        "to": asked.last.isoformat(),
        "live": spans.live,
        "vs": {"from": before.first.isoformat(), "to": before.last.isoformat(), "until": until, "empty": empty},
    }


def _scope(question: OverviewContext) -> Row:
    asked: Scope = question.scope
    if asked.kind != "product":
        return described(asked, question.shops)
    sql = """SELECT max(description) AS title, max(category) AS category FROM lines
        WHERE day BETWEEN ? AND ? AND product = ?"""
    for days in (question.spans.asked, question.spans.before):
        [row] = question.reader.query(sql, [days.first, days.last, asked.keys["product"]])
        if row["title"] is not None:
            return described(asked, question.shops, row["title"], row["category"])
    return described(asked, question.shops)


def _counters(question: OverviewContext, totals: Mapping[str, Any]) -> Row:
    """What did not become a sale is counted for the whole chain only, by the day of its receipt.

    `waiting` has what nobody has settled yet: of the conflicts, and of all else in quarantine.
    """
    anomalies = None if question.scope.source == "lines" else int(totals["anomalies"])
    if question.scope.kind != "chain":
        return {**dict.fromkeys(COUNTERS), "waiting": None, "anomalies": anomalies}
    days = [question.spans.asked.first, question.spans.asked.last]
    rows = question.reader.query(
        "SELECT name, sum(value) AS value FROM counters WHERE day BETWEEN ? AND ? GROUP BY name", days
    )
    counted = {row["name"]: int(row["value"]) for row in rows}
    waiting = dict.fromkeys(("conflicts", "quarantined"), 0)
    for row in question.reader.query(_WAITING, days):
        waiting["conflicts" if row["kind"] == "conflict" else "quarantined"] += row["entries"]
    return {**{name: counted.get(name, 0) for name in COUNTERS}, "waiting": waiting, "anomalies": anomalies}
