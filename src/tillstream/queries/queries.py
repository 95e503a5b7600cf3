"""Queries: everything that the page, the API and the exports read.

Answers are ready for JSON: amounts are decimal strings, counts are integers, days and times are in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.errors import OperationalError
from tillstream.formats.base import Decoder
from tillstream.formats.registry import BUILT_IN
from tillstream.log.base import Log
from tillstream.metrics.catalogue import Metric, metric_table
from tillstream.queries.filters import parse_day
from tillstream.queries.metrics import Metrics
from tillstream.queries.originals import Originals
from tillstream.queries.overview.overview import Overview
from tillstream.queries.quarantine import Quarantine
from tillstream.queries.receipts import Receipts
from tillstream.queries.summary import Summaries
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import Store, StoreList, format_hours

STORE_COLUMNS = ("id", "name", "city", "region", "zone", "tills", "hours", "listed")


class Queries:
    """Answers from the database and originals from the log. Thread-safe.

    Each answer shows one commit. Without a day, a query is about today. Raises `BadQuery` and `UnknownMetric` for a
    wrong request, and `DatabaseUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        log: Log,
        catalogue: Sequence[Metric],
        settings: Settings,
        clock: Clock,
        trouble: Callable[[], OperationalError | None] = lambda: None,
        *,
        stores: Callable[[], StoreList] = StoreList,
        formats: Iterable[Decoder | type[Decoder]] = BUILT_IN,
    ) -> None:
        self.trouble = trouble
        """The reason why the engine makes no progress, if it makes none."""
        self.store_list = stores
        """The current list of stores."""
        self.currency = settings.currency
        self.lag = log.lag
        """The number of acknowledged records that are not in the figures yet."""
        self._database = database
        self.calendar = Calendar(settings, clock)
        self.local_now, self.today = self.calendar.local_now, self.calendar.today
        self._summaries = Summaries(self.calendar, log, self.currency)
        self._overview = Overview(settings, self.calendar, self._summaries, stores)
        metrics = Metrics(database, catalogue, self.calendar, self.currency, stores)
        self.catalogue, self.metric = metrics.described, metrics.rows
        originals = Originals(log, formats)
        self._receipts = Receipts(database, log, self.calendar, settings, stores, originals)
        self.receipts, self.receipt = self._receipts.page, self._receipts.one
        self.anomalies = self._receipts.anomalous
        self._quarantine = Quarantine(database, log, originals)
        self.quarantine, self.quarantined = self._quarantine.page, self._quarantine.one
        self.quarantine_totals, self.faults = self._quarantine.totals, self._quarantine.faults

    def summary(self, day: str | date | None = None, reader: Reader | None = None) -> Row:
        """The key figures of a day, as of the last commit or as `reader` sees them."""
        if reader is not None:
            return self._summaries.summary(reader, self._day(day))
        with self._database.snapshot() as latest:
            return self._summaries.summary(latest, self._day(day))

    def snapshot(self, day: str | date | None = None) -> Row:
        """A day with its summary, minutes and categories, and the age of the figures."""
        requested = self._day(day)
        with self._database.snapshot() as reader:
            return self._summaries.snapshot(reader, requested)

    def ticker(self) -> dict[str, Row]:
        """Today's running totals: one object for each exchange."""
        with self._database.snapshot() as reader:
            return self._summaries.ticker(reader, self.today())

    def overview(self, query: Mapping[str, str] | None = None) -> Row:
        """Everything that the dashboard shows of a scope and a period, compared with earlier days.

        The query has `day`, or `from` and `to`; `vs`, the first day to compare with; and one of `region`, `store`
        (and `till`), `category` and `product`. An empty query selects the whole chain today.
        """
        with self._database.snapshot() as reader:
            return self._overview.read(reader, query or {})

    def anomaly_counts(self, day: str | date | None = None) -> Row:
        """The number of receipts of a day with each anomaly, highest first."""
        return self._receipts.anomaly_counts(self._day(day))

    def stores(self) -> list[Row]:
        """The stores of the list in its order, then other stores that sold something, by id.

        `zone` is empty for the chain's own time zone. `tills` is 0 and other texts are empty if they are unknown.
        """
        stores = self.store_list()
        rows = self._database.query(f"SELECT DISTINCT store FROM {metric_table('sales_by_store')} ORDER BY store")
        others = [Store(row["store"]) for row in rows if row["store"] not in stores.by_id]
        return [
            {
                "id": store.id,
                "name": store.title,
                "city": store.city,
                "region": store.region,
                "zone": store.zone,
                "tills": store.tills,
                "hours": format_hours(store.hours),
                "listed": store.id in stores.by_id,
            }
            for store in [*stores.by_id.values(), *others]
        ]

    def quarantine_counts(self, day: str | date | None = None) -> Row:
        """The entries of a day by kind, reason and source, highest first, and the decisions of that day."""
        return self._quarantine.counts(self._day(day))

    def _day(self, day: str | date | None) -> date:
        if day is None:
            return self.today()
        return parse_day(day) if isinstance(day, str) else day
