"""Validation of receipts: a fast check that accepts most of them, and a full check that finds every fault."""

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
from tillstream.receipt.reasons import truncation

CLOCK_AHEAD_A_DAY = "clock_ahead_a_day"
"""Note on a receipt dated more than 24 hours ahead. It counts on the day it was received."""

ID_LIMIT = 128
ITEMS_LIMIT = 10_000
FAULTS_LIMIT = 1_000

# Limits of the stored faults: of each text, and of all texts with the names that JSON adds.
_TEXT_LIMIT_CHARS = 4_000
_FAULTS_LIMIT_CHARS = 256_000
_FAULT_NAMES_CHARS = 40

DAY_S = 86_400
# Local time and UTC differ by less than 16 hours, so up to this difference the zone does not matter.
_NOT_A_DAY_AHEAD_S = DAY_S - 16 * 3_600
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_DATES_CACHE_LIMIT = 20_000
# The engine rounds to six decimals. Rounded amounts must be below the limit too.
_LARGEST_AMOUNT = AMOUNT_LIMIT - Decimal("0.0000006")

_DATE = re.compile(r"[0-9W-]{7,10}[ T][0-9:.,]{4,}(?:Z|[+-][0-9:]{2,8})?", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_RECEIPT_TYPE = inspect.type_info(Receipt)


class ReceiptError(TillstreamError):
    """The faults of an invalid receipt. `parseable` is false if the bytes are not JSON (status 400 instead of 422)."""

    def __init__(self, faults: Sequence[Fault], parseable: bool) -> None:
        self.faults = faults
        self.parseable = parseable
        super().__init__(faults, parseable)


class Validator:
    """Checks receipts against `tillstream.receipt.model.Receipt` and the chain's settings.

    If a known field occurs several times in an object, every occurrence is checked, because JSON readers differ:
    the head is made from the last occurrence, and DuckDB computes figures from the first.
    """

    def __init__(self, settings: Settings) -> None:
        self._currency = settings.currency
        self._decode = msgspec.json.Decoder(_fast_type(Receipt, currency=self._currency)).decode
        self._limit_bytes = settings.receipt_limit_bytes
        self._zone = ZoneInfo(settings.zone)
        self._zones = {store: ZoneInfo(name) for store, name in settings.store_zones.items()}
        self._days = BusinessDays(settings)
        self._dates: dict[str, tuple[str, str, int]] = {}

    def check(self, body: bytes, received_us: int, source: str, till_day: str = "") -> tuple[bytes, str, str]:
        """Make the receipt's head, key and business day. Raises `ReceiptError`.

        `till_day` is the till's own business day, YYYY-MM-DD, if its format has one. It overrides the date.
        """
        # The fast check rejects some valid receipts, for example amounts as texts. The full check decides on these.
        try:
            # A body over the limit is not decoded: it could contain millions of lines.
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
        store, terminal, number, date = self._check_fully(body)
        return self._assemble(store, terminal, number, date, received_us, source, till_day)

    def refusal(self, faults: Sequence[Fault], original: bytes, received_us: int, source: str) -> tuple[bytes, bytes]:
        """Make the head of a refusal, and cut its original to the size limit of a receipt."""
        day = self._day(utc(received_us).astimezone(self._zone))
        stored, limit = _limit_faults(faults), self._limit_bytes
        # Decoders cut originals at the same limit, so an equal size may mean a cut one.
        if len(original) >= limit:
            stored.append(truncation(limit, len(original)))
        reasons = msgspec.json.encode([fault.as_dict() for fault in stored]).decode()
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
        if wall_s - received_us // 1_000_000 > _NOT_A_DAY_AHEAD_S:
            zone = self._zones.get(store, self._zone)
            if datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() - received_us / 1_000_000 > DAY_S:
                day = self._day(utc(received_us).astimezone(zone))
                notes = CLOCK_AHEAD_A_DAY
        key = receipt_key(store, terminal, number, local)
        head = f"{RECEIPT}\t{key}\t{received_us}\t{day}\t{local}\t{store}\t{terminal}\t{number}\t{source}\t{notes}\n"
        return head.encode(), key, day

    def _local(self, text: str, store: str) -> tuple[str, str, int]:
        """Local date, business day, and seconds since 1970 in local time. Raises `ValueError`."""
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
        converted = (moment.isoformat(" "), self._day(moment), wall_s)
        if not zoned:
            if len(self._dates) >= _DATES_CACHE_LIMIT:
                self._dates.clear()
            self._dates[text] = converted
        return converted

    def _day(self, local: datetime) -> str:
        return self._days.day_of(local.replace(tzinfo=None)).isoformat()

    def _check_fully(self, body: bytes) -> tuple[str, str, str, str]:
        """Store, terminal, number and date of a valid receipt. Raises `ReceiptError` with all faults."""
        if len(body) > self._limit_bytes:
            error = f"the receipt takes {len(body)} bytes, more than {self._limit_bytes}"
            raise ReceiptError([Fault("$", error, "the setting is receipt_limit_bytes")], parseable=True)
        value = parse(body)
        faults = list(find_faults(_RECEIPT_TYPE, value, "$"))
        if isinstance(value, dict):
            faults += self._check_rules(value, {fault.path for fault in faults})
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

    def _check_rules(self, receipt: dict[str, Any], wrong_types: set[str]) -> Iterator[Fault]:
        """Check the rules that types do not express, for fields without type errors."""
        for name in ("cashReceiptID", "storeID", "terminalID"):
            path, value = f"$.{name}", receipt.get(name)
            if path in wrong_types or value is None:
                continue
            text = str(value)
            if not text and name != "terminalID":
                yield Fault(path, "it is empty", "a receipt is known by its store, its till and its number")
            if len(text) > ID_LIMIT:
                yield Fault(path, f"it has {len(text)} characters, more than {ID_LIMIT}")
            if _CONTROL.search(text):
                yield Fault(path, "it has a control character", "such as a tab or a line break")
        if "$.date" not in wrong_types:
            try:
                self._local(receipt["date"], str(receipt.get("storeID")))
            except ValueError:
                error = f"expected a date and time, got {_show(receipt['date'])}"
                yield Fault("$.date", error, "write 2026-11-23 10:15:00, or ISO 8601")
        for currency in _occurrences(receipt, "currency"):
            if "$.currency" not in wrong_types and currency not in (None, "", self._currency):
                yield Fault(
                    "$.currency", f"expected {self._currency}, got {_show(currency)}", "a chain has one currency"
                )


@lru_cache(maxsize=1_024)
def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and _FIRST_YEAR <= calendar_day.fromisoformat(text).year <= _LAST_YEAR
    except ValueError:
        return False


class _ObjectWithRepeats(dict[str, Any]):
    """A JSON object with repeated names. It has the last value of each name, and `earlier` has the others."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.earlier: dict[str, list[Any]] = {}
        last = {name: index for index, (name, _) in enumerate(pairs)}
        for index, (name, value) in enumerate(pairs):
            if index != last[name]:
                self.earlier.setdefault(name, []).append(value)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _ObjectWithRepeats(pairs)


def _occurrences(value: dict[str, Any], name: str) -> list[Any]:
    """All values of a name, in order."""
    if name not in value:
        return []
    earlier = value.earlier.get(name, []) if isinstance(value, _ObjectWithRepeats) else []
    return [*earlier, value[name]]


def _fast_type(kind: Any, **fixed: str) -> Any:
    """Make a type for the fast check: with limits, and with floats instead of decimals.

    Floats decode faster, and are only compared with the limits. A field in `fixed` accepts only that text or
    null. msgspec checks every occurrence of a field against the type, but the decoded object has only the last.
    """
    if kind is Decimal:
        return Annotated[float, Meta(gt=float(-AMOUNT_LIMIT), lt=float(AMOUNT_LIMIT))]
    if get_origin(kind) is list:
        return Annotated[list[_fast_type(get_args(kind)[0])], Meta(max_length=ITEMS_LIMIT)]  # type: ignore[misc]
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, [_fast_type(part) for part in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, Struct):
        hints = get_type_hints(kind)
        fields = [
            (
                field.name,
                Literal[fixed[field.name]] | None if field.name in fixed else _fast_type(hints[field.name]),
                *([] if field.required else [field.default]),
            )
            for field in msgspec.structs.fields(kind)
        ]
        return msgspec.defstruct(kind.__name__, fields, gc=False)
    return kind


def parse(body: bytes) -> Any:
    """Parse JSON with exact numbers. Raises `ReceiptError`."""
    if not body.strip():
        raise ReceiptError([Fault("$", "it is empty", "send one JSON object")], parseable=False)
    try:
        text = body.decode()
        # msgspec is as strict as DuckDB's parser. `json` keeps the digits of every number.
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


def _limit_faults(faults: Sequence[Fault]) -> list[Fault]:
    """Shorten faults to the limits of the quarantine. Faults from other programs may be of any size."""
    limited, remaining = [], _FAULTS_LIMIT_CHARS
    for index, fault in enumerate(faults):
        short = Fault(*(text[:_TEXT_LIMIT_CHARS] for text in (fault.path, fault.error, fault.hint)))
        remaining -= len(short.path) + len(short.error) + len(short.hint) + _FAULT_NAMES_CHARS
        if remaining < 0:
            limited.append(Fault("$", f"there are {len(faults) - index} more faults"))
            break
        limited.append(short)
    return limited


def find_faults(shape: inspect.Type, value: Any, path: str) -> Iterator[Fault]:
    """Compare a value from `parse` with a msgspec type, and yield a fault for every difference.

    Supported are structs, arrays, texts, ids, amounts, whole numbers and instants, and each of them or null.
    """
    if isinstance(shape, inspect.UnionType):
        if value is None and shape.includes_none:
            return
        kinds = [part for part in shape.types if not isinstance(part, inspect.NoneType)]
        if len(kinds) == 1:
            yield from find_faults(kinds[0], value, path)
        elif isinstance(value, bool) or not isinstance(value, str | int):
            yield Fault(path, f"expected a text or an integer, got {_show(value)}")
    elif isinstance(shape, inspect.StructType):
        yield from _object_faults(shape, value, path)
    elif isinstance(shape, inspect.ListType):
        if not isinstance(value, list):
            yield Fault(path, f"expected an array, got {_show(value)}")
        elif len(value) > ITEMS_LIMIT:
            yield Fault(path, f"it has {len(value)} entries, more than {ITEMS_LIMIT}")
        else:
            for index, item in enumerate(value):
                yield from find_faults(shape.item_type, item, f"{path}[{index}]")
    else:
        yield from _scalar_faults(shape, value, path)


def _scalar_faults(shape: inspect.Type, value: Any, path: str) -> Iterator[Fault]:
    if isinstance(shape, inspect.DecimalType):
        yield from _amount_faults(value, path)
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


def _object_faults(shape: inspect.StructType, value: Any, path: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        hint = "send several receipts to /receipts" if path == "$" and isinstance(value, list) else ""
        yield Fault(path, f"expected an object, got {_show(value)}", hint)
        return
    for field in shape.fields:
        for occurrence in _occurrences(value, field.encode_name):
            yield from find_faults(field.type, occurrence, f"{path}.{field.encode_name}")
        if field.required and field.encode_name not in value:
            yield Fault(f"{path}.{field.encode_name}", "it is missing", "a receipt needs it")


def _amount_faults(value: Any, path: str) -> Iterator[Fault]:
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
    """A short text for the value: objects and arrays by their kind, others as JSON."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    shown = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
