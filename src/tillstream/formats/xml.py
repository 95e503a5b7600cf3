"""XML receipts whose elements have the names of the canonical receipt. POSLog documents are decoded as POSLog."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, get_args, get_type_hints
from xml.etree.ElementTree import Element

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Unreadable
from tillstream.formats.canonical import amount, encode
from tillstream.formats.poslog.decoder import PoslogDecoder, is_poslog
from tillstream.formats.xml_stream.records import XmlRecord, XmlRecordReader, element_text, root_of
from tillstream.receipt.model import DocumentTotal, Fault, Line, Settlement

RECORD = "receipt"
_ROOTS = frozenset({RECORD, "receipts"})

# Documents in UTF-16 and UTF-32 are recognised so that their fault can name the encoding.
_WIDE_ENCODINGS = (b"\xff\xfe<\0", b"\xfe\xff\0<", b"<\0?\0", b"\0<\0?", b"<\0\0\0", b"\0\0\0<")
_UNKNOWN_DEPTH_LIMIT = 32

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_TRUE = frozenset({"true", "1"})


class _Part:
    """A part of the receipt: the names of its fields, the amounts among them, and the names of its list items."""

    def __init__(self, kind: type, *items: str) -> None:
        hints = get_type_hints(kind)
        self.names = frozenset(hints)
        self.amounts = frozenset(name for name, hint in hints.items() if Decimal in (hint, *get_args(hint)))
        self.items = frozenset(items)


_LINE = _Part(Line, "line", "lines", "item")
_SETTLEMENT = _Part(Settlement, "settlement", "settlements", "item")
_TOTAL = _Part(DocumentTotal)
_LISTS = {
    "lines": ("lines", _LINE),
    "line": ("lines", _LINE),
    "settlements": ("settlements", _SETTLEMENT),
    "settlement": ("settlements", _SETTLEMENT),
}


class XmlDecoder(Decoder):
    """Decoder of one `<receipt>`, or of several in `<receipts>`."""

    name = "xml"
    title = "XML"
    help = (
        "One `<receipt>`, or several in `<receipts>`. The elements have the names of the JSON receipt. `<lines>` has a "
        "`<line>` for each line, or occurs once per line; `<settlements>` has a `<settlement>` for each payment. "
        "Amounts have a decimal point, and an empty amount is left out. Namespaces and attributes are ignored. The "
        "encoding is UTF-8, or an eight-bit encoding that the XML declaration names. A DTD is refused. A POSLog is "
        "recognised and decoded as one."
    )
    media_types = ("application/xml", "text/xml", "+xml")
    suffixes = (".xml",)
    personal = PoslogDecoder.personal
    example = """<?xml version="1.0" encoding="UTF-8"?>
<receipts>
  <receipt>
    <cashReceiptID>1047</cashReceiptID>
    <storeID>12</storeID>
    <terminalID>2</terminalID>
    <date>2026-11-23 10:15:00</date>
    <lines>
      <line>
        <lineNumber>1</lineNumber>
        <productCode>0102</productCode>
        <productDescription>Baguette</productDescription>
        <productCategoryName>Pain</productCategoryName>
        <quantity>2</quantity>
        <unitPrice>1.14</unitPrice>
        <creditAmount>2.28</creditAmount>
        <taxPercentage>5.5</taxPercentage>
        <settlementAmount>2.40</settlementAmount>
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
    element = record.parse()
    if isinstance(element, Unreadable):
        return element
    try:
        return Record(encode(_receipt(element)), record.original)
    except RecursionError:
        return record.fault(Fault("$", "it is nested too deeply"))


def _receipt(element: Element) -> dict[str, Any]:
    if element.tag[0] == "{":
        for each in element.iter():
            each.tag = each.tag.rpartition("}")[2]
    receipt: dict[str, Any] = {}
    for child in element:
        name = child.tag
        if name in _LISTS:
            plural, part = _LISTS[name]
            receipt.setdefault(plural, []).extend(_part_value(item, part) for item in _items(child, part))
        elif name == "documentTotal":
            _add(receipt, name, _part_value(child, _TOTAL))
        else:
            _add(receipt, name, _any_value(child))
    return receipt


def _items(element: Element, part: _Part) -> list[Element]:
    """The items of a list: the children of the element, or the element itself if it is an item."""
    children = list(element)
    if not children:
        return [element] if element_text(element) else []
    if any(child.tag in part.names for child in children):
        return [element]
    return children if all(len(child) or child.tag in part.items for child in children) else [element]


def _part_value(element: Element, part: _Part) -> Any:
    """A line, a settlement or the totals as an object, or as a text if the element has no children."""
    if not len(element) and element_text(element):
        return element.text
    found: dict[str, Any] = {}
    for child in element:
        if child.tag in part.amounts and not len(child):
            if text := (child.text or "").strip():
                _add(found, child.tag, amount(text))
        else:
            _add(found, child.tag, _any_value(child))
    return found


def _any_value(element: Element, depth: int = _UNKNOWN_DEPTH_LIMIT) -> Any:
    """A field as a text, or as an object if the element has children. Raises `RecursionError`."""
    if not len(element):
        return None if element.get(_NIL) in _TRUE else element.text or ""
    if not depth:
        raise RecursionError
    found: dict[str, Any] = {}
    for child in element:
        _add(found, child.tag, _any_value(child, depth - 1))
    return found


class _Repeated(list[Any]):
    """The values of a name that occurs more than once."""


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    """Add a member. A repeated name gets a list of its values, and None is left out."""
    if value is None:
        return
    if name not in found:
        found[name] = value
    elif isinstance(found[name], _Repeated):
        found[name].append(value)
    else:
        found[name] = _Repeated([found[name], value])
