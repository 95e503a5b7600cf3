"""The context of the alert rules: today's sales and the baselines, read for one moment from one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tillstream.alerts.baseline import HOUR, Baseline, Baselines, HourlyBaseline, StoreBaseline
from tillstream.clock import utc
from tillstream.config.settings import Settings
from tillstream.database.base import Reader
from tillstream.log.base import PARTITION_SHIFT
from tillstream.metrics.catalogue import metric_table
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList, zone_of


@dataclass(frozen=True, slots=True)
class Lag:
    """The time and the number of records by which the figures are behind ingest."""

    seconds: int = 0
    records: int = 0


class ChainSilence(NamedTuple):
    """The last period (UTC) in which the whole chain was silent.

    This period does not count as silence of a single store, till or product.
    """

    since: datetime
    until: datetime


@dataclass(slots=True)
class StoreSales:
    """The sales of one store today.

    `recent` is the number of receipts that arrived in the last hour. `anomalies` is the number of recent receipts with
    an anomaly. `last` is the time (UTC) at which the last receipt arrived, and `tills` contains this time for each
    till.
    """

    receipts: int = 0
    refunds: int = 0
    recent: int = 0
    anomalies: int = 0
    last: datetime = datetime.min  # noqa: DTZ901 - earlier than any other time
    tills: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ZoneContext:
    """The local time, the business day and its baseline in one time zone.

    `hours` is the number of full hours since the business day began. `revenue` is each store's revenue in these hours.
    """

    zone: ZoneInfo
    local: datetime
    day: date
    baseline: Baseline
    hours: int
    revenue: dict[str, Decimal]

    def utc(self, local: datetime) -> datetime:
        """Convert a local time to UTC."""
        return local.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None)

    def local_time(self, instant: datetime) -> datetime:
        """Convert a UTC time to local time."""
        return instant.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None)

    def opened(self, baseline: StoreBaseline | None) -> datetime | None:
        """Return the time (UTC) at which the current usual hours began, or None outside usual hours."""
        opened = baseline.opened(self.local) if baseline else None
        return None if opened is None else self.utc(opened)

    def expected(self, baseline: HourlyBaseline, since: datetime) -> float:
        """Return the number of receipts that the baseline expects between a UTC time of today and now."""
        return baseline.expected(self.local_time(since), self.local)


@dataclass(slots=True)
class AlertContext:
    """All data that the conditions use. It is complete up to `moment` (UTC).

    `products` contains the time of the last receipt with each product.
    """

    moment: datetime
    settings: Settings
    stores: StoreList
    reader: Reader
    zones: dict[str, ZoneContext]
    lag: Lag
    silence: ChainSilence | None
    sales: dict[str, StoreSales] = field(default_factory=dict)
    products: dict[str, datetime] = field(default_factory=dict)

    def zone(self, store: str) -> ZoneContext:
        """Return the context of a store's time zone."""
        return self.zones[zone_of(self.settings, self.stores.get(store))]

    @property
    def chain(self) -> ZoneContext:
        """The context of the chain's time zone."""
        return self.zones[self.settings.zone]

    def active_stores(self) -> set[str]:
        """Return the stores with sales today or with a baseline."""
        return set(self.sales).union(*(zone.baseline.stores for zone in self.zones.values()))

    def receipts_since(self, local: datetime) -> int:
        """Return the number of receipts of the chain since a local time of today.

        The count starts with the next full minute. For 09:00:30, for example, it starts at 09:01:00.
        """
        [row] = self.reader.query(
            f"SELECT sum(receipts) AS receipts FROM {metric_table('sales_by_minute')} WHERE day = ? AND minute >= ?",
            [self.chain.day, local],
        )
        return int(row["receipts"] or 0)


class AlertContexts:
    """Reads the context of each evaluation, and caches the baselines."""

    def __init__(self, settings: Settings, calendar: Calendar) -> None:
        self._settings = settings
        self._calendar = calendar
        self._baselines = Baselines(calendar.first_hour)

    def read(
        self, reader: Reader, moment_us: int, stores: StoreList, lag: Lag = Lag(), silence: ChainSilence | None = None
    ) -> AlertContext:
        """Return the context for a moment. `moment_us` is in microseconds since the epoch."""
        names = {zone_of(self._settings, store) for store in stores.by_id.values()}
        names |= {self._settings.zone, *self._settings.store_zones.values()}
        zones = {name: self._zone(reader, name, moment_us) for name in names}
        moment = utc(moment_us).replace(tzinfo=None)
        context = AlertContext(moment, self._settings, stores, reader, zones, lag, silence)
        _add_sales(context)
        if self._settings.alert_silent_product_minutes:
            context.products = _products(reader, context.chain.day)
        return context

    def _zone(self, reader: Reader, name: str, moment_us: int) -> ZoneContext:
        local = self._calendar.local(moment_us, name)
        day, first_hour = self._calendar.day_of(local), self._calendar.first_hour
        hours = (local.hour - first_hour) % 24
        rows = reader.query(
            f"SELECT store, sum(revenue) AS revenue FROM {metric_table('sales_by_store_and_hour')} "
            "WHERE day = ? AND (hour - ? + 24) % 24 < ? GROUP BY store",
            [day, first_hour, hours],
        )
        revenue = {row["store"]: row["revenue"] for row in rows}
        return ZoneContext(ZoneInfo(name), local, day, self._baselines.of(reader, day), hours, revenue)


def _add_sales(context: AlertContext) -> None:
    """Add today's sales of each store. The clock of a till may be wrong, so the times of arrival are used."""
    days = sorted({zone.day for zone in context.zones.values()})
    recent = context.moment - HOUR
    rows = context.reader.query(
        f"""SELECT day, store, till, max(received_at) AS last, count(*) AS receipts,
            count(*) FILTER (WHERE gross < 0) AS refunds, count(*) FILTER (WHERE received_at > ?) AS recent,
            coalesce(sum(anomalous) FILTER (WHERE received_at > ?), 0) AS anomalies
        FROM receipts WHERE day IN ({", ".join("?" for _ in days)}) GROUP BY day, store, till""",
        [recent, recent, *days],
    )
    for row in rows:
        if row["day"] != context.zone(row["store"]).day:
            continue
        sales = context.sales.setdefault(row["store"], StoreSales())
        sales.receipts += row["receipts"]
        sales.refunds += row["refunds"]
        sales.recent += row["recent"]
        sales.anomalies += int(row["anomalies"])
        sales.last = max(sales.last, row["last"])
        sales.tills[row["till"]] = row["last"]


def _products(reader: Reader, day: date) -> dict[str, datetime]:
    """Return the time of arrival of the last receipt with each product.

    Lines have no time of arrival. But in each partition of the log, the receipt that arrived last has the highest
    record id (`place`). The query therefore finds the last receipt with the product in each partition, and then the
    times of arrival of these receipts.
    """
    rows = reader.query(
        f"""WITH newest AS (
            SELECT product, max(place) AS place FROM lines WHERE day = ? GROUP BY product, place >> {PARTITION_SHIFT})
        SELECT product, max(received_at) AS last FROM newest JOIN receipts USING (place) WHERE day = ?
        GROUP BY product""",
        [day, day],
    )
    return {row["product"]: row["last"] for row in rows}
