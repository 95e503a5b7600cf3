"""HTML forms: one receipt per form. The name of a form field is the path of a receipt field."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import getitem
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

from tillstream.config.settings import Settings
from tillstream.formats.base import BOM, LIMIT_HINT, Decoded, Decoder, Record, Unreadable, text_of
from tillstream.formats.fields import (
    LISTS,
    PARTS,
    RECEIPT,
    Field,
    Members,
    amount_json,
    find_field,
    receipt_json,
    shorten,
    text_json,
)
from tillstream.receipt.model import PERSONAL, Fault

MEDIA_TYPE = "application/x-www-form-urlencoded"

FIELD_LIMIT = 10_000
"""Maximum number of fields in one form, including empty ones."""

_FAULTS_LIMIT = 100
_CACHED_NAMES = 2_000
_CACHED_NAME_CHARS = 200
_KNOWN_FIELDS = 24
_CACHED_LAYOUTS = 100
_CACHED_FORM_CHARS = 32_768

_LIST_FIELD = re.compile(r"(lines|settlements)\[([0-9]{1,5})\]\.([^\[\].]+)", re.IGNORECASE | re.ASCII)
_BRACKETS = re.compile(r"[\[\]]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HEAD = re.compile(r"(?:[^&=\s{}<>\"]{1,200}=[^&\s]*&){0,200}cashReceiptID=", re.IGNORECASE)


class FormDecoder(Decoder):
    """Decoder of URL-encoded `name=value` pairs."""

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
        self._form_fields = _FormFields()
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def recognises(self, head: bytes) -> bool:
        return _HEAD.match(text_of(head)) is not None

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit_bytes = self.settings.receipt_limit_bytes
        pieces, size_bytes = [], 0
        while size_bytes <= limit_bytes and (more := source.read(limit_bytes + 1 - size_bytes)):
            pieces.append(more)
            size_bytes += len(more)
        payload = b"".join(pieces)
        if size_bytes > limit_bytes:
            fault = Fault("$", f"the form has more than {limit_bytes} bytes", LIMIT_HINT)
            yield Unreadable([fault], payload[:limit_bytes])
        elif payload.strip():
            yield self.one(payload)

    def one(self, payload: bytes) -> Decoded:
        if not payload.strip():
            return Unreadable([Fault("$", "there is no receipt in it", "send one")], payload)
        if payload.count(b"&") >= FIELD_LIMIT:
            fault = Fault("$", f"the form has more than {FIELD_LIMIT} fields", "send one receipt per form")
            return Unreadable([fault], payload)
        try:
            return Record(self._receipt(payload.removeprefix(BOM).decode()), payload)
        except ValueError:
            return Unreadable(list(islice(_faults(payload, self._form_fields), _FAULTS_LIMIT)), payload)

    def _receipt(self, form: str) -> bytes:
        """Raises `ValueError` if a name, a value or the number of a field's values is wrong."""
        pairs = [each.partition("=") for each in form.strip("\r\n").split("&")]
        names = tuple([name for name, _, _ in pairs])
        layout = self._layouts.get(names) or self._new_layout(names, len(form))
        return layout.receipt([value for _, _, value in pairs])

    def _new_layout(self, names: tuple[str, ...], form_chars: int) -> _Layout:
        """Raises `ValueError`."""
        layout = _layout([self._form_fields[name] for name in names])
        if form_chars <= _CACHED_FORM_CHARS:
            if len(self._layouts) >= _CACHED_LAYOUTS:
                self._layouts.clear()
            self._layouts[names] = layout
        return layout


class _Layout(NamedTuple):
    """The meaning of a form's names: the JSON members of each field, and where the fields belong.

    `parts` are the receipt, its totals, its lines and its settlements, as lists of objects. An object is a list of the
    indexes of its fields in the form. `repeated` has the indexes of each field that occurs more than once.
    """

    members: list[Members]
    parts: list[list[list[int]]]
    repeated: list[list[int]]

    def receipt(self, values: Sequence[str]) -> bytes:
        """The canonical receipt with these values. Raises `ValueError`."""
        members = list(map(getitem, self.members, values))
        if any(sum(bool(members[at]) for at in indexes) > 1 for indexes in self.repeated):
            raise ValueError("a field has two values")
        objects = [["".join([members[at] for at in indexes]) for indexes in part] for part in self.parts]
        receipt, total, lines, settlements = objects
        return receipt_json(
            "".join(receipt), "".join(total), list(filter(None, lines)), list(filter(None, settlements))
        )


