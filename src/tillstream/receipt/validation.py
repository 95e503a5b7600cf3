"""Whether bytes are a receipt: a quick look that accepts, and a slow one that names every fault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date as calendar_day
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct, inspect

from tillstream.clock import utc
from tillstream.config.settings import Settings
from tillstream.errors import TillstreamError
from tillstream.receipt.amounts import (
    AMOUNT_LIMIT,
    UnreadableNumber,
    may_have_unreadable_number,
    parse_decimal,
    parse_integer,
)
from tillstream.receipt.business_day import BusinessDays
from tillstream.receipt.model import NO_TERMINAL, RECEIPT, REFUSAL, Fault, Receipt, receipt_key
from tillstream.receipt.reasons import only_begun

CLOCK_AHEAD_A_DAY = "clock_ahead_a_day"
"""The note on a receipt dated more than 24 h ahead: it is filed under the day it was received."""

ID_LIMIT = 128
ITEMS_LIMIT = 10_000
FAULTS_LIMIT = 1_000

# Of one text of a fault, and of all the faults of something refused with the names that JSON puts around them.
_REASON_LIMIT_CHARS = 4_000
_REASONS_LIMIT_CHARS = 256_000
_REASON_NAMES_CHARS = 40

DAY_S = 86_400
# Local time and UTC differ by less than 16 hours everywhere, so up to here no zone needs a look.
_SURELY_NOT_AHEAD_S = DAY_S - 16 * 3_600
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of wall-clock times, which have no zone
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_DATES_KEPT = 20_000
# The engine keeps six decimals, half-up: the limit holds after that rounding too.
_LARGEST_AMOUNT = AMOUNT_LIMIT - Decimal("0.0000006")

_DATE = re.compile(r"[0-9W-]{7,10}[ T][0-9:.,]{4,}(?:Z|[+-][0-9:]{2,8})?", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_SHAPE = inspect.type_info(Receipt)


class ReceiptError(TillstreamError):
    """Every fault of the bytes, and whether they could be parsed at all (400 or 422)."""

    def __init__(self, faults: Sequence[Fault], parseable: bool) -> None:
        self.faults = faults
        self.parseable = parseable
        super().__init__(faults, parseable)


class Validator:
    """Checks receipts against `tillstream.receipt.Receipt` and the chain's settings.

    Of a known field that stands twice in one object, every occurrence is checked: whichever of them
    a reader takes, it was looked at. The head has the last of each; figures are made of the first.
    """

    def __init__(self, settings: Settings) -> None:
        self._currency = settings.currency
        self._decode = msgspec.json.Decoder(_quick_twin(Receipt, currency=self._currency)).decode
        self._limit_bytes = settings.receipt_limit_bytes
        self._zone = ZoneInfo(settings.zone)
        self._zones = {store: ZoneInfo(name) for store, name in settings.store_zones.items()}
        self._days = BusinessDays(settings)
        self._dates: dict[str, tuple[str, str, int]] = {}

    def check(self, body: bytes, received_us: int, source: str, till_day: str = "") -> tuple[bytes, str, str]:
        """The log's head of the receipt, its key and its business day. Raises `ReceiptError`.

        `till_day` is the till's own business day, YYYY-MM-DD, where its format has one: it wins.
        """
        # What the quick look doubts may still be right (an amount as a text), so the slow one decides.
        try:
            # Nothing is made of what is too large: a small part of it could be millions of lines.
            receipt = self._decode(body if len(body) <= self._limit_bytes else b"")
            store, number = str(receipt.storeID), str(receipt.cashReceiptID)
            terminal = NO_TERMINAL if receipt.terminalID in (None, "") else str(receipt.terminalID)
            if (
                0 < len(store) <= ID_LIMIT
                and 0 < len(number) <= ID_LIMIT
                and len(terminal) <= ID_LIMIT
                and store.isprintable()
                and number.isprintable()
                and terminal.isprintable()
                and (body.isascii() or body.decode())
                and not may_have_unreadable_number(body)
            ):
                return self._assemble(store, terminal, number, receipt.date, received_us, source, till_day)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        store, terminal, number, date = self._examine(body)
        return self._assemble(store, terminal, number, date, received_us, source, till_day)

    def refusal(self, faults: Sequence[Fault], original: bytes, received_us: int, source: str) -> tuple[bytes, bytes]:
        """The log's head of something refused, and as much of it as a receipt may be large."""
        day = self._day(utc(received_us).astimezone(self._zone))
        told, limit = _bounded(faults), self._limit_bytes
        # A decoder cuts there too, and doesn't say so.
        if len(original) >= limit:
            told.append(only_begun(limit, len(original)))
        reasons = msgspec.json.encode([fault.as_dict() for fault in told]).decode()
        head = f"{REFUSAL}\t\t{received_us}\t{day}\t\t\t\t\t{source}\t{reasons}\n"
        return head.encode(), original[:limit]

    def _assemble(
        self, store: str, terminal: str, number: str, date: str, received_us: int, source: str, till_day: str
    ) -> tuple[bytes, str, str]:
        local, day, wall_s = self._dates.get(date) or self._local(date, store)
        if till_day:
            if not _is_day(till_day):
                hint = "write the till's own business day as 2026-11-23"
                raise ReceiptError([Fault("$.day", f"expected a day, got {_show(till_day)}", hint)], parseable=True)
            day = till_day
        notes = ""
        if wall_s - received_us // 1_000_000 > _SURELY_NOT_AHEAD_S:
            zone = self._zones.get(store, self._zone)
            if datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() - received_us / 1_000_000 > DAY_S:
                day = self._day(utc(received_us).astimezone(zone))
                notes = CLOCK_AHEAD_A_DAY
        key = receipt_key(store, terminal, number, local)
        head = f"{RECEIPT}\t{key}\t{received_us}\t{day}\t{local}\t{store}\t{terminal}\t{number}\t{source}\t{notes}\n"
        return head.encode(), key, day

    def _local(self, text: str, store: str) -> tuple[str, str, int]:
        """Canonical local date, business day, and seconds since 1970 on that wall clock. Raises `ValueError`."""
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.upper())
        zoned = moment.tzinfo is not None
        if zoned:
            try:
                moment = moment.astimezone(self._zones.get(store, self._zone)).replace(tzinfo=None)
            except OverflowError as error:
                raise ValueError(text) from error
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise ValueError(text)
        moment = moment.replace(microsecond=0, fold=0)
        wall_s = int((moment - _EPOCH).total_seconds())
        known = (moment.isoformat(" "), self._day(moment), wall_s)
        if not zoned:
            if len(self._dates) >= _DATES_KEPT:
                self._dates.clear()
            self._dates[text] = known
        return known

    def _day(self, local: datetime) -> str:
        return self._days.day_of(local.replace(tzinfo=None)).isoformat()

    def _examine(self, body: bytes) -> tuple[str, str, str, str]:
        """Store, terminal, number and date, where the slow look finds no fault. Raises `ReceiptError`."""
        if len(body) > self._limit_bytes:
            error = f"the receipt takes {len(body)} bytes, more than {self._limit_bytes}"
            raise ReceiptError([Fault("$", error, "the setting is receipt_limit_bytes")], parseable=True)
        value = parse(body)
        faults = list(walk(_SHAPE, value, "$"))
        if isinstance(value, dict):
            faults += self._rules(value, {fault.path for fault in faults})
        if len(faults) > FAULTS_LIMIT:
            more = len(faults) - FAULTS_LIMIT
            faults = [*faults[:FAULTS_LIMIT], Fault("$", f"there are {more} more faults")]
        if faults:
            raise ReceiptError(faults, parseable=True)
        terminal = value.get("terminalID")
        return (
            str(value["storeID"]),
            NO_TERMINAL if terminal in (None, "") else str(terminal),
            str(value["cashReceiptID"]),
            value["date"],
        )

    def _rules(self, receipt: dict[str, Any], faulty: set[str]) -> Iterator[Fault]:
        """What types alone don't say, of the fields whose types are right."""
        for name in ("cashReceiptID", "storeID", "terminalID"):
            path, value = f"$.{name}", receipt.get(name)
            if path in faulty or value is None:
                continue
            text = str(value)
            if not text and name != "terminalID":
                yield Fault(path, "it is empty", "a receipt is known by its store, its till and its number")
            if len(text) > ID_LIMIT:
                yield Fault(path, f"it has {len(text)} characters, more than {ID_LIMIT}")
            if _CONTROL.search(text):
                yield Fault(path, "it has a control character", "such as a tab or a line break")
        if "$.date" not in faulty:
            try:
                self._local(receipt["date"], str(receipt.get("storeID")))
            except ValueError:
                error = f"expected a date and time, got {_show(receipt['date'])}"
                yield Fault("$.date", error, "write 2026-11-23 10:15:00, or ISO 8601")
        for currency in _occurrences(receipt, "currency"):
            if "$.currency" not in faulty and currency not in (None, "", self._currency):
                yield Fault(
                    "$.currency", f"expected {self._currency}, got {_show(currency)}", "a chain has one currency"
                )


