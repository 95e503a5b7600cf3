"""A web form: one receipt, each field by its path and escaped as browsers do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import getitem, itemgetter
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Unreadable, text_of
from tillstream.formats.fields import LISTS, PARTS, RECEIPT, Field, Values, amount_json, body, field, short, text_json
from tillstream.formats.json import BOM
from tillstream.receipt.model import PERSONAL, Fault

MEDIA_TYPE = "application/x-www-form-urlencoded"

FIELD_LIMIT = 10_000
"""Fields of one form, the empty ones among them."""

_FAULTS_KEPT = 100
_NAMES_KEPT = 2_000
_NAME_LENGTH = 200
_KNOWN = 24
_SHAPES_KEPT = 100
_SHAPE_LENGTH = 32_768

_LIST = re.compile(r"(lines|settlements)\[([0-9]{1,5})\]\.([^\[\].]+)", re.IGNORECASE | re.ASCII)
_BRACKETS = re.compile(r"[\[\]]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HEAD = re.compile(r"(?:[^&=\s{}<>\"]{1,200}=[^&\s]*&){0,200}cashReceiptID=", re.IGNORECASE)


class FormDecoder(Decoder):
    """`name=value` pairs."""

    name = "form"
    title = "HTML form"
    help = (
        "One receipt as browsers send forms; ingest has such a form at `/receipt`. A field's name is its path: "
        "`cashReceiptID`, `documentTotal.grossTotal`, `lines[0].productCode`, `settlements[0].settlementAmount`, each "
        "once; what is empty says nothing, and the numbers of lines and settlements may have gaps. Amounts take a "
        "decimal comma as well. Any web page can have a browser send a form, so one that a page of another address "
        "sent is refused."
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
        self._places = _Places()
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        # The last one of so many fields.
        self._usual: dict[int, _Shape] = {}

    def recognises(self, head: bytes) -> bool:
        return _HEAD.match(text_of(head)) is not None

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit_bytes = self.settings.receipt_limit_bytes
        came, size_bytes = [], 0
        while size_bytes <= limit_bytes and (more := source.read(limit_bytes + 1 - size_bytes)):
            came.append(more)
            size_bytes += len(more)
        payload = b"".join(came)
        if size_bytes > limit_bytes:
            fault = Fault("$", f"the form has more than {limit_bytes} bytes", "the setting is receipt_limit_bytes")
            yield Unreadable([fault], payload[:limit_bytes])
        elif payload.strip():
            yield self.one(payload)

    def one(self, payload: bytes) -> Decoded:
        if not payload.strip():
            return Unreadable([Fault("$", "there is no receipt in it", "send one")], payload)
        if payload.count(b"&") >= FIELD_LIMIT:
            fault = Fault("$", f"the form has more than {FIELD_LIMIT} fields", "a form is one receipt")
            return Unreadable([fault], payload)
        try:
            return Record(self._body(payload.removeprefix(BOM).decode()), payload)
        except ValueError:
            return Unreadable(list(islice(_faults(payload, self._places), _FAULTS_KEPT)), payload)

    def _body(self, form: str) -> bytes:
        """Raises `ValueError` where a name, a value or their number is wrong."""
        bare = form.strip("\r\n")
        fields = bare.split("&")
        # The forms of one page have the same names again and again.
        shape = self._usual.get(len(fields), _UNKNOWN)
        values = list(map(str.removeprefix, fields, shape.begins))
        if sum(map(len, values)) + shape.length != len(bare):
            names, _, values = map(list, zip(*[each.partition("=") for each in fields], strict=True))
            shape = self._shape(tuple(names), len(bare))
        members = list(map(getitem, shape.values, values))
        if shape.twice or not all(members):
            return shape.sparse(members)
        for at in shape.lasts:
            members[at] = members[at][:-1]
        return (shape.template % shape.choose(members)).encode()

    def _shape(self, names: tuple[str, ...], size: int) -> _Shape:
        """Raises `ValueError`."""
        shape = self._shapes.get(names) or _shape(names, [self._places[name] for name in names])
        if size <= _SHAPE_LENGTH:
            if len(self._shapes) >= _SHAPES_KEPT:
                self._shapes.clear()
                self._usual.clear()
            self._shapes[names] = self._usual[len(names)] = shape
        return shape


class _Shape(NamedTuple):
    """What the names of a form mean together.

    `begins` is what its fields begin with; with what stands between them that has `length` characters. `values` are
    theirs in order; `parts` are the receipt, its totals, the lines and the settlements, as lists of objects, each by
    the places of its fields in the form; `twice` are the places of each field that comes again. Where every field
    says something, those that `choose` takes are filled into `template`, the `lasts` of their objects without a comma.
    """

    begins: list[str]
    length: int
    values: list[Values]
    parts: list[list[list[int]]]
    twice: list[list[int]]
    choose: Callable[[list[str]], tuple[str, ...]]
    template: str
    lasts: list[int]

    def sparse(self, members: list[str]) -> bytes:
        """The receipt of fields of which some are empty. Raises `ValueError`."""
        if any(sum(bool(members[at]) for at in places) > 1 for places in self.twice):
            raise ValueError("a field stands twice")
        receipt, total, lines, settlements = [
            [inside for places in part if (inside := "".join([members[at] for at in places]))] for part in self.parts
        ]
        return body("".join(receipt), "".join(total), lines, settlements)


class _Place(NamedTuple):
    """What a name means: its path, the object it stands in, and its values as JSON."""

    path: str
    part: tuple[str, int]
    values: Values


class _Places(dict[str, _Place]):
    """Places by names as they come, escaped; remembers a bounded number of them."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Field, Values] = {}

    def __missing__(self, name: str) -> _Place:
        """Raises `ValueError`."""
        if not name:
            return _NOWHERE
        path, part, found = _found(name)
        values = self._known.get(found) or Values(
            found, _escaped(found), _KNOWN if found.known else _NAMES_KEPT * _NAMES_KEPT
        )
        if found.known:
            self._known[found] = values
        place = _Place(path, part, values)
        if len(name) <= _NAME_LENGTH:
            if len(self) >= _NAMES_KEPT:
                self.clear()
            self[name] = place
        return place


