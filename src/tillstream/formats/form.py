"""HTML forms: URL-encoded `name=value` pairs with one receipt per form."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from tillstream.config.settings import Settings
from tillstream.formats.base import BOM, LIMIT_HINT, Decoded, Decoder, Record, Unreadable, read_up_to, shorten, text_of
from tillstream.formats.canonical import LISTS, PARTS, Field, Members, amount_json, find_field, receipt_json, text_json
from tillstream.receipt.model import PERSONAL, Fault

_FormField = tuple[str, tuple[str, int], Members]
"""A form field: its path, the object that contains it, and a cache that maps texts of the field to JSON.

The object is written as a part of the receipt and an index: `("lines", 0)` for `lines[0].productCode`.
"""

MEDIA_TYPE = "application/x-www-form-urlencoded"

FIELD_LIMIT = 10_000
"""The maximum number of fields in a form. Empty fields count, too."""

_FAULTS_LIMIT = 100
_CACHED_NAMES = 2_000
_CACHED_NAME_CHARS = 200
_CACHED_TEXTS = 4_096

_NAME_HINT = "write names such as lines[0].productCode"
_VALUE_HINT = "escape % as %25, and send UTF-8"

_LIST_FIELD = re.compile(r"(lines|settlements)\[([0-9]{1,5})\]\.([^\[\].]+)", re.IGNORECASE | re.ASCII)
_BRACKETS = re.compile(r"[\[\]]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HEAD = re.compile(r"(?:[^&=\s{}<>\"]{1,200}=[^&\s]*&){0,200}cashReceiptID=", re.IGNORECASE)


class FormDecoder(Decoder):
    """The format with one receipt as an HTML form. The name of a form field is the path of a receipt field."""

    name = "form"
    title = "HTML form"
    help = (
        "One receipt as browsers send forms. Ingest serves such a form at `/receipt`. The name of a form field is the "
        "path of a receipt field: `cashReceiptID`, `documentTotal.grossTotal`, `lines[0].productCode`, "
        "`settlements[0].settlementAmount`. Each field may occur once. Empty fields are ignored, and the indexes of "
        "lines and settlements may have gaps. Amounts may have a decimal comma. Any web page can make a browser send "
        "a form, so forms that come from a page of another origin are refused."
    )
    media_types = (MEDIA_TYPE,)
    example = (
        "storeID=12&terminalID=2&cashReceiptID=1047&date=2026-11-23+10%3A15%3A00&documentTotal.grossTotal=2%2C40"
        "&lines%5B0%5D.productCode=0102&lines%5B0%5D.quantity=2&lines%5B0%5D.settlementAmount=2%2C40"
        "&settlements%5B0%5D.paymentMechanism=CB&settlements%5B0%5D.settlementAmount=2%2C40"
    )
    sent_by_pages = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._fields: dict[str, _FormField] = {}
        self._known_members: dict[Field, Members] = {}

    def recognises(self, head: bytes) -> bool:
        return _HEAD.match(text_of(head)) is not None

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit_bytes = self.settings.receipt_limit_bytes
        payload = read_up_to(limit_bytes + 1, source)
        if len(payload) > limit_bytes:
            yield Unreadable.because(f"the form has more than {limit_bytes} bytes", LIMIT_HINT, payload[:limit_bytes])
        elif payload.strip():
            yield self.one(payload)

    def one(self, payload: bytes) -> Decoded:
        if not payload.strip():
            return super().one(payload)
        if payload.count(b"&") >= FIELD_LIMIT:
            return Unreadable.because(
                f"the form has more than {FIELD_LIMIT} fields", "send one receipt per form", payload
            )
        try:
            pairs = payload.removeprefix(BOM).decode().strip("\r\n").split("&")
        except UnicodeDecodeError as error:
            hint = "escape all but ASCII: %C3%A9 is é"
            return Unreadable.because(f"byte {error.start + 1} is not UTF-8", hint, payload)
        fields, faults, filled = self._fields, list[Fault](), set[str]()
        objects: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
        for pair in pairs:
            name, _, value = pair.partition("=")
            path = ""
            try:
                path, parent, members_by_text = fields.get(name) or self._parse_name(name)
                if member := members_by_text[value]:
                    if path in filled:
                        faults.append(Fault(f"$.{path}", "it occurs twice", "send each field once"))
                    filled.add(path)
                    objects[parent].append(member)
            except ValueError as error:
                if name or value:
                    faults.append(_fault(name, path, value, error))
        if faults:
            return Unreadable(faults[:_FAULTS_LIMIT], payload)
        parts: dict[str, list[str]] = {part: [] for part in PARTS}
        for (part, _), members in sorted(objects.items()):
            parts[part].append("".join(members))
        receipt, total, lines, settlements = parts.values()
        return Record(receipt_json("".join(receipt), "".join(total), lines, settlements), payload)

    def _parse_name(self, name: str) -> _FormField:
        """Parse the URL-encoded name of a form field. Raises `ValueError` if it is not the path of a field."""
        if not name:
            raise ValueError("it has no name")
        path, index = unquote(name), "0"
        in_list = _LIST_FIELD.fullmatch(path)
        if in_list:
            part, index, inner = in_list.groups()
            path = f"{part}.{inner}"
        field = None if _BRACKETS.search(path) else find_field(path)
        if field is None or not field.path or (field.part in LISTS) is not bool(in_list):
            raise ValueError("it is not the path of a field")
        path = f"{field.part}[{int(index)}].{field.name}" if in_list else field.path
        write = amount_json if field.amount else text_json
        members = Members(field, lambda text: write(unquote(text)), _CACHED_TEXTS if field.known else 1)
        if field.known:
            members = self._known_members.setdefault(field, members)
        form_field = path, (field.part, int(index)), members
        if len(name) <= _CACHED_NAME_CHARS:
            if len(self._fields) >= _CACHED_NAMES:
                self._fields.clear()
            self._fields[name] = form_field
        return form_field


def _fault(name: str, path: str, value: str, error: ValueError) -> Fault:
    if not path:
        return Fault("$", f"{shorten(name or value)}: {error}", _NAME_HINT if name else _VALUE_HINT)
    shown = "its value" if path in PERSONAL else shorten(value)
    return Fault(f"$.{path}", f"{shown}: {error}", _VALUE_HINT)


def unquote(text: str) -> str:
    """Decode a URL-encoded name or value and strip surrounding spaces.

    Raises `ValueError` if an escape is incomplete or the bytes are not UTF-8.
    """
    if "%" not in text:
        return text.replace("+", " ").strip(" ")
    if _BAD_ESCAPE.search(text):
        raise ValueError("a % is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode().strip(" ")
    except UnicodeDecodeError:
        raise ValueError("its bytes are not UTF-8") from None
