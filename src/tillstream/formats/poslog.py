"""ARTS POSLog, the retail industry's XML for what tills log: a sale is a receipt, all else is skipped and counted.

The names and their meaning: NRF ARTS POSLog 2 to 6 and IXRetail, which the Object Management Group publishes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import BinaryIO, NamedTuple
from xml.etree.ElementTree import Element

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable
from tillstream.formats.canonical import encode, local_date, unit, without_gaps
from tillstream.formats.poslog_forms import PoslogForms
from tillstream.formats.poslog_sale import STANDARD, NoAmount, Sale
from tillstream.formats.xml_parts import Cut, Root, content, element, parsed
from tillstream.formats.xml_records import XmlRecords, root_of
from tillstream.receipt.model import PERSONAL, Fault, minor_digits

RECORD = "Transaction"
_NAMESPACE = re.compile(r"https?://www\.nrf-arts\.org/IXRetail\b", re.IGNORECASE)

_SALE = "RetailTransaction"
_OTHER = "other transaction"
_KINDS = frozenset(
    {
        "ControlTransaction",
        "TenderControlTransaction",
        "InventoryControlTransaction",
        "CustomerOrderTransaction",
        "ForeCourtTransaction",
        "LayawayTransaction",
    }
)
"""What else a transaction may be; anything that isn't listed is counted as `other transaction`."""

_VOIDED, _CANCELLED = "voided transaction", "cancelled transaction"
_SUSPENDED, _TRAINING = "suspended transaction", "training transaction"
_FLAGS = {
    "VoidFlag": _VOIDED,
    "CancelFlag": _CANCELLED,
    "DeleteFlag": _CANCELLED,
    "SuspendFlag": _SUSPENDED,
    "TrainingModeFlag": _TRAINING,
}
_STATUSES = {
    "void": _VOIDED,
    "voided": _VOIDED,
    "postvoided": _VOIDED,
    "cancel": _CANCELLED,
    "canceled": _CANCELLED,
    "cancelled": _CANCELLED,
    "failed": _CANCELLED,
    "suspended": _SUSPENDED,
    "suspendeddeleted": _SUSPENDED,
    "suspendedretrieved": _SUSPENDED,
    "training": _TRAINING,
}
_TRUE = frozenset({"true", "1"})

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d|T.*)?", re.ASCII | re.DOTALL)
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d*)?", re.ASCII)


def is_poslog(root: Root) -> bool:
    return root.name in ("POSLog", RECORD) or bool(_NAMESPACE.match(root.namespace))


class _Read(NamedTuple):
    """What a transaction says. `timed`: its date and its business day are as local ones are."""

    header: dict[str, str]
    day: str
    sale: Sale
    timed: bool


