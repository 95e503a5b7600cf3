"""XML whose elements have the names of the canonical receipt; a POSLog that comes as XML is read as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, BinaryIO, get_args, get_type_hints
from xml.etree.ElementTree import Element

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Unreadable
from tillstream.formats.canonical import amount, encode
from tillstream.formats.poslog import PoslogDecoder, is_poslog
from tillstream.formats.xml_forms import AMOUNT, TEXT, Filling, Finish, Forms, Sample
from tillstream.formats.xml_parts import Cut, content, element, parsed
from tillstream.formats.xml_records import XmlRecords, root_of
from tillstream.receipt.model import DocumentTotal, Fault, Line, Settlement

RECORD = "receipt"
_ROOTS = frozenset({RECORD, "receipts"})

# UTF-16 and UTF-32, which are recognised for the fault that tells of it.
_WIDE = (b"\xff\xfe<\0", b"\xfe\xff\0<", b"<\0?\0", b"\0<\0?", b"<\0\0\0", b"\0\0\0<")
# Beyond what the receipt itself has; what is unknown may be nested a little.
_DEPTH_LIMIT = 32

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_TRUE = frozenset({"true", "1"})


class _Shape:
    """The names that a part of a receipt knows, and which of them are amounts."""

    def __init__(self, kind: type, items: frozenset[str] = frozenset()) -> None:
        hints = get_type_hints(kind)
        self.names = frozenset(hints)
        self.amounts = frozenset(name for name, hint in hints.items() if Decimal in (hint, *get_args(hint)))
        self.items = items


_LINE = _Shape(Line, frozenset({"line", "lines", "item"}))
_SETTLEMENT = _Shape(Settlement, frozenset({"settlement", "settlements", "item"}))
_TOTAL = _Shape(DocumentTotal)
_LISTS = {
    "lines": ("lines", _LINE),
    "line": ("lines", _LINE),
    "settlements": ("settlements", _SETTLEMENT),
    "settlement": ("settlements", _SETTLEMENT),
}


class XmlDecoder(Decoder):
    """`<receipts>` with a `<receipt>` each, or one `<receipt>`."""

    name = "xml"
    title = "XML"
    help = (
        "A `<receipt>`, or several in `<receipts>`. The elements have the names of the JSON receipt; `<lines>` has a "
        "`<line>` for each line (or stands once a line), and `<settlements>` a `<settlement>`. Amounts are written "
        "with a point; an empty amount is none. Namespaces and attributes mean nothing. The encoding is UTF-8, or an "
        "eight-bit one that the XML declaration names. A DTD is refused. A POSLog is recognised and read as one."
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
        self._forms = Forms(_learn)

    def recognises(self, head: bytes) -> bool:
        begins = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        return begins.startswith((b"<?xml", *_WIDE)) or root_of(head).name in _ROOTS

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        records = XmlRecords(source, self.settings.receipt_limit_bytes)
        root = records.root()
        if isinstance(root, Unreadable):
            yield root
        elif is_poslog(root):
            yield from self._poslog.transactions(records)
        elif root.name in _ROOTS:
            for cut in records.records(RECORD, self._known):
                yield self._record(cut) if isinstance(cut, Cut) else cut
        else:
            error = f"expected <receipts>, <receipt> or a POSLog, got <{root.name[:60]}>"
            yield records.told(error, "docs/formats.md has an example")

    def _known(self, original: bytes, before: str) -> Record | None:
        body = self._forms.read(before, original)
        return Record(body, original) if body else None

    def _record(self, cut: Cut) -> Decoded:
        read = parsed(cut)
        if isinstance(read, Unreadable):
            return read
        text, receipt = read
        try:
            body = encode(_receipt(receipt))
        except RecursionError:
            return Unreadable([Fault("$", "it is nested too deeply")], cut.original, cut.where)
        self._forms.note(cut.before, text, body)
        return Record(body, cut.original)


def _learn(sample: Sample) -> tuple[Sequence[str], Finish[bytes]] | None:
    """A form of receipts: every text of the record must come out of it just once."""
    receipt = element(Cut(b"", 0, sample.before, "utf-8"), sample.marked)
    if isinstance(receipt, Unreadable):
        return None
    filling = Filling(encode(_receipt(receipt)), sample.marks)
    if sorted(filling.order) != list(range(len(sample.slots))):
        return None
    patterns = [AMOUNT if place in filling.bare else TEXT for place in range(len(sample.slots))]
    return patterns, filling.fill


def _receipt(receipt: Element) -> dict[str, Any]:
    if receipt.tag[0] == "{":
        for each in receipt.iter():
            each.tag = each.tag.rpartition("}")[2]
    found: dict[str, Any] = {}
    for child in receipt:
        name = child.tag
        if name in _LISTS:
            plural, shape = _LISTS[name]
            listed = found.setdefault(plural, [])
            listed.extend(_part(item, shape) for item in _items(child, shape))
        elif name == "documentTotal":
            _put(found, name, _part(child, _TOTAL))
        else:
            _put(found, name, _value(child, _DEPTH_LIMIT))
    return found


def _items(listed: Element, shape: _Shape) -> list[Element]:
    """The items of a list: the element's children, unless it is an item itself."""
    children = list(listed)
    if not children:
        return [listed] if content(listed) else []
    if any(child.tag in shape.names for child in children):
        return [listed]
    return children if all(len(child) or child.tag in shape.items for child in children) else [listed]


def _part(part: Element, shape: _Shape) -> Any:
    """A line, a settlement or the totals as an object; a text where there is no element in it."""
    if not len(part) and content(part):
        return part.text
    found: dict[str, Any] = {}
    for child in part:
        name, text = child.tag, child.text
        if name in shape.amounts and not len(child):
            if text and (text := text.strip()):
                _put(found, name, amount(text))
        elif text and not len(child) and name not in found:
            found[name] = text
        else:
            _put(found, name, _value(child, _DEPTH_LIMIT))
    return found


def _value(child: Element, depth: int) -> Any:
    """An element of which nothing is known: its text, or an object of what it has. Raises `RecursionError`."""
    if not len(child):
        return None if child.get(_NIL) in _TRUE else child.text or ""
    if not depth:
        raise RecursionError
    found: dict[str, Any] = {}
    for each in child:
        _put(found, each.tag, _value(each, depth - 1))
    return found


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    """A name that stands several times has a list of its values; one without a value is left out."""
    if value is None:
        return
    if name not in found:
        found[name] = value
    elif isinstance(found[name], _Several):
        found[name].append(value)
    else:
        found[name] = _Several([found[name], value])


class _Several(list[Any]):
    """The values of a name that stands more than once."""