def _found(name: str) -> tuple[str, tuple[str, int], Field]:
    """The path that a name is, the object that it leads into, and the field. Raises `ValueError`."""
    path = unescaped(name)
    in_list = _LIST.fullmatch(path)
    if in_list:
        part, number, inner = in_list.groups()
        found = field(f"{part}.{inner}")
    else:
        number = "0"
        found = None if _BRACKETS.search(path) else field(path)
    if found is None or not found.path or (found.part in LISTS) is not bool(in_list):
        raise ValueError("it is no path of a field")
    index = int(number)
    full = f"{found.part}[{index}].{found.name}" if in_list else found.path
    return full, (found.part, index), found


def _escaped(found: Field) -> Callable[[str], str]:
    write = amount_json if found.amount else text_json
    return lambda text: write(unescaped(text))


def unescaped(text: str) -> str:
    """A name or a value without its escapes and the blanks around it. Raises `ValueError`."""
    if "%" not in text:
        return text.replace("+", " ").strip(" ")
    if _BAD_ESCAPE.search(text):
        raise ValueError("a % is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode().strip(" ")
    except UnicodeDecodeError:
        raise ValueError("its bytes are not UTF-8") from None


def _shape(names: Sequence[str], places: Sequence[_Place]) -> _Shape:
    objects: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    paths: defaultdict[str, list[int]] = defaultdict(list)
    for at, place in enumerate(places):
        objects[place.part].append(at)
        paths[place.path].append(at)
    parts = [[inside for (name, _), inside in sorted(objects.items()) if name == part] for part in PARTS]
    twice = [found for path, found in paths.items() if path and len(found) > 1]
    begins = [f"{name}=" for name in names]
    order = [at for part in parts for inside in part for at in inside]
    receipt, total, lines, settlements = [["%s" * len(inside) + "," for inside in part] for part in parts]
    template = body("".join(receipt).removesuffix(","), "".join(total), lines, settlements).decode()
    # The receipt's own end with a comma where one of its parts follows.
    ended = parts[1:] if any(parts[1:]) else parts
    return _Shape(
        begins,
        len("&".join(begins)),
        [place.values for place in places],
        parts,
        twice,
        itemgetter(*order) if len(order) > 1 else tuple,
        template,
        [inside[-1] for part in ended for inside in part],
    )


def _faults(payload: bytes, places: _Places) -> Iterator[Fault]:
    """All that is wrong with the form, by its fields."""
    try:
        fields = payload.removeprefix(BOM).decode().strip("\r\n").split("&")
    except UnicodeDecodeError as error:
        yield Fault("$", f"byte {error.start + 1} is not UTF-8", "escape what is not ASCII: %C3%A9 is é")
        return
    seen: set[str] = set()
    for each in fields:
        name, _, value = each.partition("=")
        try:
            place = places[name]
        except ValueError as error:
            yield Fault("$", f"{short(name)}: {error}", "write names such as lines[0].productCode")
            continue
        try:
            member = place.values[value]
        except ValueError as error:
            path = f"$.{place.path}" if place.path else "$"
            told = "its value" if place.path in PERSONAL else short(value)
            yield Fault(path, f"{told}: {error}", "escape a % as %25, and all in UTF-8")
            continue
        if member and place.path in seen:
            yield Fault(f"$.{place.path}", "it stands twice", "a field stands once")
        if member:
            seen.add(place.path)


def _nameless(text: str) -> str:
    if text:
        raise ValueError("it has no name")
    return ""


# Where a field without a name would stand; one without a value either means nothing, as in `a=1&&b=2`.
_NOWHERE = _Place("", (RECEIPT, 0), Values(Field(RECEIPT, ""), _nameless, 1))
_UNKNOWN = _Shape([], -1, [], [], [], tuple, "", [])
