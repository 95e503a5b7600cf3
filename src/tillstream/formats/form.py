"""HTML forms: URL-encoded `name=value` pairs with one receipt per form."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice, repeat
from operator import getitem, itemgetter
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_plus

from tillstream.config.settings import Settings
from tillstream.formats.base import BOM, LIMIT_HINT, Decoded, Decoder, Record, Unreadable, read_up_to, shorten, text_of
from tillstream.formats.canonical import (
    LISTS,
    PARTS,
    RECEIPT,
    Field,
    Members,
    amount_json,
    find_field,
    receipt_json,
    text_json,
)
from tillstream.receipt.model import PERSONAL, Fault

MEDIA_TYPE = "application/x-www-form-urlencoded"

FIELD_LIMIT = 10_000
"""The maximum number of fields in a form. Empty fields count, too."""

_FAULTS_LIMIT = 100
_CACHED_TEXTS = 4_096

_NO_SEPARATORS = bytes(set(range(256)) - set(b"&="))

# Together, these limit the memory of the cached layouts.
_CACHED_LAYOUTS = 100
_CACHED_LAYOUT_FIELDS = 500
_CACHED_LAYOUT_BYTES = 100_000

_NAME_HINT = "write names such as lines[0].productCode"
_VALUE_HINT = "escape % as %25, and send UTF-8"

_LIST_FIELD = re.compile(r"(lines|settlements)\[([0-9]{1,5})\]\.([^\[\].]+)", re.IGNORECASE | re.ASCII)
_BRACKETS = re.compile(r"[\[\]]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HEAD = re.compile(r"(?:[^&=\s{}<>\"]{1,200}=[^&\s]*&){0,200}cashReceiptID=", re.IGNORECASE)


class _Layout(NamedTuple):
    """The fields of a form, without their texts. Forms with the same names in the same order share one layout.

    Each field has a path and a cache that maps its texts to JSON members. The path is empty if the name is not the path
    of a field. The cache of such a field refuses every text.
    """

    paths: list[str]
    members: list[Members]
    objects: Sequence[tuple[str, Callable[[Sequence[str]], Iterable[str]]]]
    """For each object of the receipt: its part, and a function that picks its members from those of all fields."""
    has_repeated_path: bool
    """Whether several fields have the same path. This is a fault if more than one of them has a text."""


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
        self._members: dict[Field, Members] = {}
        self._cached_layout = lru_cache(_CACHED_LAYOUTS)(self._layout)

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
        separators = payload.translate(None, _NO_SEPARATORS)
        if separators.count(b"&") >= FIELD_LIMIT:
            return Unreadable.because(
                f"the form has more than {FIELD_LIMIT} fields", "send one receipt per form", payload
            )
        try:
            text = payload.removeprefix(BOM).decode().strip("\r\n")
        except UnicodeDecodeError as error:
            return Unreadable.because(
                f"byte {error.start + 1} is not UTF-8", "escape all but ASCII: %C3%A9 is é", payload
            )
        if separators == b"=" + b"&=" * separators.count(b"&"):
            # Browsers write one `=` in each field. Splitting at both characters is twice as fast as below.
            parts = text.replace("=", "&").split("&")
            names, texts = tuple(parts[::2]), tuple(parts[1::2])
        else:
            names, _, texts = zip(*map(str.partition, text.split("&"), repeat("=")), strict=True)
        cached = len(names) <= _CACHED_LAYOUT_FIELDS and len(payload) <= _CACHED_LAYOUT_BYTES
        layout = self._cached_layout(names) if cached else self._layout(names)
        try:
            members = list(map(getitem, layout.members, texts))
        except ValueError:
            members = []
        if layout.has_repeated_path or not members:
            faults = list(islice(_faults(layout, names, texts), _FAULTS_LIMIT))
            if faults:
                return Unreadable(faults, payload)
        objects: dict[str, list[str]] = {part: [] for part in PARTS}
        for part, pick in layout.objects:
            if joined := "".join(pick(members)):
                objects[part].append(joined)
        receipt, total, lines, settlements = objects.values()
        return Record(receipt_json("".join(receipt), "".join(total), lines, settlements), payload)

    def _layout(self, names: Sequence[str]) -> _Layout:
        paths, members = list[str](), list[Members]()
        objects: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for number, name in enumerate(names):
            try:
                field, index = _parse_name(name)
                members.append(self._members_of(field))
            except ValueError as error:
                field, index = Field(RECEIPT, ""), None
                members.append(Members(field, partial(_refuse, name, str(error)), 1))
            paths.append(field.path if index is None else f"{field.part}[{index}].{field.name}")
            objects[field.part, index or 0].append(number)
        # If an object has a single field, `itemgetter` returns its member itself. Joining a text returns that text.
        pickers = [(part, itemgetter(*numbers)) for (part, _), numbers in sorted(objects.items())]
        return _Layout(paths, members, pickers, len(set(paths)) < len(paths))

    def _members_of(self, field: Field) -> Members:
        write = amount_json if field.amount else text_json
        members = Members(field, lambda text: write(unquote(text)), _CACHED_TEXTS if field.known else 1)
        return self._members.setdefault(field, members) if field.known else members


def _parse_name(name: str) -> tuple[Field, int | None]:
    """Parse the URL-encoded name of a form field: return the field and its index in a list.

    Raises `ValueError` if the name is not the path of a field.
    """
    if not name:
        raise ValueError("it has no name")
    path, index = unquote(name), None
    in_list = _LIST_FIELD.fullmatch(path)
    if in_list:
        path, index = f"{in_list[1]}.{in_list[3]}", int(in_list[2])
    field = None if _BRACKETS.search(path) else find_field(path)
    if field is None or not field.path or (field.part in LISTS) is not bool(in_list):
        raise ValueError("it is not the path of a field")
    return field, index


def _refuse(name: str, error: str, text: str) -> str:
    """Raise a `ValueError`, except for a field without both name and text, such as that after a trailing `&`."""
    if name or text:
        raise ValueError(error)
    return ""


def _faults(layout: _Layout, names: Sequence[str], texts: Sequence[str]) -> Iterator[Fault]:
    filled = set[str]()
    for name, path, members, text in zip(names, layout.paths, layout.members, texts, strict=True):
        try:
            if members[text]:
                if path in filled:
                    yield Fault(f"$.{path}", "it occurs twice", "send each field once")
                filled.add(path)
        except ValueError as error:
            yield _fault(name, path, text, error)


def _fault(name: str, path: str, value: str, error: ValueError) -> Fault:
    if not path:
        return Fault("$", f"{shorten(name or value)}: {error}", _NAME_HINT if name else _VALUE_HINT)
    shown = "its value" if path in PERSONAL else shorten(value)
    return Fault(f"$.{path}", f"{shown}: {error}", _VALUE_HINT)


def unquote(text: str) -> str:
    """Decode a URL-encoded name or value and strip surrounding spaces.

    Raises `ValueError` if an escape is incomplete or the bytes are not UTF-8.
    """
    if _BAD_ESCAPE.search(text):
        raise ValueError("a % is not followed by two hexadecimal digits")
    try:
        return unquote_plus(text, errors="strict").strip(" ")
    except UnicodeDecodeError:
        raise ValueError("its bytes are not UTF-8") from None
