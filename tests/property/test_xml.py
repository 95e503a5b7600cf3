"""Any receipt written as XML reads back equal, and broken documents never raise, whatever the window size."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.encoders import to_xml
from tests.support.receipt_strategies import receipt_shapes
from tillstream.config.settings import Settings
from tillstream.formats import xml_records
from tillstream.formats.base import Decoded, Record, Skip, Unreadable
from tillstream.formats.xml import XmlDecoder

xml = XmlDecoder(Settings())
untimed = settings(deadline=None)

signs = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
texts = st.text(signs, max_size=12) | st.sampled_from(
    ['a "quoted" \\ & <text>', " \t\n\r", "]]>", "%s", "é\u00a0", "7"]
)
amounts = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=2) | st.sampled_from(
    [Decimal("0.3"), Decimal("3.3600000000000003"), Decimal(5), Decimal(0)]
)
notes = texts | st.fixed_dictionaries({"a": texts, "b": st.fixed_dictionaries({"receipt": texts})})
receipts = receipt_shapes(ids=texts, dates=texts, texts=texts, amounts=amounts, needed=amounts, note=notes)


def read(document: bytes) -> list[Decoded]:
    return list(xml.decode(io.BytesIO(document)))


def body_of(decoded: Decoded) -> Any:
    assert isinstance(decoded, Record), decoded
    return json.loads(decoded.body, parse_float=Decimal, parse_int=Decimal)


@untimed
@given(st.lists(receipts, min_size=1, max_size=3))
def test_any_receipt_written_as_xml_reads_back_equal(written: list[dict[str, Any]]) -> None:
    pieces = [to_xml(receipt) for receipt in written]
    decoded = read(b"<receipts>" + b"\n".join(pieces) + b"</receipts>")
    assert [body_of(each) for each in decoded] == written
    assert [each.original for each in decoded if isinstance(each, Record)] == pieces


@st.composite
def broken_documents(draw: st.DrawFn) -> bytes:
    pieces = [to_xml(receipt) for receipt in draw(st.lists(receipts, max_size=3))]
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
        index = draw(st.integers(0, len(document)))
        document[index : index + draw(st.integers(0, 9))] = draw(st.sampled_from(marks) | st.binary(max_size=3))
    return bytes(document)


def comparable(decoded: Decoded) -> object:
    """Everything but the original of a fault, which depends on the window if the document breaks off."""
    return (decoded.faults, decoded.where) if isinstance(decoded, Unreadable) else decoded


@untimed
@given(broken_documents(), st.integers(1, 40))
def test_the_window_size_does_not_matter_and_nothing_raises(document: bytes, window_bytes: int) -> None:
    expected = read(document)
    usual = xml_records.WINDOW_BYTES
    try:
        xml_records.WINDOW_BYTES = window_bytes
        found = read(document)
    finally:
        xml_records.WINDOW_BYTES = usual
    assert [comparable(each) for each in found] == [comparable(each) for each in expected]
    assert all(isinstance(each, Record | Skip | Unreadable) for each in found)
