"""All queries of the web pages, the API and the broadcast to RabbitMQ, in one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.database.base import Database
from tillstream.errors import OperationalError
from tillstream.formats.base import Decoder
from tillstream.formats.registry import BUILT_IN
from tillstream.log.base import Log
from tillstream.metrics.catalogue import Metric
from tillstream.queries.metrics import MetricReader
from tillstream.queries.overview.overview import Overviews
from tillstream.queries.quarantine import QuarantineEntries
from tillstream.queries.receipts import StoredReceipts
from tillstream.queries.redaction import Originals
from tillstream.queries.summary import Summaries
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList


class Queries:
    """Reads figures from the database and original bodies from the log. Thread-safe.

    Each query reads the figures of one commit, so they are consistent. The default day is today. Queries raise
    `DatabaseUnavailable` if the database cannot be read, and `BadQuery` or `UnknownMetric` for an invalid request.
    """

    def __init__(
        self,
        database: Database,
        log: Log,
        catalogue: Sequence[Metric],
        settings: Settings,
        clock: Clock,
        engine_error: Callable[[], OperationalError | None] = lambda: None,
        *,
        stores: Callable[[], StoreList] = StoreList,
        formats: Iterable[Decoder | type[Decoder]] = BUILT_IN,
    ) -> None:
        self.engine_error = engine_error
        """Returns the error that prevents new figures, or None if nothing prevents them."""
        self.store_list = stores
        """Returns the current list of stores."""
        self.currency = settings.currency
        self.lag = log.lag
        """Returns the number of acknowledged records that are not in the figures yet."""
        self.calendar = Calendar(settings, clock)
        self.local_now = self.calendar.local_now
        summaries = Summaries(database, self.calendar, log, self.currency)
        self.summary, self.snapshot, self.ticker = summaries.summary, summaries.snapshot, summaries.ticker
        self.overview = Overviews(database, settings, self.calendar, summaries, stores).overview
        metrics = MetricReader(database, catalogue, self.calendar, self.currency, stores)
        self.catalogue, self.metric, self.stores = metrics.descriptions, metrics.rows, metrics.stores
        originals = Originals(log, formats)
        receipts = StoredReceipts(database, log, self.calendar, settings, stores, originals)
        self.receipts, self.receipt = receipts.page, receipts.one
        self.anomalies, self.anomaly_counts = receipts.anomalies, receipts.anomaly_counts
        entries = QuarantineEntries(database, log, self.calendar, originals)
        self.quarantine, self.quarantined = entries.page, entries.one
        self.quarantine_counts, self.quarantine_totals = entries.counts, entries.totals
        self.faults = entries.faults
