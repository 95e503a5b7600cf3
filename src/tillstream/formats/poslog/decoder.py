"""ARTS POSLog, the XML transaction log of tills. Sales become receipts, and other transactions are skipped.

The names and their meanings are those of NRF ARTS POSLog 2 to 6 and IXRetail, published by the Object Management Group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, DecodeError, Decoder, Record, Skip, Unreadable
from tillstream.formats.canonical import encode, local_date, unit, without_gaps
from tillstream.formats.poslog.discounts_and_taxes import is_true
from tillstream.formats.poslog.sale import Sale
from tillstream.formats.xml_records import Root, XmlRecord, XmlRecordReader, child_text, element_text, root_of
from tillstream.receipt.model import PERSONAL

RECORD = "Transaction"
_NAMESPACE = re.compile(r"https?://www\.nrf-arts\.org/IXRetail\b", re.IGNORECASE)

_SALE = "RetailTransaction"
_OTHER = "other transaction"
_KINDS = frozenset(
    f"{kind}Transaction"
    for kind in ("Control", "TenderControl", "InventoryControl", "CustomerOrder", "ForeCourt", "Layaway")
)
"""A transaction that has one of these elements instead of a sale is skipped and counted by the name of the element.

All other transactions that are not sales are skipped and counted as `other transaction`.
"""

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
    **dict.fromkeys(("void", "voided", "postvoided"), _VOIDED),
    **dict.fromkeys(("cancel", "canceled", "cancelled", "failed"), _CANCELLED),
    **dict.fromkeys(("suspended", "suspendeddeleted", "suspendedretrieved"), _SUSPENDED),
    "training": _TRAINING,
}

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d|T.*)?", re.ASCII | re.DOTALL)
_LOCAL_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d*)?", re.ASCII)


def is_poslog(root: Root) -> bool:
    """Whether a document with this root element is a POSLog."""
    return root.name in ("POSLog", RECORD) or bool(_NAMESPACE.match(root.namespace))


class PoslogDecoder(Decoder):
    """The format with a `Transaction` element for each transaction. These elements may be at any depth."""

    name = "poslog"
    title = "ARTS POSLog"
    help = (
        "The NRF's XML transaction log of tills, versions 2 to 6. A `RetailTransaction` is a receipt with its `Sale` "
        "and `Return` lines, rewards, discounts, tenders and totals. The receipt number is the `BusinessDayDate` with "
        "the `SequenceNumber`. A tax on the total is split among the lines. Other transactions, such as a sign-on, are "
        "skipped and counted. Voided, cancelled, suspended and training transactions are skipped, too. Elements of "
        "other namespaces are extensions of a vendor. They are ignored, except the rewards of NCR. The encoding is "
        "UTF-8, or an eight-bit encoding that the XML declaration names. A document with a DTD is rejected."
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
    <RetailStoreID>12</RetailStoreID><WorkstationID>2</WorkstationID><SequenceNumber>1047</SequenceNumber>
    <BusinessDayDate>2026-11-23</BusinessDayDate><EndDateTime>2026-11-23T10:15:00</EndDateTime>
    <RetailTransaction>
      <LineItem>
        <SequenceNumber>1</SequenceNumber>
        <Sale>
          <ItemID>0102</ItemID><MerchandiseHierarchy Level="Department">Pain</MerchandiseHierarchy>
          <Description>Baguette</Description><RegularSalesUnitPrice>1.14</RegularSalesUnitPrice>
          <ExtendedAmount>2.28</ExtendedAmount><Quantity>2</Quantity>
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
      <Total TotalType="TransactionGrandAmount">2.40</Total><Total TotalType="TransactionTaxAmount">0.12</Total>
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
        """Decode the transactions of a document. The caller must have called `reader.root()`."""
        found = False
        for record in reader.records(RECORD):
            found = True
            yield self._decode_record(record) if isinstance(record, XmlRecord) else record
        if not found:
            yield reader.fault(f"there is no receipt in it: no <{RECORD}>", "send a POSLog document")

    def _decode_record(self, record: XmlRecord) -> Decoded:
        try:
            return self._decode_transaction(record)
        except DecodeError as error:
            return Unreadable(error.faults, record.original, record.where)

    def _decode_transaction(self, record: XmlRecord) -> Decoded:
        """Decode a transaction. Raises `DecodeError` if one of its amounts is invalid."""
        transaction = record.element
        _remove_namespace(transaction)
        retail = transaction.find(_SALE)
        if retail is None:
            kinds = [child.tag.rpartition("}")[2] for child in transaction if child.tag.endswith(RECORD)]
            if kinds:
                return Skip(kinds[0] if kinds[0] in _KINDS else _OTHER)
            hint = "a transaction needs a RetailTransaction or another kind of transaction"
            return record.fault("it is missing", hint, f"$.{_SALE}")
        if status := _status(transaction.attrib) or _status(retail.attrib):
            return Skip(status)
        sale = Sale(retail)
        day = _business_day(transaction.find("BusinessDayDate"))
        body = self._header(transaction, sale, day) | sale.receipt_parts(self._minor_unit)
        return Record(encode(body), record.original, day)

    def _header(self, transaction: Element, sale: Sale, day: str) -> dict[str, Any]:
        """Return the fields of the receipt itself: its number, store, till, cashier, date and currency."""
        # In version 6, the store is in `BusinessUnit/UnitID`.
        store = _first_text(transaction, ("RetailStoreID", "BusinessUnit/UnitID", "BusinessUnit"))
        number = _first_text(transaction, ("SequenceNumber", "TransactionID"))
        header = {
            "cashReceiptID": f"{day}-{number}" if day and number else number,
            "storeID": store,
            "terminalID": child_text(transaction, "WorkstationID"),
            "agentID": child_text(transaction, "OperatorID"),
            "date": self._date(transaction, sale.receipt_date_time, store),
            "currency": child_text(transaction, "CurrencyCode") or sale.currency,
        }
        return without_gaps(header)

    def _date(self, transaction: Element, receipt_date_time: str, store: str) -> str:
        """Return the time of the sale in the local time of the store.

        If `receipt_date_time` is empty, another time of the transaction is used. A text that is not a time is returned
        unchanged, because validation reports it.
        """
        names = ("ReceiptDateTime", "EndDateTime", "POSLogDateTime", "BeginDateTime")
        text = receipt_date_time or _first_text(transaction, names)
        if local := _LOCAL_DATE_TIME.fullmatch(text):
            return f"{local[1]} {local[2]}"
        try:
            moment = datetime.fromisoformat(text)
            return local_date(self.settings, store, moment) if moment.tzinfo else text
        except (ValueError, OverflowError):
            return text


def _first_text(transaction: Element, paths: Sequence[str]) -> str:
    """Return the first text that is found at one of the paths, or an empty text."""
    return next(filter(None, (child_text(transaction, path) for path in paths)), "")


def _remove_namespace(transaction: Element) -> None:
    """Remove the namespace of a transaction from its tags. All tags outside this namespace then start with `{`."""
    namespace = transaction.tag.removesuffix(RECORD)
    if namespace:
        for element in transaction.iter():
            is_standard = element.tag.startswith(namespace)
            element.tag = element.tag.removeprefix(namespace) if is_standard else f"{{}}{element.tag}"


def _business_day(element: Element | None) -> str:
    """Return the business day, YYYY-MM-DD, or an empty text if there is none.

    A time or time zone after the date is cut off. The date may be in the first child of the element.
    """
    if element is None:
        return ""
    text = element_text(element) or element_text(next(iter(element), None))
    day = _DATE.fullmatch(text)
    return day[1] if day else ""


def _status(attributes: Mapping[str, str]) -> str:
    """Return the reason why a sale does not count, such as `voided transaction`, or an empty text if it counts."""
    for name, value in attributes.items():
        if name in _FLAGS and is_true(value):
            return _FLAGS[name]
        if name == "TransactionStatus" and (status := _STATUSES.get(value.strip().lower())):
            return status
    return ""
