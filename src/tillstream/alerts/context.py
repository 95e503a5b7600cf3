"""What the alerts are judged by: the chain's day so far, beside what is usual, at one moment and of one commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tillstream.alerts.baseline import Baseline, Baselines
from tillstream.clock import utc
from tillstream.config.settings import Settings
from tillstream.database.base import Reader, Row
from tillstream.log.base import PARTITION_SHIFT
from tillstream.metrics.folding import metric_table
from tillstream.receipt.business_day import BusinessDays
from tillstream.stores.model import Store, StoreList

HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Sold:
    """What one shop sold today so far. Times are UTC; `recent` and `anomalies` are of the last hour."""

    receipts: int = 0
    refunds: int = 0
    recent: int = 0
    anomalies: int = 0
    last: datetime = datetime.min  # noqa: DTZ901 - before any other
    tills: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """A time zone at the moment: wall-clock time, business day, what is usual on it.

    `revenue` is that of each shop up to the last full hour; `hours` says how many these are.
    """

    zone: ZoneInfo
    local: datetime
    day: date
    usual: Baseline
    hours: int
    revenue: dict[str, Decimal]

    def utc(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None)

    def at(self, instant: datetime) -> datetime:
        """The wall-clock time at a UTC time."""
        return instant.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None)


@dataclass(slots=True)
class AlertContext:
    """All that the conditions ask. `moment` (UTC) is the time up to which the figures know of what was sold."""

    moment: datetime
    settings: Settings
    shops: StoreList
    reader: Reader
    places: dict[str, Place]
    sold: dict[str, Sold]
    products: dict[str, datetime]

    def place(self, store: str) -> Place:
        """Where the shop stands."""
        return self.places[zone_of(self.settings, self.shops.get(store))]

    @property
    def chain(self) -> Place:
        """The chain's own zone."""
        return self.places[self.settings.zone]

    def known(self) -> set[str]:
        """Every shop that sold today or usually does."""
        return set(self.sold).union(*(place.usual.shops for place in self.places.values()))

    def receipts_since(self, local: datetime) -> int:
        """How many receipts the whole chain printed from a minute of today on."""
        [row] = self.reader.query(
            f"SELECT coalesce(sum(receipts), 0) AS receipts FROM {metric_table('sales_by_minute')} "
            "WHERE day = ? AND minute >= ?",
            [self.chain.day, local],
        )
        return int(row["receipts"])


def zone_of(settings: Settings, shop: Store) -> str:
    """The name of the zone that a shop stands in: by the settings, by the list, or the chain's."""
    return settings.store_zones.get(shop.id) or shop.zone or settings.zone


class AlertContexts:
    """Reads scenes; what is usual is kept in between."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._days = BusinessDays(settings)
        self._usual = Baselines(self._days.first_hour)

    def read(self, reader: Reader, moment_us: int, shops: StoreList) -> AlertContext:
        """The scene at a moment, as this reader sees it."""
        moment = utc(moment_us).replace(tzinfo=None)
        names = {zone_of(self._settings, shop) for shop in shops.by_id.values()}
        names |= {self._settings.zone, *self._settings.store_zones.values()}
        places = {name: self._place(reader, ZoneInfo(name), moment) for name in names}
        scene = AlertContext(moment, self._settings, shops, reader, places, {}, {})
        self._read_sold(scene)
        if self._settings.alert_silent_product_minutes:
            scene.products = _products(reader, scene.chain.day)
        return scene

    def _place(self, reader: Reader, zone: ZoneInfo, moment: datetime) -> Place:
        local = moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
        day = self._days.day_of(local)
        hours = (local.hour - self._days.first_hour) % 24
        rows = reader.query(
            f"SELECT store, sum(revenue) AS revenue FROM {metric_table('sales_by_store_and_hour')} "
            "WHERE day = ? AND (hour - ? + 24) % 24 < ? GROUP BY store",
            [day, self._days.first_hour, hours],
        )
        usual = self._usual.of(reader, day)
        return Place(zone, local, day, usual, hours, {row["store"]: row["revenue"] for row in rows})

    def _read_sold(self, scene: AlertContext) -> None:
        """By the stored receipts: when one came is what no till's wrong clock can hide."""
        days = {place.day for place in scene.places.values()}
        for row in _tills(scene.reader, days, scene.moment - HOUR):
            place = scene.place(row["store"])
            if row["day"] != place.day:
                continue
            sold = scene.sold.setdefault(row["store"], Sold())
            sold.receipts += row["receipts"]
            sold.refunds += row["refunds"]
            sold.recent += row["recent"]
            sold.anomalies += int(row["anomalies"])
            sold.last = max(sold.last, row["last"])
            sold.tills[row["till"]] = row["last"]


def _tills(reader: Reader, days: Iterable[date], recent: datetime) -> list[Row]:
    asked = sorted(days)
    return reader.query(
        f"""SELECT day, store, till, max(received_at) AS last, count(*) AS receipts,
            count(*) FILTER (WHERE gross < 0) AS refunds, count(*) FILTER (WHERE received_at > ?) AS recent,
            coalesce(sum(anomalous) FILTER (WHERE received_at > ?), 0) AS anomalies
        FROM receipts WHERE day IN ({", ".join("?" for _ in asked)}) GROUP BY day, store, till""",
        [recent, recent, *asked],
    )


def _products(reader: Reader, day: date) -> dict[str, datetime]:
    """When the last receipt with each product came. Lines don't know it, but places ascend in each partition."""
    rows = reader.query(
        f"""WITH newest AS (
            SELECT product, max(place) AS place FROM lines WHERE day = ? GROUP BY product, place >> {PARTITION_SHIFT})
        SELECT product, max(received_at) AS last FROM newest JOIN receipts USING (place) WHERE day = ? GROUP BY product""",
        [day, day],
    )
    return {row["product"]: row["last"] for row in rows}
