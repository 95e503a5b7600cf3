"""The canonical receipt: its fields, its key, its faults, and the columns of its head in the log."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct

NO_TERMINAL = "-"
"""The terminal id in the head and the key of a receipt that has none."""

PERSONAL = ("customerID", "agentID")
"""Names of the fields that identify the customer and the cashier."""

UNALLOCATED = "(unallocated)"
"""The category, product and VAT rate of the part of a total that the lines do not cover."""

UNNAMED = "(none)"
"""The category, product, VAT rate or payment mechanism if the receipt has none."""

HEAD_COLUMNS = (
    "kind",  # `receipt` or `refusal`
    "key",  # 32 hexadecimal digits; empty in a refusal
    "received_us",  # time of arrival, in microseconds since the epoch
    "day",  # business day, YYYY-MM-DD; in a refusal, the day of arrival in the chain's zone
    "date",  # local time of the store, YYYY-MM-DD HH:MM:SS; empty in a refusal
    "store",
    "terminal",
    "receipt",  # receipt number
    "source",  # format and entry point, such as json/http
    "notes",  # `clock_ahead_a_day` or empty; in a refusal, its faults as JSON
)
"""The columns of a head. A head is one line with tabs between its columns."""

RECEIPT = "receipt"
REFUSAL = "refusal"
"""Kind of a record whose bytes ingest rejected."""

REPLAY = "replay"
"""The second part of the source if a receipt was replayed from quarantine."""

SIMULATED = "simulated"
"""The last part of the source if the receipt comes from the load generator. Its clock is not that of a real till."""

Text = str | int | None
"""A text or an id. A till may write it as a JSON string or as an integer."""


class Line(Struct, gc=False, omit_defaults=True):
    """One line of a receipt. `settlementAmount` is gross and `creditAmount` is net. Returns have negative amounts."""

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


class DocumentTotal(Struct, gc=False, omit_defaults=True):
    """The receipt's totals, in the chain's currency."""

    grossTotal: Decimal
    netTotal: Decimal | None = None
    taxPayable: Decimal | None = None


class Settlement(Struct, gc=False, omit_defaults=True):
    """One payment. `paymentMechanism` is the name that the till uses, such as CB."""

    settlementAmount: Decimal
    paymentMechanism: Text = None


class Receipt(Struct, gc=False, omit_defaults=True):
    """The fields of a receipt that tillstream reads, with their names in JSON."""

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
    """A reason why bytes are not a valid receipt: the JSON path of a field, the error, and a hint how to fix it."""

    path: str
    error: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return {"path": self.path, "error": self.error, "hint": self.hint}


def receipt_key(store: str, terminal: str, receipt: str, date: str) -> str:
    """Return the key that identifies a receipt, as 32 hexadecimal digits. `date` is local time, YYYY-MM-DD HH:MM:SS.

    The key is the BLAKE2b-128 hash of the four strings. Each string follows its length in characters and a colon.
    """
    text = f"{len(store)}:{store}{len(terminal)}:{terminal}{len(receipt)}:{receipt}{len(date)}:{date}"
    return blake2b(text.encode(), digest_size=16).hexdigest()
