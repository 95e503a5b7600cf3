"""The types of the overview and of its panels, as the API returns them."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from tillstream.queries.serialization import Amount, Change, Day, Instant, LocalTime, ReceiptKey
from tillstream.queries.summary import OtherDay, Percentiles


class Parent(Struct, frozen=True):
    """A part of the chain that contains the scope. Its id is in the field that `kind` names."""

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
    """The earlier days of the comparison. If `until` is set, only sales before this local time of the last day count."""

    from_: Day = field(name="from")
    to: Day
    until: str | None
    empty: bool


class AmountTile(Struct, frozen=True):
    """An amount, the same amount on the earlier days, and the change."""

    value: Amount
    before: Amount | None
    change: Change | None


class RatioTile(Struct, frozen=True):
    """A figure per receipt, the same figure on the earlier days, and the change. It is null without receipts."""

    value: Amount | None
    before: Amount | None
    change: Change | None


class CountTile(Struct, frozen=True):
    """A count, the same count on the earlier days, and the change."""

    value: int
    before: int | None
    change: Change | None


class RefundsTile(AmountTile, frozen=True):
    """The sum and the number of the refunds."""

    count: int


class RateTile(Struct, frozen=True):
    """The number of receipts in the last 60 seconds, and in each of the last complete minutes."""

    value: int | None
    trend: list[int]


class ShopsTile(Struct, frozen=True):
    """The number of shops with sales, of known shops and of silent shops."""

    value: int
    known: int
    silent: int | None


class TillsTile(Struct, frozen=True):
    """The number of tills with sales and of known tills."""

    value: int
    known: int


class Tiles(Struct, frozen=True):
    """The key figures. For a category or a product, only the first five are known."""

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
    """Sales per unit of time in parallel lists. `offset` counts units from the start of the period."""

    offset: list[int]
    revenue: list[Amount]
    receipts: list[int] | None


class Pace(Struct, frozen=True):
    """Sales per unit of time in parallel lists. `offset`, `now` and `end` count units from `start`."""

    unit: Literal["minute", "hour", "day"]
    start: LocalTime
    now: int | None
    end: int
    offset: list[int]
    revenue: list[Amount]
    receipts: list[int] | None
    before: Course


class CategorySales(Struct, frozen=True):
    """The sales of a category, and its revenue on the earlier days."""

    category: str
    quantity: int
    revenue: Amount
    before: Amount | None
    change: Change | None


class CategoryHours(Struct, frozen=True):
    """The revenue of a category in each hour. It is null in an hour without sales."""

    category: str
    revenue: list[Amount | None]


class Hours(Struct, frozen=True):
    """The revenue of the largest categories in each hour from the first to the last sale."""

    hours: list[int]
    rows: list[CategoryHours]


class Payment(Struct, frozen=True):
    """The payments by one mechanism, and their share of all payments in percent."""

    mechanism: str
    revenue: Amount
    settlements: int
    share: Amount | None


class VatRate(Struct, frozen=True):
    """The sales at one VAT rate."""

    rate: str
    revenue: Amount
    net: Amount
    tax: Amount


class ProductSales(Struct, frozen=True):
    """The sales of a product, and its revenue on the earlier days."""

    product: str
    description: str
    quantity: int
    revenue: Amount
    before: Amount | None
    change: Change | None


class Products(Struct, frozen=True):
    """The products with the highest revenue, and the products that lost the most revenue."""

    top: list[ProductSales]
    sinking: list[ProductSales]


class ShopSales(Struct, frozen=True):
    """The revenue of a shop, its revenue on the earlier days, and its revenue in each hour."""

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
    """The sales of a till, and the local time of its last sale."""

    till: str
    revenue: Amount
    receipts: int
    last: LocalTime


class LatestReceipt(Struct, frozen=True):
    """One of the latest receipts. `what` describes its first lines."""

    key: ReceiptKey
    store: str
    title: str
    till: str
    sold: LocalTime
    gross: Amount
    what: str
    anomalous: bool


class Waiting(Struct, frozen=True):
    """The number of quarantine entries without a decision."""

    conflicts: int
    quarantined: int


class Counters(Struct, frozen=True):
    """The number of records that are anomalous or not sales. For a part of the chain, only `anomalies` is known."""

    duplicates: int | None
    conflicts: int | None
    quarantined: int | None
    waiting: Waiting | None
    anomalies: int | None


class Overview(Struct, frozen=True):
    """All figures of a part of the chain on some days, from one commit."""

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
