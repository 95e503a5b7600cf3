"""The canonical receipt: its fields, its key, its faults, and the columns that describe it in the log."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct

NO_TERMINAL = "-"
"""The terminal id that is used for receipts without a terminal."""

PERSONAL = ("customerID", "agentID")
"""Names of the fields that identify the customer and the cashier."""

UNALLOCATED = "(unallocated)"
"""If the lines of a receipt do not add up to its total, the difference gets a row of its own in the table `lines`.

That row has this text as its category, product, description and VAT rate.
"""

UNNAMED = "(none)"
"""The value that replaces a missing category, product, VAT rate or payment mechanism."""

HEAD_COLUMNS = (
    "kind",  # `receipt`, or `refusal` for rejected bytes
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
"""The columns of a head, the line that describes a log record. Tabs separate columns, and a newline ends the head."""

RECEIPT = "receipt"
REFUSAL = "refusal"
"""The kind of a log record that contains rejected bytes instead of a receipt."""

REPLAY = "replay"
"""Marks receipts that were replayed from quarantine: the second part of their source, as in `json/replay`."""

SIMULATED = "simulated"
"""Marks receipts whose dates are simulated: the last part of their source, as in `json/http/simulated`.

Their delays and clock anomalies are not computed.
"""

Text = str | int | None
"""A text or an id. A till may write it as a JSON string or as an integer."""


class Line(Struct, gc=False, omit_defaults=True):
    """One line of a receipt. `settlementAmount` is gross and `creditAmount` is net.

    Returned goods have negative amounts.
    """

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
    """The fields that tillstream reads from a receipt. Each attribute has the name of its JSON field."""

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
    """A reason why bytes are not a valid receipt. `path` is a JSON path, and `hint` suggests a correction."""

    path: str
    error: str
    hint: str = ""


def receipt_key(store: str, terminal: str, receipt: str, date: str) -> str:
    """Return the key of a receipt as 32 hexadecimal digits. `date` is the local time of sale, YYYY-MM-DD HH:MM:SS.

    The key is the BLAKE2b-128 hash of the four strings, each after its length and a colon, as in `3:abc`.
    """
    text = f"{len(store)}:{store}{len(terminal)}:{terminal}{len(receipt)}:{receipt}{len(date)}:{date}"
    return blake2b(text.encode(), digest_size=16).hexdigest()
