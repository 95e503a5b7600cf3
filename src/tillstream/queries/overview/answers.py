"""Answers of the overview: the types of its panels."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from tillstream.queries.serialization import Amount, Change, Day, Instant, LocalTime, ReceiptKey
from tillstream.queries.summary import OtherDay, Percentiles


class Parent(Struct, frozen=True):
    """A part of the chain that contains the scope; the field that `kind` names has its id."""

    kind: str
    title: str
    region: str | UnsetType = UNSET
    store: str | UnsetType = UNSET
    category: str | UnsetType = UNSET


class Scope(Struct, frozen=True):
    """The part of the chain that an overview is about."""

    kind: Literal["chain", "region", "store", "till", "category", "product"]
    region: str | None
    store: str | None
    till: str | None
    category: str | None
    product: str | None
    title: str | None
    city: str | None
    parents: list[Parent]


class Baseline(Struct, frozen=True):
    """The days compared with; `until` is the time of the tills' clocks up to which they count."""

    from_: Day = field(name="from")
    to: Day
    until: str | None
    empty: bool


class AmountTile(Struct, frozen=True):
    """An amount, and the same on the days compared with."""

    value: Amount
    before: Amount | None
    change: Change | None


class RatioTile(Struct, frozen=True):
    """A figure per receipt, null without receipts, and the same on the days compared with."""

    value: Amount | None
    before: Amount | None
    change: Change | None


class CountTile(Struct, frozen=True):
    """A count, and the same on the days compared with."""

    value: int
    before: int | None
    change: Change | None


class RefundsTile(AmountTile, frozen=True):
    """The sum of refunds and their number."""

    count: int


class RateTile(Struct, frozen=True):
    """Receipts of the last minute, and of the last complete minutes."""

    value: int | None
    trend: list[int]


class ShopsTile(Struct, frozen=True):
    """Shops that sold, shops that are known, and shops that are silent."""

    value: int
    known: int
    silent: int | None


class TillsTile(Struct, frozen=True):
    """Tills that sold, and tills that are known."""

    value: int
    known: int


class Tiles(Struct, frozen=True):
    """The figures on top of the page. Of a category or a product only the first five are known."""

    revenue: AmountTile
    net: AmountTile
    tax: AmountTile
    lines: CountTile
    quantity: CountTile
    average_ticket: RatioTile | None
    items_per_ticket: RatioTile | None
    refunds: RefundsTile | None
    receipts: CountTile | None
    receipts_per_minute: RateTile | None
    shops: ShopsTile | None
    tills: TillsTile | None
    ingest_delay_ms: Percentiles | None
    till_delay_s: Percentiles | None


class Course(Struct, frozen=True):
    """Sales per unit of time, as parallel lists."""

    offset: list[int]
    revenue: list[Amount]
    receipts: list[int] | None


class Pace(Struct, frozen=True):
    """The course of the days. `offset`, `now` and `end` count units from `start`."""

    unit: Literal["minute", "hour", "day"]
    start: LocalTime
    now: int | None
    end: int
    offset: list[int]
    revenue: list[Amount]
    receipts: list[int] | None
    before: Course


class CategorySales(Struct, frozen=True):
    """What a category sold, beside the days compared with."""

    category: str
    quantity: int
    revenue: Amount
    before: Amount | None
    change: Change | None


class CategoryHours(Struct, frozen=True):
    """A category's revenue in each hour; null where it sold nothing."""

    category: str
    revenue: list[Amount | None]


class Hours(Struct, frozen=True):
    """The hours from the first to the last sale, and the largest categories."""

    hours: list[int]
    rows: list[CategoryHours]


class Payment(Struct, frozen=True):
    """What was paid by one means, and its share in percent."""

    mechanism: str
    revenue: Amount
    settlements: int
    share: Amount | None


class VatRate(Struct, frozen=True):
    """What was sold at one VAT rate."""

    rate: str
    revenue: Amount
    net: Amount
    tax: Amount


class ProductSales(Struct, frozen=True):
    """What was sold of a product, beside the days compared with."""

    product: str
    description: str
    quantity: int
    revenue: Amount
    before: Amount | None
    change: Change | None


class Products(Struct, frozen=True):
    """The products that sell most, and those that lost most."""

    top: list[ProductSales]
    sinking: list[ProductSales]


class ShopSales(Struct, frozen=True):
    """What a shop sold, beside the days compared with, and in each hour."""

    store: str
    title: str
    revenue: Amount
    before: Amount | None
    change: Change | None
    hours: list[Amount]


class ShopRanking(Struct, frozen=True):
    """The shops with the best and the worst change."""

    best: list[ShopSales]
    worst: list[ShopSales]


class TillSales(Struct, frozen=True):
    """What a till sold, and when it sold last."""

    till: str
    revenue: Amount
    receipts: int
    last: LocalTime


class LatestReceipt(Struct, frozen=True):
    """One of the last receipts; `what` has its first lines in words."""

    key: ReceiptKey
    store: str
    title: str
    till: str
    sold: LocalTime
    gross: Amount
    what: str
    anomalous: bool


class Waiting(Struct, frozen=True):
    """Entries that wait in quarantine."""

    conflicts: int
    quarantined: int


class Counters(Struct, frozen=True):
    """What did not become a sale; all but `anomalies` are known for the whole chain only."""

    duplicates: int | None
    conflicts: int | None
    quarantined: int | None
    waiting: Waiting | None
    anomalies: int | None


class Overview(Struct, frozen=True):
    """All that the page shows of a part of the chain and some days, all of one commit."""

    scope: Scope
    from_: Day = field(name="from")
    to: Day
    live: bool
    vs: Baseline
    today: Day
    currency: str
    as_of: Instant
    lag: int
    age_ms: int
    tiles: Tiles
    pace: Pace
    categories: list[CategorySales]
    hours: Hours
    payments: list[Payment] | None
    vat: list[VatRate]
    products: Products | None
    shops: ShopRanking | None
    tills: list[TillSales] | None
    latest: list[LatestReceipt]
    counters: Counters
    other_days: list[OtherDay]
