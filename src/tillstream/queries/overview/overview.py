"""The overview: all figures of the live page for a part of the chain and a period, compared with earlier days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tillstream.clock import utc
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Row
from tillstream.errors import BadQuery
from tillstream.queries.overview import answers, panels
from tillstream.queries.overview.answers import Baseline, Counters, Overview, Parent, Waiting
from tillstream.queries.overview.context import OverviewContext, VersionedCache
from tillstream.queries.overview.sales_sql import LINE_TOTALS, TOTALS
from tillstream.queries.overview.scope import PERIOD_PARAMETERS, SCOPE_PARAMETERS, Scope, parse_periods, parse_scope
from tillstream.queries.overview.tiles import tiles
from tillstream.queries.serialization import zulu
from tillstream.queries.summary import COUNTERS, Summaries
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

PARAMETERS = (*PERIOD_PARAMETERS, *SCOPE_PARAMETERS)

_WAITING = """SELECT kind, count(*) AS entries FROM quarantine LEFT JOIN decisions USING (place)
    WHERE decision IS NULL AND day BETWEEN ? AND ? GROUP BY kind"""


class Overviews:
    """Reads the overview of any scope and period. Thread-safe."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        calendar: Calendar,
        summaries: Summaries,
        stores: Callable[[], StoreList],
    ) -> None:
        self._database = database
        self._settings = settings
        self._calendar = calendar
        self._summaries = summaries
        self._stores = stores
        self._cache = VersionedCache()

    def overview(self, query: Mapping[str, str] | None = None) -> Overview:
        """Return the overview that the parameters of a request select. Raises `BadQuery`.

        `day`, or `from` and `to`, select the period. The default is today. `vs` is the first day to compare with.
        `region`, `store`, `category` or `product` selects a part of the chain. `store` and `till` together select a
        till.
        """
        query = query or {}
        for name in query:
            if name not in PARAMETERS:
                raise BadQuery(name, "there is no such parameter", f"it takes {', '.join(PARAMETERS)}")
        now_us = self._calendar.now_us()
        now = self._calendar.local(now_us)
        stores = self._stores()
        scope, periods = parse_scope(stores, query), parse_periods(self._calendar, now, query)
        with self._database.snapshot() as reader:
            return self._read(
                OverviewContext(
                    reader, scope, periods, stores, now_us, now, self._settings, self._calendar, self._cache
                )
            )

    def _read(self, context: OverviewContext) -> Overview:
        scope, periods = context.scope, context.periods
        requested, previous, comparison = periods.requested, periods.previous, context.comparison
        names = LINE_TOTALS if scope.source == "lines" else (*TOTALS, "anomalies")
        [totals] = context.rows("sales", [], names)
        totals = {name: value or 0 for name, value in totals.items()}
        stores = _store_sales(context)
        by_hour = context.rows("sales_by_hour_and_category", ["hour", "category"], ["revenue", "quantity"])
        lag, age_ms = self._summaries.age(context.reader, context.now_us)
        return Overview(
            scope=_scope(context),
            from_=requested.first.isoformat(),
            to=requested.last.isoformat(),
            live=periods.live,
            vs=Baseline(
                previous.first.isoformat(),
                previous.last.isoformat(),
                previous.cutoff.strftime("%H:%M") if previous.cutoff else None,
                comparison.empty,
            ),
            today=self._calendar.day_of(context.now).isoformat(),
            currency=self._settings.currency,
            as_of=zulu(utc(context.now_us)),
            lag=lag,
            age_ms=age_ms,
            tiles=tiles(context, totals, stores),
            pace=panels.sales_over_time(context),
            categories=panels.categories(context, by_hour),
            hours=panels.hours(context, by_hour),
            payments=panels.payments(context),
            vat=panels.vat(context),
            products=panels.products(context),
            shops=panels.stores(context, stores),
            tills=panels.tills(context),
            latest=panels.latest_receipts(context),
            counters=_counters(context, totals),
            other_days=self._summaries.other_days(context.reader) if periods.live and scope.kind == "chain" else [],
        )


def _store_sales(context: OverviewContext) -> dict[str, Row]:
    """Return the revenue of each store and the time of its last sale.

    If the scope is a category or a product, the time is left out.
    """
    sql, values = context.sales.select("sales_by_store", context.periods.requested)
    last = "" if context.scope.source == "lines" else ", max(last) AS last"
    select = f"SELECT store, sum(revenue) AS revenue{last} FROM ({sql}) AS rows GROUP BY store"
    return {row["store"]: row for row in context.reader.query(select, values)}


def _scope(context: OverviewContext) -> answers.Scope:
    if context.scope.kind != "product":
        return describe_scope(context.scope, context.stores)
    sql = """SELECT max(description) AS title, max(category) AS category FROM lines
        WHERE day BETWEEN ? AND ? AND product = ?"""
    for period in (context.periods.requested, context.periods.previous):
        [row] = context.reader.query(sql, [period.first, period.last, context.scope.keys["product"]])
        if row["title"] is not None:
            break
    return describe_scope(context.scope, context.stores, row["title"], row["category"])


def describe_scope(
    scope: Scope, stores: StoreList, title: str | None = None, category: str | None = None
) -> answers.Scope:
    """Return the scope with its title and its parents. `title` and `category` are only provided for a product."""
    store = stores.get(scope.keys["store"]) if "store" in scope.keys else None
    parents = []
    if store is not None and store.region:
        parents.append(Parent("region", store.region, region=store.region))
    if store is not None and scope.kind == "till":
        parents.append(Parent("store", store.title, store=store.id))
    if category is not None:
        parents.append(Parent("category", category, category=category))
    own = store.title if store is not None and scope.kind == "store" else scope.keys.get(scope.kind)
    return answers.Scope(
        kind=scope.kind,
        region=scope.keys.get("region"),
        store=scope.keys.get("store"),
        till=scope.keys.get("till"),
        category=scope.keys.get("category"),
        product=scope.keys.get("product"),
        title=title or own,
        city=store.city or None if store is not None else None,
        parents=parents,
    )


def _counters(context: OverviewContext, totals: Mapping[str, Any]) -> Counters:
    """Count the receipts with anomalies, and the records that arrived on the requested days but did not become sales.

    For a region, a store or a till, only anomalies are counted. For a category or a product, nothing is counted.
    `waiting` is the number of quarantine entries without a decision.
    """
    anomalies = None if context.scope.source == "lines" else int(totals["anomalies"])
    if context.scope.kind != "chain":
        return Counters(None, None, None, None, anomalies)
    days = [context.periods.requested.first, context.periods.requested.last]
    rows = context.reader.query(
        "SELECT name, sum(value) AS value FROM counters WHERE day BETWEEN ? AND ? GROUP BY name", days
    )
    counts = dict.fromkeys(COUNTERS, 0) | {row["name"]: int(row["value"]) for row in rows}
    waiting = {row["kind"]: row["entries"] for row in context.reader.query(_WAITING, days)}
    conflicts = waiting.pop("conflict", 0)
    return Counters(
        counts["duplicates"],
        counts["conflicts"],
        counts["quarantined"],
        Waiting(conflicts, sum(waiting.values())),
        anomalies,
    )
