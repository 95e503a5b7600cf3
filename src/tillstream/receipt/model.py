"""The canonical receipt: its types, its key, and the columns of its head in the log."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct

NO_TERMINAL = "-"
"""Terminal of a receipt without a terminal."""

PERSONAL = ("customerID", "agentID")
"""Fields that identify the customer and the cashier."""

UNALLOCATED = "(unallocated)"
"""Category, product and rate of the part of a total that the lines do not cover."""

UNNAMED = "(none)"
"""Category, product, rate or payment mechanism where a till left it out."""

HEAD_COLUMNS = (
    "kind",  # `receipt` or `refusal`
    "key",  # 32 hexadecimal digits; empty for a refusal
    "received_us",  # microseconds since the epoch
    "day",  # business day, YYYY-MM-DD; for a refusal, the day of receipt in the chain's zone
    "date",  # local time of the store, YYYY-MM-DD HH:MM:SS; empty for a refusal
    "store",
    "terminal",
    "receipt",
    "source",  # format and entry point, for example json/http
    "notes",  # flags set by ingest, comma-separated; for a refusal, its faults as JSON
)
RECEIPT = "receipt"
REFUSAL = "refusal"
REPLAY = "replay"
"""Part of the source of receipts that were replayed from quarantine."""

SIMULATED = "simulated"
"""Last part of the source of receipts with a simulated clock. Delays and clock anomalies exclude them."""

Text = str | int | None
"""A text or an id. Tills may write it as a JSON string or as an integer."""


class Line(Struct, gc=False):
    """One line of a receipt. `settlementAmount` is gross, `creditAmount` net; returns are negative."""

    lineNumber: Text = None
    productCode: Text = None
    productDescription: Text = None
    productCategoryCode: Text = None
    productCategoryName: Text = None
    quantity: Decimal | None = None
    unitOfMeasure: Text = None
    unitPrice: Decimal | None = None
    creditAmount: Decimal | None = None
    taxPercentage: Decimal | None = None
    settlementAmount: Decimal | None = None


class DocumentTotal(Struct, gc=False):
    """The receipt's totals, in the chain's currency."""

    grossTotal: Decimal
    netTotal: Decimal | None = None
    taxPayable: Decimal | None = None


class Settlement(Struct, gc=False):
    """One payment. `paymentMechanism` is the till's own name for it."""

    settlementAmount: Decimal
    paymentMechanism: Text = None


class Receipt(Struct, gc=False):
    """The known fields of a receipt, with their JSON names. Other fields stay in the body only."""

    cashReceiptID: str | int
    storeID: str | int
    date: str
    documentTotal: DocumentTotal
    terminalID: Text = None
    agentID: Text = None
    customerID: Text = None
    currency: str | None = None
    lines: list[Line] | None = None
    settlements: list[Settlement] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Reason why bytes are not a valid receipt: a JSON path, the error, and a hint to fix it."""

    path: str
    error: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "error": self.error, "hint": self.hint}


def receipt_key(store: str, terminal: str, receipt: str, date: str) -> str:
    """Identity of a receipt, 32 hexadecimal digits. `date` is local time, `YYYY-MM-DD HH:MM:SS`.

    It is BLAKE2b-128 over the four strings, each after its length in characters and a colon.
    """
    text = f"{len(store)}:{store}{len(terminal)}:{terminal}{len(receipt)}:{receipt}{len(date)}:{date}"
    return blake2b(text.encode(), digest_size=16).hexdigest()
