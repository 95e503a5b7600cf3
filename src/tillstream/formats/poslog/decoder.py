"""ARTS POSLog, the XML transaction log of tills: sales become receipts, other transactions are skipped.

Source of the names and their meaning: NRF ARTS POSLog 2 to 6 and IXRetail, published by the Object Management Group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import BinaryIO
from xml.etree.ElementTree import Element

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable
from tillstream.formats.canonical import encode, local_date, unit, without_gaps
from tillstream.formats.poslog.retail_transaction import STANDARD_NAMES, BadAmount, RetailTransaction
from tillstream.formats.xml_stream.records import Root, XmlRecord, XmlRecordReader, element_text, root_of
from tillstream.receipt.model import PERSONAL, Fault

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
"""Kinds of transactions that are not sales. All others are counted as `other transaction`."""

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

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d|T.*)?", re.ASCII | re.DOTALL)
_LOCAL_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d*)?", re.ASCII)


def is_poslog(root: Root) -> bool:
    return root.name in ("POSLog", RECORD) or bool(_NAMESPACE.match(root.namespace))


class PoslogDecoder(Decoder):
    """Decoder of every `Transaction` in a document, at any depth. The root is `POSLog`, often with batches inside."""

    name = "poslog"
    title = "ARTS POSLog"
    help = (
        "The NRF's XML transaction log of tills, versions 2 to 6. A `RetailTransaction` is a receipt with its `Sale` "
        "and `Return` lines, itemised rewards and discounts, tenders and totals. The receipt number is the "
        "`BusinessDayDate` with the `SequenceNumber`. A tax of the whole receipt is split among its lines. Other "
        "transactions, such as a sign-on, are skipped and counted, and so are voided, cancelled, suspended and "
        "training transactions. Elements of other namespaces are vendor extensions and ignored, except the rewards of "
        "NCR. The encoding is UTF-8, or an eight-bit encoding that the XML declaration names. A DTD is refused."
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
        self._minor_unit = unit(settings.currency)

    def recognises(self, head: bytes) -> bool:
        return is_poslog(root_of(head))

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        reader = XmlRecordReader(source, self.settings.receipt_limit_bytes)
        root = reader.root()
        if isinstance(root, Unreadable):
            yield root
        else:
            yield from self.decode_records(reader)

    def decode_records(self, reader: XmlRecordReader) -> Iterator[Decoded]:
        """Decode the transactions of a document whose root has been read."""
        found = False
        for record in reader.records(RECORD):
            found = True
            yield self._decode_record(record) if isinstance(record, XmlRecord) else record
        if not found:
            yield reader.fault(f"there is no receipt in it: no <{RECORD}>", "send a POSLog document")

    def _decode_record(self, record: XmlRecord) -> Decoded:
        element = record.parse()
        if isinstance(element, Unreadable):
            return element
        try:
            return self._decode_transaction(element, record)
        except BadAmount as error:
            problem = f"expected a number, got {error.text[:60]!r}"
            return record.fault(Fault(f"$.{error.name}", problem, "write amounts with a decimal point"))

    def _decode_transaction(self, transaction: Element, record: XmlRecord) -> Decoded:
        """Raises `BadAmount`."""
        names = _standard_names(transaction.tag.removesuffix(RECORD))
        children: dict[str, Element] = {}
        kind = ""
        # The first of several children with one name is kept: later ones are narrower or in other languages.
        for child in transaction[::-1]:
            if name := names.get(child.tag):
                children[name] = child
            elif child.tag.endswith(RECORD):
                kind = child.tag.rpartition("}")[2]
        retail = children.get(_SALE)
        if retail is None:
            if kind:
                return Skip(kind if kind in _KINDS else _OTHER)
            hint = "a transaction needs a RetailTransaction or another kind of transaction"
            return record.fault(Fault(f"$.{_SALE}", "it is missing", hint))
        if status := _status(transaction.attrib) or _status(retail.attrib):
            return Skip(status)
        sale = RetailTransaction(retail, names)
        day = _business_day(children.get("BusinessDayDate"))
        header = self._header(children, names, sale, day)
        return Record(encode({**header, **sale.receipt_parts(self._minor_unit)}), record.original, day)

    def _header(
        self, children: Mapping[str, Element], names: Mapping[str, str], sale: RetailTransaction, day: str
    ) -> dict[str, str]:
        """The fields of the canonical receipt that identify it."""
        store = element_text(children.get("RetailStoreID")) or _unit_id(children.get("BusinessUnit"), names)
        number = element_text(children.get("SequenceNumber")) or element_text(children.get("TransactionID"))
        header = {
            "cashReceiptID": f"{day}-{number}" if day and number else number,
            "storeID": store,
            "terminalID": element_text(children.get("WorkstationID")),
            "agentID": element_text(children.get("OperatorID")),
            "date": self._date(children, sale.receipt_date_time, store),
            "currency": element_text(children.get("CurrencyCode")) or sale.currency,
        }
        return without_gaps(header)

    def _date(self, children: Mapping[str, Element], receipt_date_time: str, store: str) -> str:
        """Local time of the receipt: its ReceiptDateTime, or else the closest time that the transaction has."""
        text = receipt_date_time
        for name in ("ReceiptDateTime", "EndDateTime", "POSLogDateTime", "BeginDateTime"):
            text = text or element_text(children.get(name))
        if local := _LOCAL_DATE_TIME.fullmatch(text):
            return f"{local[1]} {local[2]}"
        try:
            moment = datetime.fromisoformat(text)
            return local_date(self.settings, store, moment) if moment.tzinfo else text
        except (ValueError, OverflowError):
            return text


@lru_cache(maxsize=16)
def _standard_names(namespace: str) -> Mapping[str, str]:
    """Map the tags of a namespace to the standard's names: `{…}Sale` to `Sale`."""
    return {namespace + name: name for name in STANDARD_NAMES}


def _unit_id(business_unit: Element | None, names: Mapping[str, str]) -> str:
    """The store in version 6, which has it in `BusinessUnit/UnitID`."""
    if business_unit is None:
        return ""
    unit_ids = (child for child in business_unit if names.get(child.tag) == "UnitID")
    return element_text(next(unit_ids, business_unit))


def _business_day(element: Element | None) -> str:
    """Business day, YYYY-MM-DD. The element may have a time zone, or the date in a child."""
    if element is None:
        return ""
    text = element_text(element) or element_text(next(iter(element), None))
    day = _DATE.fullmatch(text)
    return day[1] if day else ""


def _status(attributes: Mapping[str, str]) -> str:
    """Why the till does not count a transaction, such as `voided transaction`. Empty if it counts."""
    for name, value in attributes.items():
        if name in _FLAGS and value.strip().lower() in _TRUE:
            return _FLAGS[name]
        if name == "TransactionStatus" and (status := _STATUSES.get(value.strip().lower())):
            return status
    return ""
