"""The overview: everything that the dashboard shows of a scope and a period, compared with earlier days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tillstream.clock import utc
from tillstream.config.settings import Settings
from tillstream.database.base import Reader, Row
from tillstream.errors import BadQuery
from tillstream.queries.overview import panels, rankings
from tillstream.queries.overview.context import OverviewContext, VersionedCache, compare
from tillstream.queries.overview.sales_sql import LINE_TOTALS, TOTALS, SalesSql
from tillstream.queries.overview.scope import (
    PERIOD_PARAMETERS,
    SCOPE_PARAMETERS,
    Periods,
    describe_scope,
    parse_periods,
    parse_scope,
)
from tillstream.queries.overview.tiles import tiles
from tillstream.queries.serialization import zulu
from tillstream.queries.summary import COUNTERS, Summaries
from tillstream.receipt.amounts import minor_digits, minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

PARAMETERS = (*PERIOD_PARAMETERS, *SCOPE_PARAMETERS)

_WAITING = """SELECT kind, count(*) AS entries FROM quarantine LEFT JOIN decisions USING (place)
    WHERE decision IS NULL AND day BETWEEN ? AND ? GROUP BY kind"""


class Overview:
    """Reads the overview of any scope and period. Thread-safe."""

    def __init__(
        self, settings: Settings, calendar: Calendar, summaries: Summaries, stores: Callable[[], StoreList]
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._summaries = summaries
        self._stores = stores
        self._sales = SalesSql(minor_digits(settings.currency), calendar)
        self._cache = VersionedCache()

    def read(self, reader: Reader, query: Mapping[str, str]) -> Row:
        """The overview that the parameters of a request select. Raises `BadQuery`."""
        for name in query:
            if name not in PARAMETERS:
                raise BadQuery(name, "there is no such parameter", f"it takes {', '.join(PARAMETERS)}")
        now_us = self._calendar.now_us()
        now = self._calendar.local(now_us)
        stores = self._stores()
        scope, periods = parse_scope(stores, query), parse_periods(self._calendar, now, query)
        context = OverviewContext(
            reader,
            scope,
            periods,
            stores,
            now_us,
            now,
            minor_unit(self._settings.currency),
            self._settings,
            self._calendar,
            self._sales,
            self._cache,
            compare(reader, scope, periods, self._sales, self._cache),
        )
        return {
            "scope": _scope(context),
            **_days(periods, context.comparison.empty),
            "today": self._calendar.day_of(now).isoformat(),
            "currency": self._settings.currency,
            "as_of": zulu(utc(now_us)),
            **self._summaries.age(reader, now_us),
            **_panels(context),
            "other_days": self._summaries.other_days(reader) if periods.live and scope.kind == "chain" else [],
        }


def _panels(context: OverviewContext) -> Row:
    names = LINE_TOTALS if context.scope.source == "lines" else (*TOTALS, "anomalies")
    [totals] = context.rows("sales", [], names)
    totals = {name: value or 0 for name, value in totals.items()}
    stores, by_hour = _store_sales(context), panels.by_hour_and_category(context)
    return {
        "tiles": tiles(context, totals, stores),
        "pace": panels.sales_over_time(context),
        "categories": panels.categories(context, by_hour),
        "hours": panels.hours(context, by_hour),
        "payments": panels.payments(context),
        "vat": panels.vat(context),
        "products": rankings.products(context),
        "shops": rankings.stores(context, stores),
        "tills": rankings.tills(context),
        "latest": panels.latest_receipts(context),
        "counters": _counters(context, totals),
    }


def _store_sales(context: OverviewContext) -> dict[str, Row]:
    """Revenue of each store and, where receipts are counted, the time of its last sale."""
    sql, values = context.sales.select("sales_by_store", context.scope, context.periods.requested)
    last = "" if context.scope.source == "lines" else ", max(last) AS last"
    select = f"SELECT store, sum(revenue) AS revenue{last} FROM ({sql}) AS rows GROUP BY store"
    return {row["store"]: row for row in context.query((select, values))}


def _days(periods: Periods, empty: bool) -> Row:
    requested, previous = periods.requested, periods.previous
    until = None if previous.cutoff is None else previous.cutoff.strftime("%H:%M")
    return {
        "from": requested.first.isoformat(),
        "to": requested.last.isoformat(),
        "live": periods.live,
        "vs": {"from": previous.first.isoformat(), "to": previous.last.isoformat(), "until": until, "empty": empty},
    }


def _scope(context: OverviewContext) -> Row:
    scope, title, category = context.scope, None, None
    if scope.kind == "product":
        sql = """SELECT max(description) AS title, max(category) AS category FROM lines
            WHERE day BETWEEN ? AND ? AND product = ?"""
        for period in (context.periods.requested, context.periods.previous):
            [row] = context.reader.query(sql, [period.first, period.last, scope.keys["product"]])
            if row["title"] is not None:
                title, category = row["title"], row["category"]
                break
    return describe_scope(scope, context.stores, title, category)


def _counters(context: OverviewContext, totals: Mapping[str, Any]) -> Row:
    """Records that did not become sales, by the day of their arrival. Only the anomalies are counted by scope.

    `waiting` counts the entries without a decision: conflicts, and all other entries of the quarantine.
    """
    anomalies = None if context.scope.source == "lines" else int(totals["anomalies"])
    if context.scope.kind != "chain":
        return {**dict.fromkeys(COUNTERS), "waiting": None, "anomalies": anomalies}
    days = [context.periods.requested.first, context.periods.requested.last]
    rows = context.reader.query(
        "SELECT name, sum(value) AS value FROM counters WHERE day BETWEEN ? AND ? GROUP BY name", days
    )
    counts = {row["name"]: int(row["value"]) for row in rows}
    waiting = dict.fromkeys(("conflicts", "quarantined"), 0)
    for row in context.reader.query(_WAITING, days):
        waiting["conflicts" if row["kind"] == "conflict" else "quarantined"] += row["entries"]
    return {**{name: counts.get(name, 0) for name in COUNTERS}, "waiting": waiting, "anomalies": anomalies}
