"""Encode receipts in every format, as other programs do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from benchmarks.payload import ZONE

Receipt = dict[str, Any]

COLUMNS = ("lineNumber", "productCode", "productDescription", "productCategoryName", "quantity", "unitPrice",
           "creditAmount", "taxPercentage", "settlementAmount")  # fmt: skip
TOTALS = ("grossTotal", "netTotal", "taxPayable")
IDS = ("storeID", "terminalID", "cashReceiptID", "agentID", "customerID", "date")


class Writer(NamedTuple):
    """The encoding of a receipt, and the header, separator and footer of a file with several receipts."""

    header: bytes
    write: Callable[[Receipt], bytes]
    separator: bytes
    footer: bytes

    def parts(self, receipts: Iterable[Receipt]) -> Iterator[bytes]:
        """The parts of a file with these receipts."""
        yield self.header
        for number, receipt in enumerate(receipts):
            yield (self.separator if number else b"") + self.write(receipt)
        yield self.footer


def parse_json(text: bytes) -> Receipt:
    """Parse a receipt with exact decimal numbers."""
    receipt: Receipt = json.loads(text, parse_float=Decimal)
    return receipt


def as_json(receipt: Receipt) -> bytes:
    return json.dumps(receipt, default=float, ensure_ascii=False, separators=(",", ":")).encode()


def as_xml(receipt: Receipt) -> bytes:
    return f"<receipt>{''.join(_elements(receipt))}</receipt>".encode()


def _elements(part: Receipt) -> Iterator[str]:
    for name, value in part.items():
        if isinstance(value, list):
            inner = "".join(f"<{name[:-1]}>{''.join(_elements(each))}</{name[:-1]}>" for each in value)
        else:
            inner = "".join(_elements(value)) if isinstance(value, dict) else escape(str(value))
        yield f"<{name}>{inner}</{name}>"


CSV_HEADER = ",".join(
    (
        *IDS,
        *TOTALS,
        *(f"lines.{name}" for name in COLUMNS),
        "settlements.paymentMechanism",
        "settlements.settlementAmount",
    )
)


def as_csv(receipt: Receipt) -> bytes:
    """One row per line. Each row repeats the fields of the receipt."""
    shared = [*(str(receipt[name]) for name in IDS), *(str(receipt["documentTotal"][name]) for name in TOTALS)]
    rows = []
    for number, line in enumerate(receipt["lines"]):
        payment = receipt["settlements"][number] if number < len(receipt["settlements"]) else {}
        cells = [*shared, *(str(line[name]) for name in COLUMNS)]
        cells += [str(payment.get(name, "")) for name in ("paymentMechanism", "settlementAmount")]
        rows.append(",".join(cells) + "\n")
    return "".join(rows).encode()


def as_form(receipt: Receipt) -> bytes:
    def fields(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, list):
            for index, part in enumerate(value):
                yield from fields(part, f"{path}[{index}]")
        elif isinstance(value, dict):
            for name, part in value.items():
                yield from fields(part, f"{path}.{name}" if path else name)
        else:
            yield path, str(value)

    return urlencode(list(fields(receipt, ""))).encode()


def as_poslog(receipt: Receipt) -> bytes:
    """A transaction as European tills write it: prices include tax, and lines do not have a separate tax.

    Returns and refunds have positive amounts.
    """
    day, _, time = receipt["date"].partition(" ")
    total = receipt["documentTotal"]
    lines = "".join(map(_poslog_line, receipt["lines"]))
    tenders = "".join(
        f'<LineItem><SequenceNumber>{number}</SequenceNumber><Tender TenderType="{payment["paymentMechanism"]}" '
        f'TypeCode="{"Sale" if payment["settlementAmount"] >= 0 else "Refund"}">'
        f"<Amount>{abs(payment['settlementAmount'])}</Amount></Tender></LineItem>"
        for number, payment in enumerate(receipt["settlements"], 100)
    )
    return (
        f"<Transaction><RetailStoreID>{receipt['storeID']}</RetailStoreID><WorkstationID>{receipt['terminalID']}"
        f"</WorkstationID><SequenceNumber>{receipt['cashReceiptID']}</SequenceNumber><BusinessDayDate>{day}"
        f"</BusinessDayDate><EndDateTime>{day}T{time}</EndDateTime><OperatorID>{receipt['agentID']}</OperatorID>"
        f'<RetailTransaction>{lines}{tenders}<Total TotalType="TransactionGrandAmount">{total["grossTotal"]}</Total>'
        f'<Total TotalType="TransactionTaxAmount">{total["taxPayable"]}</Total></RetailTransaction></Transaction>\n'
    ).encode()


def _poslog_line(line: Receipt) -> str:
    kind = "Sale" if line["quantity"] >= 0 else "Return"
    measure = "" if line["unitOfMeasure"] == "unit" else ' UnitOfMeasureCode="KGM"'
    return (
        f'<LineItem><SequenceNumber>{line["lineNumber"]}</SequenceNumber><{kind} ItemType="Stock">'
        f'<ItemID>{line["productCode"]}</ItemID><MerchandiseHierarchy Level="Department">'
        f"{line['productCategoryName']}</MerchandiseHierarchy><Description>{escape(line['productDescription'])}"
        f"</Description><TaxIncludedInPriceFlag>true</TaxIncludedInPriceFlag><RegularSalesUnitPrice>"
        f"{line['unitPrice']}</RegularSalesUnitPrice><ExtendedAmount>{abs(line['settlementAmount'])}</ExtendedAmount>"
        f"<Quantity{measure}>{abs(line['quantity'])}</Quantity></{kind}></LineItem>"
    )


def as_square(receipt: Receipt) -> bytes:
    """A completed order with amounts in cents and times in UTC."""
    closed_at = _utc(receipt["date"])
    total = receipt["documentTotal"]
    order = {
        "id": receipt["cashReceiptID"],
        "location_id": receipt["storeID"],
        "state": "COMPLETED",
        "created_at": closed_at,
        "closed_at": closed_at,
        "line_items": [
            {
                "catalog_object_id": line["productCode"],
                "name": line["productDescription"],
                "quantity": str(line["quantity"]),
                "base_price_money": _cents(line["unitPrice"]),
                "total_tax_money": _cents(line["settlementAmount"] - line["creditAmount"]),
                "total_money": _cents(line["settlementAmount"]),
            }
            for line in receipt["lines"]
        ],
        "net_amounts": {"total_money": _cents(total["grossTotal"]), "tax_money": _cents(total["taxPayable"])},
        "tenders": [
            {"type": "CARD", "amount_money": _cents(payment["settlementAmount"])} for payment in receipt["settlements"]
        ],
    }
    return json.dumps(order, ensure_ascii=False, separators=(",", ":")).encode()


def _cents(amount: Decimal) -> dict[str, object]:
    return {"amount": int(amount * 100), "currency": "EUR"}


def _utc(local: str) -> str:
    return datetime.fromisoformat(local).replace(tzinfo=ZONE).astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")


NDJSON_TITLE = "NDJSON"
POSLOG_TITLE = "ARTS POSLog"
FORM_TITLE = "HTML form"
"""A form has only one receipt."""

WRITERS: dict[str, Writer] = {
    "JSON": Writer(b"[", as_json, b",", b"]"),
    NDJSON_TITLE: Writer(b"", as_json, b"\n", b"\n"),
    "XML": Writer(b'<?xml version="1.0" encoding="UTF-8"?>\n<receipts>', as_xml, b"\n", b"</receipts>"),
    "CSV": Writer(f"{CSV_HEADER}\n".encode(), as_csv, b"", b""),
    FORM_TITLE: Writer(b"", as_form, b"", b""),
    POSLOG_TITLE: Writer(
        b'<POSLog xmlns="http://www.nrf-arts.org/IXRetail/namespace/">\n', as_poslog, b"", b"</POSLog>\n"
    ),
    "Square Orders": Writer(b"", as_square, b"\n", b"\n"),
}
"""Writers by the title of their format."""