@lru_cache(maxsize=1_024)
def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and _FIRST_YEAR <= calendar_day.fromisoformat(text).year <= _LAST_YEAR
    except ValueError:
        return False


class _Repeating(dict[str, Any]):
    """An object in which a name stands more than once: it has the last of each, `earlier` the others."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.earlier: dict[str, list[Any]] = {}
        last = {name: index for index, (name, _) in enumerate(pairs)}
        for index, (name, value) in enumerate(pairs):
            if index != last[name]:
                self.earlier.setdefault(name, []).append(value)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Repeating(pairs)


def _occurrences(value: dict[str, Any], name: str) -> list[Any]:
    """What the object says of a name, as often as it says it, in order."""
    if name not in value:
        return []
    earlier = value.earlier.get(name, []) if isinstance(value, _Repeating) else []
    return [*earlier, value[name]]


def _quick_twin(kind: Any, **fixed: str) -> Any:
    """The same type with limits in it and with floats for decimals, which are only compared with them.

    Of the fields in `fixed` it takes that text alone, or null. What the type says is checked of every
    occurrence of a field, what is asked of the decoded receipt of the last one only.
    """
    if kind is Decimal:
        return Annotated[float, Meta(gt=float(-AMOUNT_LIMIT), lt=float(AMOUNT_LIMIT))]
    if get_origin(kind) is list:
        return Annotated[list[_quick_twin(get_args(kind)[0])], Meta(max_length=ITEMS_LIMIT)]  # type: ignore[misc]
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, [_quick_twin(part) for part in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, Struct):
        hints = get_type_hints(kind)
        fields = [
            (
                field.name,
                Literal[fixed[field.name]] | None if field.name in fixed else _quick_twin(hints[field.name]),
                *([] if field.required else [field.default]),
            )
            for field in msgspec.structs.fields(kind)
        ]
        return msgspec.defstruct(kind.__name__, fields, gc=False)
    return kind


def parse(body: bytes) -> Any:
    """JSON as Python has it, numbers as exact as they came. Raises `ReceiptError`."""
    if not body.strip():
        raise ReceiptError([Fault("$", "it is empty", "send one JSON object")], parseable=False)
    try:
        text = body.decode()
        # msgspec is as strict as the engine's parser; `json` keeps the digits of every number.
        msgspec.json.decode(body, type=msgspec.Raw)
        return json.loads(text, parse_float=parse_decimal, parse_int=parse_integer, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        fault = Fault("$", f"byte {error.start} is not UTF-8", "send JSON in UTF-8")
        raise ReceiptError([fault], parseable=False) from error
    except RecursionError as error:
        raise ReceiptError([Fault("$", "it is nested too deeply")], parseable=False) from error
    except (msgspec.DecodeError, ValueError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise ReceiptError([Fault("$", f"not JSON: {reason}", "send one JSON object")], parseable=False) from error


def _bounded(faults: Sequence[Fault]) -> list[Fault]:
    """As many faults, and as much of each, as quarantine keeps: other programs write them too."""
    kept, room = [], _REASONS_LIMIT_CHARS
    for index, fault in enumerate(faults):
        short = Fault(*(text[:_REASON_LIMIT_CHARS] for text in (fault.path, fault.error, fault.hint)))
        room -= len(short.path) + len(short.error) + len(short.hint) + _REASON_NAMES_CHARS
        if room < 0:
            kept.append(Fault("$", f"there are {len(faults) - index} more faults"))
            break
        kept.append(short)
    return kept


def walk(shape: inspect.Type, value: Any, path: str) -> Iterator[Fault]:
    """Every place where the value, as `parse` makes it, is not of the shape.

    Shapes are made of structs, arrays, texts, ids, amounts, whole numbers and instants, each of them or null.
    """
    if isinstance(shape, inspect.UnionType):
        if value is None and shape.includes_none:
            return
        kinds = [part for part in shape.types if not isinstance(part, inspect.NoneType)]
        if len(kinds) == 1:
            yield from walk(kinds[0], value, path)
        elif isinstance(value, bool) or not isinstance(value, str | int):
            yield Fault(path, f"expected a text or an integer, got {_show(value)}")
    elif isinstance(shape, inspect.StructType):
        yield from _walk_object(shape, value, path)
    elif isinstance(shape, inspect.ListType):
        if not isinstance(value, list):
            yield Fault(path, f"expected an array, got {_show(value)}")
        elif len(value) > ITEMS_LIMIT:
            yield Fault(path, f"it has {len(value)} entries, more than {ITEMS_LIMIT}")
        else:
            for index, item in enumerate(value):
                yield from walk(shape.item_type, item, f"{path}[{index}]")
    else:
        yield from _walk_scalar(shape, value, path)


def _walk_scalar(shape: inspect.Type, value: Any, path: str) -> Iterator[Fault]:
    if isinstance(shape, inspect.DecimalType):
        yield from _walk_amount(value, path)
    elif isinstance(shape, inspect.IntType):
        if isinstance(value, bool) or not isinstance(value, int):
            yield Fault(path, f"expected a whole number, got {_show(value)}")
        elif abs(value) >= AMOUNT_LIMIT:
            yield Fault(path, f"expected a number between -10^13 and 10^13, got {_show(value)}")
    elif not isinstance(value, str):
        yield Fault(path, f"expected a text, got {_show(value)}")
    elif isinstance(shape, inspect.DateTimeType) and not _is_instant(value):
        yield Fault(path, f"expected a time with its zone, got {_show(value)}", "write 2026-11-23T09:15:00Z")


def _is_instant(text: str) -> bool:
    try:
        msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError:
        return False
    return True


def _walk_object(shape: inspect.StructType, value: Any, path: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        hint = "send several receipts to /receipts" if path == "$" and isinstance(value, list) else ""
        yield Fault(path, f"expected an object, got {_show(value)}", hint)
        return
    for field in shape.fields:
        for occurrence in _occurrences(value, field.encode_name):
            yield from walk(field.type, occurrence, f"{path}.{field.encode_name}")
        if field.required and field.encode_name not in value:
            yield Fault(f"{path}.{field.encode_name}", "it is missing", "a receipt needs it")


def _walk_amount(value: Any, path: str) -> Iterator[Fault]:
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = parse_decimal(value)
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        hint = "write a point before the decimals" if isinstance(value, str) and "," in value else ""
        yield Fault(path, f"expected a number, got {_show(value)}", hint)
    elif not -_LARGEST_AMOUNT <= number <= _LARGEST_AMOUNT:
        yield Fault(path, f"expected a number between -10^13 and 10^13, got {_show(value)}")
    elif isinstance(number, UnreadableNumber):
        yield Fault(path, f"expected a number that is written plainly, got {_show(value)}", "write it as 2.40")


def _show(value: Any) -> str:
    """The value as JSON, or its kind where that says more."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    shown = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
