"""What readers ask: summary, metrics, receipts, shops, quarantine and the live page's snapshot.

The page, the API and the exports read through `Queries` only. Everything it returns is plain data,
ready for JSON: money as decimal strings, counts as integers, days and times in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.errors import OperationalError
from tillstream.formats.base import Decoder
from tillstream.formats.registry import BUILT_IN
from tillstream.log.base import Log
from tillstream.metrics.catalogue import Metric
from tillstream.queries.filters import parse_day
from tillstream.queries.metrics import Figures
from tillstream.queries.originals import Originals
from tillstream.queries.overview.overview import Overview
from tillstream.queries.overview.snapshot import Snapshot
from tillstream.queries.quarantine import Quarantine
from tillstream.queries.receipts import Receipts
from tillstream.queries.stores import Stores
from tillstream.queries.summary import Summary
from tillstream.queries.ticker import Running, Ticker
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList


class Queries:
    """Readers' questions, answered from the database; originals come from the log. Safe from any thread.

    What one answer shows together is of one commit. Raises `BadQuery` and `UnknownMetric` for what
    cannot be asked, `DatabaseUnavailable` otherwise.
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
        shops: Callable[[], StoreList] = StoreList,
        formats: Iterable[Decoder | type[Decoder]] = BUILT_IN,
    ) -> None:
        self.trouble = trouble
        """Asks the engine why the figures stand still, where they do."""
        self.shops = shops
        """Gives the list of shops as it is now."""
        self.currency = settings.currency
        self._database = database
        self._log = log
        self.calendar = Calendar(settings, clock)
        self._summary = Summary(self.calendar, self.currency)
        self._ticker = Ticker(self.calendar, self.currency)
        self._snapshot = Snapshot(self.calendar, self._summary, log, self.currency)
        self._overview = Overview(settings, self.calendar, self._snapshot, shops)
        self._figures = Figures(database, catalogue, self.calendar, self.currency, shops)
        originals = Originals(log, formats)
        self._receipts = Receipts(database, log, self.calendar, settings, shops, originals)
        self._stores = Stores(database, shops)
        self._quarantine = Quarantine(database, log, originals)

    def local_now(self) -> datetime:
        """Wall-clock time in the chain's zone, without the zone."""
        return self.calendar.local_now()

    def today(self) -> date:
        """The business day that it is now in the chain's zone."""
        return self.calendar.today()

    def summary(self, day: str | date | None = None, reader: Reader | None = None) -> Row:
        """The day's figures, as `reader` sees them or else as of the last commit; without a day: today's."""
        asked = self._day(day)
        if reader is not None:
            return self._summary.read(reader, asked)
        with self._database.snapshot() as latest:
            return self._summary.read(latest, asked)

    def snapshot(self, day: str | date | None = None) -> Row:
        """All that the page shows of a day: figures, minutes, categories, other days, age.

        `minutes` holds parallel lists; `offset` counts wall-clock minutes from `start`, as does `now`.
        """
        asked = self._day(day)
        with self._database.snapshot() as reader:
            return self._snapshot.read(reader, asked)

    def ticker(self) -> Running:
        """Today's running sums, as the exchanges of the seed have them."""
        with self._database.snapshot() as reader:
            return self._ticker.read(reader, self.today())

    def overview(self, query: Mapping[str, str] | None = None) -> Row:
        """All that the dashboard shows of a scope and a span beside the days compared with, of one commit.

        The query has `day`, or `from` and `to`; `vs`, the first day to compare with; and one of `region`,
        `store` (and `till`), `category`, `product`. Without any of them: the chain's today.
        """
        with self._database.snapshot() as reader:
            return self._overview.read(reader, query or {})

    def other_days(self) -> list[Row]:
        """How many receipts arrived today whose business day is another, by that day, the newest first.

        Those of a simulated clock stay out: their days are invented.
        """
        with self._database.snapshot() as reader:
            return self._snapshot.other_days(reader)

    def catalogue(self) -> list[Row]:
        """Every metric, described: its keys, its measures and what each of them is."""
        return self._figures.described()

    def metric(self, name: str, filters: Mapping[str, str] | None = None) -> Row:
        """The rows of one metric of one day; any key column of it may be a filter. Without a day: today."""
        return self._figures.rows(name, filters)

    def receipts(self, filters: Mapping[str, str] | None = None) -> Row:
        """Receipts, the newest first, and under `next` the cursor of the following ones (None: no more).

        Filters: day, store, till, receipt, from, to (the till's clock), min, max (gross), anomaly
        (a name, or `any`), arrived (on this business day, for another one), cursor, limit.
        """
        return self._receipts.page(filters)

    def receipt(self, key: str) -> Row | None:
        """One receipt with its lines, settlements and original (persons masked); None: there is none."""
        return self._receipts.one(key)

    def anomalies(self, filters: Mapping[str, str] | None = None) -> Row:
        """Receipts that something is odd about, as `receipts`, each with its evidence.

        Filters: those of receipts, but `kind` (a name) in place of `anomaly`.
        """
        return self._receipts.odd(filters)

    def anomaly_counts(self, day: str | date | None = None) -> Row:
        """How many receipts of a day have each anomaly, the most first; without a day: today's."""
        return self._receipts.anomaly_counts(self._day(day))

    def stores(self) -> list[Row]:
        """The shops of the list, then those that sold without being in it, each with all that is known of it."""
        return self._stores.all()

    def quarantine(self, filters: Mapping[str, str] | None = None) -> Row:
        """What was refused, unreadable or in conflict, the newest first.

        Filters: day, kind, source, reason (a group, or a text in a path or an error), settled (1: what was replayed or
        discarded; without it: what waits), cursor, limit.
        """
        return self._quarantine.page(filters)

    def quarantined(self, entry: str) -> Row | None:
        """One entry of the quarantine by its id, with the original; None: there is none."""
        return self._quarantine.one(entry)

    def quarantine_counts(self, day: str | date | None = None) -> Row:
        """A day's entries by kind, reason and source, the most first, and what became of them; without a day: today."""
        return self._quarantine.counts(self._day(day))

    def quarantine_totals(self) -> Row:
        """The entries of all days by reason and by source, and how many wait."""
        return self._quarantine.totals()

    def faults(self) -> list[Row]:
        """Records of the log that were damaged when the engine came to them."""
        return self._quarantine.faults()

    def lag(self) -> int:
        """Records that are acknowledged but not yet in these figures."""
        return self._log.lag()

    def _day(self, day: str | date | None) -> date:
        if day is None:
            return self.today()
        return parse_day(day) if isinstance(day, str) else day
