"""Small valid files of every format, for example as the start of fuzzing."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.support import square_orders
from tests.support.encoders import to_csv, to_form, to_xml
from tests.support.receipts import body

RECEIPTS: tuple[dict[str, Any], ...] = (
    {"cashReceiptID": "7", "storeID": "1", "date": "2026-11-23 10:15:00", "documentTotal": {"grossTotal": Decimal(0)}},
    body(),
    {
        "cashReceiptID": "A-0099",
        "storeID": "Orléans",
        "terminalID": "2",
        "date": "2026-11-23T18:02:11.250+01:00",
        "currency": "EUR",
        "colour": 'crème, "brûlée"; 5" tart',
        "documentTotal": {"grossTotal": Decimal("-3.3600000000000003"), "taxPayable": Decimal("-0.2")},
        "lines": [
            {"lineNumber": "1", "productDescription": "Pain\nau levain", "quantity": Decimal("-0.42")},
            {"productCode": "B&B", "settlementAmount": Decimal(1500), "taxPercentage": Decimal("5.5")},
            {"productCode": "<i>", "settlementAmount": Decimal("-1503.36")},
        ],
        "settlements": [
            {"paymentMechanism": "CB", "settlementAmount": Decimal("-3.36")},
            {"paymentMechanism": "Chèque", "settlementAmount": Decimal("0.3")},
        ],
    },
)
"""A receipt with only the required fields, a typical one, and one with unusual content."""


def _json(value: Any, **options: Any) -> bytes:
    return json.dumps(value, default=float, ensure_ascii=False, **options).encode()


def _jsons() -> list[bytes]:
    return [*map(_json, RECEIPTS), _json(RECEIPTS), _json(RECEIPTS[2], indent=1), b"[" + _json(RECEIPTS[0]) + b"]"]


def _ndjsons() -> list[bytes]:
    return [b"\n".join(map(_json, RECEIPTS)), b"\r\n\r\n".join(_json(RECEIPTS[0]) for _ in range(3))]


def _csvs() -> list[bytes]:
    return [
        to_csv(RECEIPTS),
        to_csv(RECEIPTS[:2], ";", comma=True),
        to_csv([RECEIPTS[2], *RECEIPTS[:2]], "\t"),
        to_csv([{**RECEIPTS[1], "cashReceiptID": number} for number in range(3)]).replace(b"\r\n", b"\n"),
    ]


def _forms() -> list[bytes]:
    return [to_form(RECEIPTS[0]), to_form(RECEIPTS[1], comma=True), to_form(RECEIPTS[2])]


def _envelopes() -> list[bytes]:
    shared = {"source": "poslog/import", "original": _base64(b"original"), "day": "2026-11-23"}
    fault = {"path": "$.date", "error": "it is missing", "hint": "add it"}
    refusal = {"source": "csv/import", "original": _base64(b"\xff\0"), "faults": [fault]}
    return [b"\n".join(map(_json, [*({**shared, "receipt": each} for each in RECEIPTS), refusal]))]


def _base64(original: bytes) -> str:
    return b64encode(original).decode()


def _orders() -> list[bytes]:
    orders = [square_orders.order(), square_orders.SPLIT, square_orders.EXCHANGE, square_orders.TABLE]
    each = square_orders.encoded(*orders)
    open_ = square_orders.order(state="OPEN")
    return [*each, b"\n".join(each[:2]), _json({"orders": [orders[2], open_]}), _json({"order": open_}, indent=1)]


def _xmls() -> list[bytes]:
    first, second, third = map(to_xml, RECEIPTS)
    similar = b"".join(to_xml({**RECEIPTS[0], "cashReceiptID": number}) for number in range(6))
    declaration = b"<?xml version='1.0' encoding='iso-8859-1'?>\n<!-- of a till -->\n"
    return [
        first,
        b"<receipts>%b\n%b<![CDATA[ ]]>%b</receipts>" % (second, first, third),
        b'<r:receipts xmlns:r="urn:r">%b</r:receipts>' % second.replace(b"<", b"<r:").replace(b"<r:/", b"</r:"),
        b"<receipts>%b</receipts>" % similar,
        declaration + third.decode().encode("iso-8859-1", "xmlcharrefreplace"),
    ]


def _poslogs() -> list[bytes]:
    similar = "\n".join(_transaction(number, _SALE) for number in range(6))
    mixed = _transaction(7, _RETURN) + _transaction(8, "<ControlTransaction><SignOn/></ControlTransaction>")
    namespace = "http://www.nrf-arts.org/IXRetail/namespace/"
    return [
        each.encode()
        for each in (
            f'<?xml version="1.0"?>\n<POSLog xmlns="{namespace}">{mixed}</POSLog>',
            f'<POSLog xmlns="{namespace}">\n{similar}\n</POSLog>',
            f"<POSLog>{_transaction(9, _SALE, ' VoidFlag=' + repr('true'))}{_transaction(10, _RETURN)}</POSLog>",
        )
    ]


def _transaction(number: int, inside: str, attributes: str = "") -> str:
    return (
        f"<Transaction{attributes}><RetailStoreID>12</RetailStoreID><WorkstationID>2</WorkstationID>"
        f"<SequenceNumber>{number}</SequenceNumber><OperatorID>94</OperatorID>"
        "<BusinessDayDate>2026-11-23</BusinessDayDate>"
        f"<EndDateTime>2026-11-23T10:15:00</EndDateTime>{inside}</Transaction>"
    )


_SALE = (
    "<RetailTransaction><LineItem><SequenceNumber>1</SequenceNumber><Sale><ItemID>0102</ItemID>"
    "<MerchandiseHierarchy Level='Department'>6</MerchandiseHierarchy><Description>Baguette &amp; beurre</Description>"
    "<RegularSalesUnitPrice>2.99</RegularSalesUnitPrice><ExtendedAmount>1.26</ExtendedAmount>"
    "<Quantity UnitOfMeasureCode='KGM'>0.42</Quantity></Sale></LineItem>"
    "<LineItem><Tax><Amount>0.07</Amount><Percent>5.5</Percent></Tax></LineItem>"
    "<LineItem><Tender TenderType='CreditDebit'><Amount>1.33</Amount></Tender></LineItem>"
    "<Total TotalType='TransactionGrandAmount'>1.33</Total><Total TotalType='TransactionTaxAmount'>0.07</Total>"
    "</RetailTransaction>"
)
_RETURN = (
    "<RetailTransaction><LineItem><Return><ItemID>7</ItemID><ExtendedAmount>5.00</ExtendedAmount><Quantity>1</Quantity>"
    "</Return></LineItem><LineItem VoidFlag='true'><Sale><ItemID>8</ItemID><ExtendedAmount>1</ExtendedAmount></Sale>"
    "</LineItem><LineItem><Discount><Amount>0.50</Amount></Discount></LineItem><LineItem><Tender TenderType='Cash' "
    "TypeCode='Refund'><Amount>5.00</Amount></Tender></LineItem>"
    "<Total TotalType='TransactionGrandAmount'>-5.00</Total></RetailTransaction>"
)

FILES: Mapping[str, Callable[[], Sequence[bytes]]] = {
    "application/json": _jsons,
    "application/x-ndjson": _ndjsons,
    "application/xml": _xmls,
    "text/csv": _csvs,
    "application/x-www-form-urlencoded": _forms,
    "application/vnd.tillstream.records+ndjson": _envelopes,
    "application/vnd.square.orders+json": _orders,
    "application/vnd.nrf-arts.poslog+xml": _poslogs,
}
"""Functions that return files, by the main media type of a format."""


def of(media_type: str, example: str = "") -> list[bytes]:
    """The example and the files of the format with this main media type."""
    files = FILES.get(media_type, lambda: ())
    return [*filter(None, [example.encode()]), *files()]