class PoslogDecoder(Decoder):
    """Every `Transaction` in a document, however deep: the root is `POSLog`, often with batches in it."""

    name = "poslog"
    title = "ARTS POSLog"
    help = (
        "The NRF's XML of what tills log, versions 2 to 6. A `RetailTransaction` is a receipt: its `Sale` and `Return` "
        "lines, rewards and discounts that are itemised, tenders and totals; the receipt's number is the "
        "`BusinessDayDate` with the `SequenceNumber`. Tax that stands on the receipt is spread over the lines. Other "
        "transactions, such as a sign-on, and those that are voided, cancelled, suspended or for training are skipped "
        "and counted. Elements of other namespaces are extensions of a vendor and mean nothing, but for the rewards of "
        "NCR. The encoding is UTF-8, or an eight-bit one that the XML declaration names. A DTD is refused."
    )
    media_types = ("application/vnd.nrf-arts.poslog+xml", "application/poslog+xml", "text/x-poslog")
    suffixes = (".poslog",)
    personal = (
        *PERSONAL,
        *("OperatorID", "OperatorName", "CashierID", "Associate", "AssociateID", "SalesAssociate", "EmployeeID"),
        *("Customer", "CustomerAccount", "CustomerAccountID", "CustomerName", "CustomerNumber", "CRMCustomVariable"),
        *("LoyaltyAccount", "LoyaltyAccountID", "LoyaltyID", "LoyaltyMembership", "MembershipID", "HouseholdID"),
        *("PrimaryAccountNumber", "AccountNumber", "CardNumber", "CardHolder", "CardHolderName", "Signature"),
    )
    example = """<POSLog xmlns="http://www.nrf-arts.org/IXRetail/namespace/">
  <Transaction>
    <RetailStoreID>12</RetailStoreID>
    <WorkstationID>2</WorkstationID>
    <SequenceNumber>1047</SequenceNumber>
    <BusinessDayDate>2026-11-23</BusinessDayDate>
    <EndDateTime>2026-11-23T10:15:00</EndDateTime>
    <RetailTransaction>
      <LineItem>
        <SequenceNumber>1</SequenceNumber>
        <Sale>
          <ItemID>0102</ItemID>
          <MerchandiseHierarchy Level="Department">Pain</MerchandiseHierarchy>
          <Description>Baguette</Description>
          <RegularSalesUnitPrice>1.14</RegularSalesUnitPrice>
          <ExtendedAmount>2.28</ExtendedAmount>
          <Quantity>2</Quantity>
        </Sale>
      </LineItem>
      <LineItem>
        <SequenceNumber>2</SequenceNumber>
        <Tender TenderType="CreditDebit" TypeCode="Sale"><Amount>2.40</Amount></Tender>
      </LineItem>
      <LineItem>
        <SequenceNumber>3</SequenceNumber>
        <Tax TaxType="VAT"><Amount>0.12</Amount><Percent>5.5</Percent></Tax>
      </LineItem>
      <Total TotalType="TransactionGrandAmount">2.40</Total>
      <Total TotalType="TransactionTaxAmount">0.12</Total>
    </RetailTransaction>
  </Transaction>
</POSLog>"""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._unit = unit(settings.currency)
        self._forms = PoslogForms(self._read_marked, minor_digits(settings.currency))

    def recognises(self, head: bytes) -> bool:
        return is_poslog(root_of(head))

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        records = XmlRecords(source, self.settings.receipt_limit_bytes)
        root = records.root()
        if isinstance(root, Unreadable):
            yield root
        else:
            yield from self.transactions(records)

    def transactions(self, records: XmlRecords) -> Iterator[Decoded]:
        """Everything in a document whose root was looked at."""
        found = False
        for cut in records.records(RECORD, self._known):
            found = True
            yield self._transaction(cut) if isinstance(cut, Cut) else cut
        if not found:
            yield records.told(f"there is no receipt in it: no <{RECORD}>", "send a POSLog document")

    def _known(self, original: bytes, before: str) -> Record | None:
        made = self._forms.read(before, original)
        return Record(made[0], original, made[1]) if made else None

    def _transaction(self, cut: Cut) -> Decoded:
        came = parsed(cut)
        if isinstance(came, Unreadable):
            return came
        text, transaction = came
        try:
            read = self._read(transaction)
            if not isinstance(read, _Read):
                return read or _no_body(cut)
            body = encode({**read.header, **read.sale.parts(self._unit)})
        except NoAmount as error:
            fault = Fault(f"$.{error.name}", f"expected a number, got {error.text[:60]!r}", "amounts have a point")
            return Unreadable([fault], cut.original, cut.where)
        self._forms.note(cut.before, text, (body, read.day))
        return Record(body, cut.original, read.day)

    def _read_marked(self, before: str, text: str) -> _Read | None:
        transaction = element(Cut(b"", 0, before, "utf-8"), text)
        try:
            read = None if isinstance(transaction, Unreadable) else self._read(transaction)
        except NoAmount:
            return None
        return read if isinstance(read, _Read) else None

    def _read(self, transaction: Element) -> _Read | Skip | None:
        """Raises `NoAmount`. None where it says nothing that it could be."""
        names = _names(transaction.tag.removesuffix(RECORD))
        found: dict[str, Element] = {}
        body = ""
        # The first of each name, so from the end: a later one has a narrower meaning, or another language.
        for child in transaction[::-1]:
            if name := names.get(child.tag):
                found[name] = child
            elif child.tag.endswith(RECORD):
                body = child.tag.rpartition("}")[2]
        retail = found.get(_SALE)
        if retail is None:
            return Skip(body if body in _KINDS else _OTHER) if body else None
        if kind := _no_sale(transaction.attrib) or _no_sale(retail.attrib):
            return Skip(kind)
        sale = Sale(retail, names)
        store = content(found.get("RetailStoreID")) or _unit_id(found.get("BusinessUnit"), names)
        day = _day(found.get("BusinessDayDate"))
        number = content(found.get("SequenceNumber")) or content(found.get("TransactionID"))
        date, local = self._date(found, sale.receipt_date_time, store)
        header = {
            "cashReceiptID": f"{day}-{number}" if day and number else number,
            "storeID": store,
            "terminalID": content(found.get("WorkstationID")),
            "agentID": content(found.get("OperatorID")),
            "date": date,
            "currency": content(found.get("CurrencyCode")) or sale.currency,
        }
        return _Read(without_gaps(header), day, sale, local and ("BusinessDayDate" not in found or bool(day)))

    def _date(self, found: Mapping[str, Element], receipt_date_time: str, store: str) -> tuple[str, bool]:
        """The store's time: ReceiptDateTime, or else what comes nearest to it; and whether it came as that."""
        text = receipt_date_time
        for name in ("ReceiptDateTime", "EndDateTime", "POSLogDateTime", "BeginDateTime"):
            text = text or content(found.get(name))
        if local := _LOCAL.fullmatch(text):
            return f"{local[1]} {local[2]}", True
        try:
            moment = datetime.fromisoformat(text)
            return (local_date(self.settings, store, moment) if moment.tzinfo else text), False
        except (ValueError, OverflowError):
            return text, False


@lru_cache(maxsize=16)
def _names(namespace: str) -> Mapping[str, str]:
    """The standard's names by the tags that they have in that namespace: `{…}Sale` is `Sale`."""
    return {namespace + name: name for name in STANDARD}


def _unit_id(business_unit: Element | None, names: Mapping[str, str]) -> str:
    """Version 6 has `BusinessUnit/UnitID` for the store."""
    if business_unit is None:
        return ""
    inner = (child for child in business_unit if names.get(child.tag) == "UnitID")
    return content(next(inner, business_unit))


def _day(business_day: Element | None) -> str:
    """YYYY-MM-DD; a date may have a zone, or stand one level deeper."""
    if business_day is None:
        return ""
    text = content(business_day) or content(next(iter(business_day), None))
    day = _DAY.fullmatch(text)
    return day[1] if day else ""


def _no_sale(attributes: Mapping[str, str]) -> str:
    """Why the till itself doesn't count a transaction: one of a few kinds; empty: it does."""
    for name, value in attributes.items():
        if name in _FLAGS and value.strip().lower() in _TRUE:
            return _FLAGS[name]
        if name == "TransactionStatus" and (kind := _STATUSES.get(value.strip().lower())):
            return kind
    return ""


def _no_body(cut: Cut) -> Unreadable:
    fault = Fault(f"$.{_SALE}", "it is missing", "a transaction has a RetailTransaction, or says what else it is")
    return Unreadable([fault], cut.original, cut.where)
