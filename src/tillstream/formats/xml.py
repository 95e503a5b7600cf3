"""XML: receipts whose elements are named like the fields of the canonical receipt.

If a document is a POSLog, the standard transaction log of tills, `PoslogDecoder` decodes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Unreadable
from tillstream.formats.canonical import FIELDS, LINES, SETTLEMENTS, TOTAL, Field, amount, encode
from tillstream.formats.poslog.decoder import PoslogDecoder, is_poslog
from tillstream.formats.xml_records import XmlRecord, XmlRecordReader, element_text, root_of

RECORD = "receipt"
_ROOTS = frozenset({RECORD, "receipts"})

# Documents in UTF-16 and UTF-32 are recognised as XML, so that their fault can name the encoding.
_WIDE_ENCODINGS = (b"\xff\xfe<\0", b"\xfe\xff\0<", b"<\0?\0", b"\0<\0?", b"<\0\0\0", b"\0\0\0<")
_DEPTH_LIMIT = 32

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_TRUE = frozenset({"true", "1"})

_LISTS = {"lines": LINES, "line": LINES, "settlements": SETTLEMENTS, "settlement": SETTLEMENTS}
"""The list that an element with this name belongs to. The element may contain items of the list, or be one item."""


class XmlDecoder(Decoder):
    """The format with one `<receipt>`, or several in `<receipts>`."""

    name = "xml"
    title = "XML"
    help = (
        "One `<receipt>`, or several in `<receipts>`. The elements have the names of the JSON receipt. `<lines>` has a "
        "`<line>` for each line, or occurs once per line. `<settlements>` has a `<settlement>` for each payment. "
        "Amounts have a decimal point. Empty amounts, namespaces and attributes are ignored. The encoding is UTF-8, or "
        "an eight-bit encoding that the XML declaration names. A document with a DTD is rejected. A POSLog is "
        "recognised and decoded as POSLog."
    )
    media_types = ("application/xml", "text/xml", "+xml")
    suffixes = (".xml",)
    personal = PoslogDecoder.personal
    example = """<?xml version="1.0" encoding="UTF-8"?>
<receipts>
  <receipt>
    <cashReceiptID>1047</cashReceiptID><storeID>12</storeID><terminalID>2</terminalID>
    <date>2026-11-23 10:15:00</date>
    <lines>
      <line>
        <lineNumber>1</lineNumber><productCode>0102</productCode><productDescription>Baguette</productDescription>
        <productCategoryName>Pain</productCategoryName><quantity>2</quantity><unitPrice>1.14</unitPrice>
        <creditAmount>2.28</creditAmount><taxPercentage>5.5</taxPercentage><settlementAmount>2.40</settlementAmount>
      </line>
    </lines>
    <documentTotal><grossTotal>2.40</grossTotal><netTotal>2.28</netTotal><taxPayable>0.12</taxPayable></documentTotal>
    <settlements>
      <settlement><paymentMechanism>CB</paymentMechanism><settlementAmount>2.40</settlementAmount></settlement>
    </settlements>
  </receipt>
</receipts>"""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._poslog = PoslogDecoder(settings)

    def recognises(self, head: bytes) -> bool:
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        return start.startswith((b"<?xml", *_WIDE_ENCODINGS)) or root_of(head).name in _ROOTS

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        reader = XmlRecordReader(source, self.settings.receipt_limit_bytes)
        root = reader.root()
        if isinstance(root, Unreadable):
            yield root
        elif is_poslog(root):
            yield from self._poslog.decode_records(reader)
        elif root.name in _ROOTS:
            for record in reader.records(RECORD):
                yield _decode_record(record) if isinstance(record, XmlRecord) else record
        else:
            error = f"expected <receipts>, <receipt> or a POSLog, got <{root.name[:60]}>"
            yield reader.fault(error, "see the example in docs/formats.md")


def _decode_record(record: XmlRecord) -> Decoded:
    try:
        return Record(encode(_receipt(record.element)), record.original)
    except RecursionError:
        return record.fault("it is nested too deeply")


def _receipt(element: Element) -> dict[str, Any]:
    if element.tag.startswith("{"):
        for each in element.iter():
            each.tag = each.tag.rpartition("}")[2]
    receipt: dict[str, Any] = {}
    for child in element:
        name = child.tag
        if part := _LISTS.get(name):
            items = [_value(item, FIELDS[part]) for item in _items(child, part)]
            receipt.setdefault(part, []).extend(items)
        elif name == TOTAL:
            _add(receipt, name, _value(child, FIELDS[TOTAL]))
        else:
            _add(receipt, name, _value(child))
    return receipt


def _items(element: Element, part: str) -> list[Element]:
    """Return the items of a list: the children of the element, or the element itself if it is an item."""
    children = list(element)
    if not children:
        return [element] if element_text(element) else []
    if any(child.tag in FIELDS[part] for child in children):
        return [element]
    item_names = (part, part.removesuffix("s"), "item")
    return children if all(len(child) or child.tag in item_names for child in children) else [element]


def _value(element: Element, fields: Mapping[str, Field] | None = None, depth: int = _DEPTH_LIMIT) -> Any:
    """Convert an element to a text, or to an object if it has children.

    `fields` is given if the element is a line, a settlement or the totals, and holds the known fields of this object.
    Such an element becomes an object even if it is empty. Raises `RecursionError` if the element is nested too deeply.
    """
    if not len(element) and (fields is None or element_text(element)):
        return None if element.get(_NIL) in _TRUE else element.text or ""
    if not depth:
        raise RecursionError
    found: dict[str, Any] = {}
    for child in element:
        field = fields.get(child.tag) if fields else None
        if field and field.amount and not len(child):
            if text := (child.text or "").strip():
                _add(found, child.tag, amount(text))
        else:
            _add(found, child.tag, _value(child, depth=depth - 1))
    return found


class _Repeated(list[Any]):
    """The values of several elements with the same name in one object."""


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    """Add a member to an object. The values of a repeated name become a list. None is ignored."""
    if value is None:
        return
    if name not in found:
        found[name] = value
    elif isinstance(found[name], _Repeated):
        found[name].append(value)
    else:
        found[name] = _Repeated([found[name], value])
