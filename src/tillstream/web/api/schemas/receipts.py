"""Receipts and their anomalies."""

from __future__ import annotations

from msgspec import Struct

from tillstream.web.api.schemas.types import Amount, Day, EntryId, Instant, LocalTime, ReceiptKey


class Receipt(Struct, frozen=True):
    """A receipt in a list."""

    key: ReceiptKey
    day: Day
    store: str
    store_name: str
    till: str
    receipt: str
    sold_local: LocalTime
    received_at: Instant
    gross: Amount
    net: Amount
    tax: Amount
    items: int
    line_count: int
    anomalies: list[str]
    source: str


class Receipts(Struct, frozen=True):
    """One page of receipts, and the cursor of the next page."""

    currency: str
    receipts: list[Receipt]
    next: str | None


class Evidence(Struct, frozen=True):
    """An anomaly, with the figures that show it."""

    anomaly: str
    values: dict[str, str | int]


class AnomalousReceipt(Receipt, frozen=True):
    """A receipt in a list of anomalies."""

    sold_at: Instant
    evidence: list[Evidence]


class AnomalousReceipts(Struct, frozen=True):
    """One page of receipts with anomalies, and the cursor of the next page."""

    currency: str
    receipts: list[AnomalousReceipt]
    next: str | None


class AnomalyCount(Struct, frozen=True):
    """The number of receipts with one anomaly."""

    anomaly: str
    receipts: int


class AnomalyCounts(Struct, frozen=True):
    """The receipts with anomalies of one day."""

    day: Day
    receipts: int
    anomalies: list[AnomalyCount]


class Line(Struct, frozen=True):
    """A line of a receipt; line 0 has the rest that no line explains."""

    line: int
    category: str
    product: str
    description: str | None
    quantity: Amount | None
    unit_price: Amount | None
    gross: Amount
    net: Amount
    tax: Amount
    rate: str


class Settlement(Struct, frozen=True):
    """What was paid by one means."""

    mechanism: str
    amount: Amount


class ConflictReference(Struct, frozen=True):
    """A later version of the receipt, in quarantine."""

    id: EntryId
    received_at: Instant


class ReceiptDetails(Receipt, frozen=True):
    """A receipt with its lines, settlements, conflicts and original text, in which persons are masked."""

    sold_at: Instant
    step: int
    applied_at: Instant | None
    currency: str
    lines: list[Line]
    settlements: list[Settlement]
    evidence: list[Evidence]
    conflicts: list[ConflictReference]
    original: str | None
