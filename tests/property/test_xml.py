"""Any receipt written as XML reads back equal, however its bytes come, and a form makes of it what parsing makes."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_receipt import shaped
from tests.support.written import as_xml
from tillstream.config.settings import Settings
from tillstream.formats import xml_records
from tillstream.formats.base import Decoded, Record, Skip, Unreadable
from tillstream.formats.poslog import PoslogDecoder
from tillstream.formats.xml import XmlDecoder

untimed = settings(deadline=None)

signs = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
texts = st.text(signs, max_size=12) | st.sampled_from(
    ['a "quoted" \\ & <text>', " \t\n\r", "]]>", "%s", "é\u00a0", "7"]
)
amounts = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=2) | st.sampled_from(
    [Decimal("0.3"), Decimal("3.3600000000000003"), Decimal(5), Decimal(0)]
)
notes = texts | st.fixed_dictionaries({"a": texts, "b": st.fixed_dictionaries({"receipt": texts})})
receipts = shaped(ids=texts, dates=texts, texts=texts, amounts=amounts, needed=amounts, note=notes)


def read(document: bytes, decoder: XmlDecoder | PoslogDecoder | None = None) -> list[Decoded]:
    return list((decoder or XmlDecoder(Settings())).decode(io.BytesIO(document)))


def body_of(decoded: Decoded) -> Any:
    assert isinstance(decoded, Record), decoded
    return json.loads(decoded.body, parse_float=Decimal, parse_int=Decimal)


@untimed
@given(st.lists(receipts, min_size=1, max_size=3))
def test_any_receipt_written_as_xml_reads_back_equal(written: list[dict[str, Any]]) -> None:
    pieces = [as_xml(receipt) for receipt in written]
    decoded = read(b"<receipts>" + b"\n".join(pieces) + b"</receipts>")
    assert [body_of(each) for each in decoded] == written
    assert [each.original for each in decoded if isinstance(each, Record)] == pieces


@untimed
@given(receipts, st.lists(receipts, max_size=3))
def test_what_a_form_makes_is_what_parsing_makes(first: dict[str, Any], others: list[dict[str, Any]]) -> None:
    learned = XmlDecoder(Settings())
    for receipt in [first] * 3 + others:
        read(as_xml(receipt), learned)
    # Of the layouts that are known, with every other text in them.
    for receipt in [first, *others]:
        for text in ("plain", " blank ", "", "a&b", "é", 'say "%s"', "12", "-0.50", "007", "1e5"):
            changed = as_xml({**receipt, "storeID": text, "documentTotal": {"grossTotal": text}, "note": text})
            assert read(changed, learned) == read(changed)


SALE = """<Transaction><RetailStoreID>7</RetailStoreID><WorkstationID>1</WorkstationID>
<SequenceNumber>{number}</SequenceNumber><BusinessDayDate>{day}</BusinessDayDate><EndDateTime>{date}</EndDateTime>
<RetailTransaction>
<LineItem><SequenceNumber>1</SequenceNumber><{kind} ItemType="Stock"><ItemID>{code}</ItemID><Description>{name}</Description>
<RegularSalesUnitPrice>{price}</RegularSalesUnitPrice><ExtendedAmount>{first}</ExtendedAmount><Quantity>{quantity}</Quantity>
{line_tax}</{kind}></LineItem>
<LineItem><Sale><ItemID>2</ItemID><ExtendedAmount>{second}</ExtendedAmount></Sale></LineItem>
<LineItem><Tender TenderType="Cash"><Amount>{paid}</Amount></Tender></LineItem>{receipt_tax}
<Total TotalType="TransactionGrandAmount">{gross}</Total>{tax_total}
</RetailTransaction></Transaction>"""

money = st.decimals(-5, 50, places=2, allow_nan=False) | st.sampled_from([Decimal("0.00"), Decimal("1.5"), Decimal(3)])
numbers = st.sampled_from(["1", "2", "0.42", "-1", "0", "abc", ""])
sales = st.fixed_dictionaries(
    {
        "number": st.sampled_from(["1", "0", "0017", "x & y".replace("&", "&amp;")]),
        "day": st.sampled_from(["2026-11-23", "2026-11-23Z", "23.11.2026", ""]),
        "date": st.sampled_from(["2026-11-23T10:15:00", "2026-11-23T10:15:00.5", "2026-11-23T10:15:00Z", "then"]),
        "kind": st.sampled_from(["Sale", "Return"]),
        "code": texts.map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace("\r", "")),
        "name": st.sampled_from(["Baguette", "Crème", "", " "]),
        "price": money,
        "first": money,
        "second": money,
        "paid": money,
        "tax": st.sampled_from([Decimal("0.00"), Decimal("0.17"), Decimal("1.00")]),
        "quantity": numbers,
        "where": st.sampled_from(["total", "receipt", "line", "both", "none"]),
        "gross": st.sampled_from(["added", "held", "other"]),
    }
)


def sale(told: dict[str, Any]) -> bytes:
    tax, lines_total = told["tax"], told["first"] + told["second"]
    gross = {"added": lines_total + tax, "held": lines_total, "other": Decimal("4.20")}[told["gross"]]
    where = told["where"]
    element = f"<Tax><Amount>{tax}</Amount><Percent>5.5</Percent></Tax>"
    return SALE.format(
        **{**told, "gross": gross},
        line_tax=element if where in ("line", "both") else "",
        receipt_tax=f"<LineItem>{element}</LineItem>" if where in ("receipt", "both") else "",
        tax_total=f'<Total TotalType="TransactionTaxAmount">{tax}</Total>' if where == "total" else "",
    ).encode()


@untimed
@given(sales, st.lists(sales, max_size=4))
def test_what_a_form_makes_of_a_poslog_is_what_parsing_makes(
    first: dict[str, Any], others: list[dict[str, Any]]
) -> None:
    learned = PoslogDecoder(Settings())
    alike = [{**other, "where": first["where"], "kind": first["kind"], "gross": first["gross"]} for other in others]
    for told in [first] * 3 + others + alike:
        read(sale(told), learned)
    for told in [first, *others, *alike, {**first, "first": Decimal("2.28"), "second": Decimal("0.57")}]:
        assert read(sale(told), learned) == read(sale(told), PoslogDecoder(Settings()))


@st.composite
def broken_documents(draw: st.DrawFn) -> bytes:
    pieces = [as_xml(receipt) for receipt in draw(st.lists(receipts, max_size=3))]
    document = bytearray(b"<receipts>" + b" ".join(pieces) + b"</receipts>")
    marks = [
        b"<receipt>",
        b"</receipt>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<",
        b">",
        b'"',
        b"<?x?>",
        b"\0",
        b"\xff",
    ]
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(document)))
        document[place : place + draw(st.integers(0, 9))] = draw(st.sampled_from(marks) | st.binary(max_size=3))
    return bytes(document)


def shown(decoded: Decoded) -> object:
    """All but the bytes that are kept of what can't be read: of a document that breaks they are what was at hand."""
    return (decoded.faults, decoded.where) if isinstance(decoded, Unreadable) else decoded


@untimed
@given(broken_documents(), st.integers(1, 40))
def test_windows_change_nothing_and_nothing_is_raised(document: bytes, window_bytes: int) -> None:
    expected = read(document)
    usual = xml_records._WINDOW_BYTES
    try:
        xml_records._WINDOW_BYTES = window_bytes
        found = read(document)
    finally:
        xml_records._WINDOW_BYTES = usual
    assert [shown(each) for each in found] == [shown(each) for each in expected]
    assert all(isinstance(each, Record | Skip | Unreadable) for each in found)