class _FormField(NamedTuple):
    """A form field: its path in the receipt, the object that has it (part and index), and its JSON members."""

    path: str
    parent: tuple[str, int]
    members: Members


class _FormFields(dict[str, _FormField]):
    """Bounded cache of form fields by their names as sent, which are URL-encoded."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Field, Members] = {}

    def __missing__(self, name: str) -> _FormField:
        """Raises `ValueError`."""
        if not name:
            return _NAMELESS
        path, parent, field = _parse_name(name)
        if field.known:
            members = self._known.setdefault(field, Members(field, _unquoting(field), _KNOWN_FIELDS))
        else:
            members = Members(field, _unquoting(field), _CACHED_NAMES * _CACHED_NAMES)
        form_field = _FormField(path, parent, members)
        if len(name) <= _CACHED_NAME_CHARS:
            if len(self) >= _CACHED_NAMES:
                self.clear()
            self[name] = form_field
        return form_field


def _parse_name(name: str) -> tuple[str, tuple[str, int], Field]:
    """The path, the parent object and the field of a name. Raises `ValueError`."""
    path = unquote(name)
    in_list = _LIST_FIELD.fullmatch(path)
    if in_list:
        part, number, inner = in_list.groups()
        field = find_field(f"{part}.{inner}")
    else:
        number = "0"
        field = None if _BRACKETS.search(path) else find_field(path)
    if field is None or not field.path or (field.part in LISTS) is not bool(in_list):
        raise ValueError("it is not the path of a field")
    index = int(number)
    return f"{field.part}[{index}].{field.name}" if in_list else field.path, (field.part, index), field


def _unquoting(field: Field) -> Callable[[str], str]:
    write = amount_json if field.amount else text_json
    return lambda text: write(unquote(text))


def unquote(text: str) -> str:
    """Decode a URL-encoded name or value and strip the spaces around it. Raises `ValueError`."""
    if "%" not in text:
        return text.replace("+", " ").strip(" ")
    if _BAD_ESCAPE.search(text):
        raise ValueError("a % is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode().strip(" ")
    except UnicodeDecodeError:
        raise ValueError("its bytes are not UTF-8") from None


def _layout(fields: Sequence[_FormField]) -> _Layout:
    objects: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    paths: defaultdict[str, list[int]] = defaultdict(list)
    for at, field in enumerate(fields):
        objects[field.parent].append(at)
        paths[field.path].append(at)
    return _Layout(
        [field.members for field in fields],
        [[indexes for (part, _), indexes in sorted(objects.items()) if part == each] for each in PARTS],
        [indexes for path, indexes in paths.items() if path and len(indexes) > 1],
    )


def _faults(payload: bytes, form_fields: _FormFields) -> Iterator[Fault]:
    """Find all faults of a form, field by field."""
    try:
        pairs = payload.removeprefix(BOM).decode().strip("\r\n").split("&")
    except UnicodeDecodeError as error:
        yield Fault("$", f"byte {error.start + 1} is not UTF-8", "escape all but ASCII: %C3%A9 is é")
        return
    seen: set[str] = set()
    for each in pairs:
        name, _, value = each.partition("=")
        try:
            field = form_fields[name]
        except ValueError as error:
            yield Fault("$", f"{shorten(name)}: {error}", "write names such as lines[0].productCode")
            continue
        try:
            member = field.members[value]
        except ValueError as error:
            path = f"$.{field.path}" if field.path else "$"
            shown = "its value" if field.path in PERSONAL else shorten(value)
            yield Fault(path, f"{shown}: {error}", "escape % as %25, and send UTF-8")
            continue
        if member and field.path in seen:
            yield Fault(f"$.{field.path}", "it occurs twice", "send each field once")
        if member:
            seen.add(field.path)


def _nameless_json(text: str) -> str:
    if text:
        raise ValueError("it has no name")
    return ""


# A field without a name is allowed if it has no value either, as in `a=1&&b=2`.
_NAMELESS = _FormField("", (RECEIPT, 0), Members(Field(RECEIPT, ""), _nameless_json, 1))
