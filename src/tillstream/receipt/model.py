"""The canonical receipt: its types, its key, and the head that travels beside it in the log."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct

NO_TERMINAL = "-"
"""The terminal of a receipt that names none."""

PERSONAL = ("customerID", "agentID")
"""Fields that tell who bought and who sold."""

UNALLOCATED = "(unallocated)"
"""Category, product and rate of what a receipt's lines don't cover of its total."""

UNNAMED = "(none)"
"""Category, product, rate or payment mechanism that a till left out."""

HEAD_COLUMNS = (
    "kind",  # `receipt` or `refusal`
    "key",  # 32 hexadecimal digits; empty for a refusal
    "received_us",  # microseconds since the epoch
    "day",  # business day, YYYY-MM-DD; of a refusal the day it was received in the chain's zone
    "date",  # store-local YYYY-MM-DD HH:MM:SS; empty for a refusal
    "store",
    "terminal",
    "receipt",
    "source",  # format/entrance, e.g. json/http
    "notes",  # what ingest flagged, comma-separated; for a refusal its faults as JSON
)
RECEIPT = "receipt"
REFUSAL = "refusal"
REPLAY = "replay"
"""Part of the source of receipts that come out of the quarantine."""

SIMULATED = "simulated"
"""Last part of the source of receipts with an invented clock: delays and clock anomalies leave them out."""

Text = str | int | None
"""A text or an id as tills write it: with quotes or, where it is a whole number, without."""


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
    """One payment: `paymentMechanism` as the till calls it."""

    settlementAmount: Decimal
    paymentMechanism: Text = None


class Receipt(Struct, gc=False):
    """The known fields of a receipt as the seed's JSON names them; others stay in the body only."""

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
    """Why something is no receipt: a JSON path, the reason, and what would be right."""

    path: str
    error: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "error": self.error, "hint": self.hint}


def receipt_key(store: str, terminal: str, receipt: str, date: str) -> str:
    """BLAKE2b-128 over the four strings, each behind its length in characters and a colon.

    `date` is store-local, `YYYY-MM-DD HH:MM:SS`. 32 hexadecimal digits.
    """
    text = f"{len(store)}:{store}{len(terminal)}:{terminal}{len(receipt)}:{receipt}{len(date)}:{date}"
    return blake2b(text.encode(), digest_size=16).hexdigest()
