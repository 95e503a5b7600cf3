"""Validation of receipts. A fast check accepts most receipts. A full check finds all faults in the others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
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
"""The note of a receipt that is dated more than 24 hours ahead. The receipt counts for the day of its arrival."""

ID_LIMIT = 128
"""The maximum number of characters in a store id, a terminal id or a receipt number."""

ITEMS_LIMIT = 10_000
"""A receipt has at most this many lines, and at most this many settlements."""

FAULTS_LIMIT = 1_000
"""The maximum number of faults that are listed for one receipt. Further faults are only counted."""

# A refusal (the log record of rejected bytes) contains faults. The first limit applies to each text of a fault, and the
# second to all faults together, as JSON. A fault as JSON is about 40 characters longer than its texts.
_TEXT_LIMIT_CHARS = 4_000
_FAULTS_LIMIT_CHARS = 256_000
_FAULT_JSON_CHARS = 40

_DAY_S = 86_400
# A fast test compares the local time of a receipt with its time of arrival in UTC, as if both had the same zone. If the
# local time is at most 8 hours later, the receipt is less than 24 hours in the future, because every zone differs from
# UTC by less than 16 hours. Only the other receipts need an exact test.
_SURELY_NOT_AHEAD_S = _DAY_S - 16 * 3_600
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_DATES_CACHE_LIMIT = 20_000
# The engine rounds amounts to six decimals. An amount must still be below the limit after this rounding.
_LARGEST_AMOUNT = AMOUNT_LIMIT - Decimal("0.0000006")

_DATE = re.compile(r"[0-9W-]{7,10}[ T][0-9:.,]{4,}(?:Z|[+-][0-9:]{2,8})?", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r" *[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_RECEIPT_TYPE = inspect.type_info(Receipt)


class ReceiptError(TillstreamError):
    """The faults of an invalid receipt.

    `parseable` is false if the bytes are not JSON. The response then has the status 400 instead of 422.
    """

    def __init__(self, faults: Sequence[Fault], parseable: bool) -> None:
        self.faults = faults
        self.parseable = parseable
        super().__init__(faults, parseable)


class Validator:
    """Checks receipts against `tillstream.receipt.model.Receipt` and the settings of the chain.

    If an object contains a field several times, every occurrence is checked, because JSON readers differ: the store,
    date and number are read from the last occurrence, but DuckDB computes the figures from the first one.
    """

    def __init__(self, settings: Settings) -> None:
        self._currency = settings.currency
        self._decode = msgspec.json.Decoder(_fast_type(Receipt, self._currency)).decode
        self._limit_bytes = settings.receipt_limit_bytes
        self._zone = ZoneInfo(settings.zone)
        self._zones = {store: ZoneInfo(name) for store, name in settings.store_zones.items()}
        self._days = BusinessDays(settings)
        self._dates: dict[str, tuple[str, str, int]] = {}

    def check(self, body: bytes, received_us: int, source: str, till_day: str = "") -> tuple[bytes, str, str]:
        """Return the head (a line for the log), the key and the business day of a receipt. Raises `ReceiptError`.

        `received_us` is the time of arrival in microseconds since the epoch. `till_day` is the business day
        (YYYY-MM-DD) that the till sent. If it is not empty, it replaces the business day of the receipt's date.
        """
        # The fast check rejects some valid receipts, such as those with amounts in quotes or with long ids. The full
        # check accepts them.
        try:
            # A body over the limit is not decoded, because it could have millions of lines.
            receipt = self._decode(body if len(body) <= self._limit_bytes else b"")
            store, number = str(receipt.storeID), str(receipt.cashReceiptID)
            terminal = NO_TERMINAL if receipt.terminalID in (None, "") else str(receipt.terminalID)
            ids = f"{store}{terminal}{number}"
            if (
                store
                and number
                and len(ids) <= ID_LIMIT
                and ids.isprintable()
                and (body.isascii() or body.decode())
                and not may_have_unreadable_number(body)
            ):
                return self._assemble(store, terminal, number, receipt.date, received_us, source, till_day)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        store, terminal, number, date = self._check_fully(body)
        return self._assemble(store, terminal, number, date, received_us, source, till_day)

    def refusal(self, faults: Sequence[Fault], original: bytes, received_us: int, source: str) -> tuple[bytes, bytes]:
        """Return the head of a refusal, and the received bytes `original`, truncated to the size limit of a receipt."""
        day = self._day(utc(received_us).astimezone(self._zone))
        stored, limit = _limit_faults(faults), self._limit_bytes
        # Decoders truncate originals to the same limit, so an original of this size may already be truncated.
        if len(original) >= limit:
            stored.append(truncation(limit, len(original)))
        reasons = msgspec.json.encode(stored).decode()
        head = f"{REFUSAL}\t\t{received_us}\t{day}\t\t\t\t\t{source}\t{reasons}\n"
        return head.encode(), original[:limit]

    def _assemble(
        self, store: str, terminal: str, number: str, date: str, received_us: int, source: str, till_day: str
    ) -> tuple[bytes, str, str]:
        local, day, local_s = self._dates.get(date) or self._local(date, store)
        if till_day:
            if not _is_day(till_day):
                hint = "write the till's own business day as 2026-11-23"
                raise ReceiptError([Fault("$.day", f"expected a day, got {_show(till_day)}", hint)], parseable=True)
            day = till_day
        notes = ""
        if local_s - received_us // 1_000_000 > _SURELY_NOT_AHEAD_S:
            zone = self._zones.get(store, self._zone)
            if datetime.fromisoformat(local).replace(tzinfo=zone).timestamp() - received_us / 1_000_000 > _DAY_S:
                day = self._day(utc(received_us).astimezone(zone))
                notes = CLOCK_AHEAD_A_DAY
        key = receipt_key(store, terminal, number, local)
        head = f"{RECEIPT}\t{key}\t{received_us}\t{day}\t{local}\t{store}\t{terminal}\t{number}\t{source}\t{notes}\n"
        return head.encode(), key, day

    def _local(self, text: str, store: str) -> tuple[str, str, int]:
        """Convert a receipt's date to the store's local time.

        Returns the local time as a text, its business day, and the seconds since 1970-01-01 00:00 in local time.
        Raises `ValueError` if the text is not a date and time.
        """
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
        converted = (moment.isoformat(" "), self._day(moment), int((moment - _EPOCH).total_seconds()))
        if not zoned:
            if len(self._dates) >= _DATES_CACHE_LIMIT:
                self._dates.clear()
            self._dates[text] = converted
        return converted

    def _day(self, local: datetime) -> str:
        return self._days.day_of(local.replace(tzinfo=None)).isoformat()

    def _check_fully(self, body: bytes) -> tuple[str, str, str, str]:
        """Return the store, terminal, number and date of a receipt. Raises `ReceiptError` with all faults."""
        if len(body) > self._limit_bytes:
            error = f"the receipt takes {len(body)} bytes, more than {self._limit_bytes}"
            raise ReceiptError([Fault("$", error, "the setting is receipt_limit_bytes")], parseable=True)
        value = parse(body)
        faults = list(find_faults(_RECEIPT_TYPE, value, "$"))
        if isinstance(value, dict):
            faults += self._check_rules(value, {fault.path for fault in faults})
        if len(faults) > FAULTS_LIMIT:
            faults[FAULTS_LIMIT:] = [_more_faults(len(faults) - FAULTS_LIMIT)]
        if faults:
            raise ReceiptError(faults, parseable=True)
        terminal = NO_TERMINAL if value.get("terminalID") in (None, "") else str(value["terminalID"])
        return str(value["storeID"]), terminal, str(value["cashReceiptID"]), value["date"]

    def _check_rules(self, receipt: dict[str, Any], wrong_types: set[str]) -> Iterator[Fault]:
        """Check the rules that types cannot express.

        `wrong_types` contains the paths of fields that are missing or have a wrong type. These fields are skipped.
        """
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
        if "$.currency" not in wrong_types:
            for currency in _occurrences(receipt, "currency"):
                if currency not in (None, "", self._currency):
                    error = f"expected {self._currency}, got {_show(currency)}"
                    yield Fault("$.currency", error, "a chain has one currency")


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and _FIRST_YEAR <= datetime.fromisoformat(text).year <= _LAST_YEAR
    except ValueError:
        return False


class _Object(dict[str, Any]):
    """A JSON object. If a name occurs several times, the dictionary contains its last value, and `pairs` all values."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _occurrences(value: dict[str, Any], name: str) -> list[Any]:
    if isinstance(value, _Object) and len(value) < len(value.pairs):
        return [each for key, each in value.pairs if key == name]
    return [value[name]] if name in value else []


def _fast_type(kind: Any, currency: str) -> Any:
    """Return a variant of a type for the fast check: with limits, one currency, and floats instead of decimals.

    If an object contains a field several times, msgspec checks every occurrence. Floats decode faster than decimals.
    They are exact enough, because they are only compared with the limits.
    """
    if kind is Decimal:
        return Annotated[float, Meta(gt=float(-AMOUNT_LIMIT), lt=float(AMOUNT_LIMIT))]
    if get_origin(kind) is list:
        return Annotated[list[_fast_type(get_args(kind)[0], currency)], Meta(max_length=ITEMS_LIMIT)]  # type: ignore[misc]
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, [_fast_type(part, currency) for part in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, Struct):
        types = {name: _fast_type(hint, currency) for name, hint in get_type_hints(kind).items()}
        if kind is Receipt:
            types["currency"] = Literal[currency] | None
        fields = [
            (field.name, types[field.name]) if field.required else (field.name, types[field.name], field.default)
            for field in msgspec.structs.fields(kind)
        ]
        return msgspec.defstruct(kind.__name__, fields, gc=False)
    return kind


def parse(body: bytes) -> Any:
    """Parse JSON with exact numbers. Raises `ReceiptError`."""
    if not body.strip():
        raise _not_json("it is empty", "send one JSON object")
    try:
        text = body.decode()
        # The text is parsed twice: by msgspec, because it rejects all that DuckDB's parser rejects, and by `json`,
        # because it keeps the exact digits of numbers.
        msgspec.json.decode(body, type=msgspec.Raw)
        return json.loads(text, parse_float=parse_decimal, parse_int=parse_integer, object_pairs_hook=_Object)
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8", "send JSON in UTF-8") from error
    except RecursionError as error:
        raise _not_json("it is nested too deeply") from error
    except (msgspec.DecodeError, ValueError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise _not_json(f"not JSON: {reason}", "send one JSON object") from error


def _not_json(error: str, hint: str = "") -> ReceiptError:
    return ReceiptError([Fault("$", error, hint)], parseable=False)


def _more_faults(count: int) -> Fault:
    return Fault("$", f"there are {count} more faults")


def _limit_faults(faults: Sequence[Fault]) -> list[Fault]:
    """Shorten faults to the limits of a refusal. A program such as an import may send faults of any size."""
    limited, remaining = [], _FAULTS_LIMIT_CHARS
    for index, fault in enumerate(faults):
        texts = [text[:_TEXT_LIMIT_CHARS] for text in (fault.path, fault.error, fault.hint)]
        remaining -= sum(map(len, texts)) + _FAULT_JSON_CHARS
        if remaining < 0:
            limited.append(_more_faults(len(faults) - index))
            break
        limited.append(Fault(*texts))
    return limited


def find_faults(shape: inspect.Type, value: Any, path: str) -> Iterator[Fault]:
    """Compare a value from `parse` with a msgspec type, and yield a fault for each difference.

    Supported types are structs, arrays, texts, ids, amounts, whole numbers and instants, each with or without null.
    """
    if isinstance(shape, inspect.UnionType):
        kinds = [part for part in shape.types if not isinstance(part, inspect.NoneType)]
        if value is None and shape.includes_none:
            return
        if len(kinds) == 1:
            yield from find_faults(kinds[0], value, path)
        elif isinstance(value, bool) or not isinstance(value, str | int):
            yield Fault(path, f"expected a text or an integer, got {_show(value)}")
    elif isinstance(shape, inspect.StructType):
        yield from _object_faults(shape, value, path)
    elif isinstance(shape, inspect.ListType):
        yield from _array_faults(shape, value, path)
    elif isinstance(shape, inspect.DecimalType):
        yield from _amount_faults(value, path)
    elif isinstance(shape, inspect.IntType):
        yield from _integer_faults(value, path)
    elif not isinstance(value, str):
        yield Fault(path, f"expected a text, got {_show(value)}")
    elif isinstance(shape, inspect.DateTimeType) and not _is_instant(value):
        yield Fault(path, f"expected a time with its zone, got {_show(value)}", "write 2026-11-23T09:15:00Z")


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


def _array_faults(shape: inspect.ListType, value: Any, path: str) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path, f"expected an array, got {_show(value)}")
    elif len(value) > ITEMS_LIMIT:
        yield Fault(path, f"it has {len(value)} entries, more than {ITEMS_LIMIT}")
    else:
        for index, item in enumerate(value):
            yield from find_faults(shape.item_type, item, f"{path}[{index}]")


def _integer_faults(value: Any, path: str) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield Fault(path, f"expected a whole number, got {_show(value)}")
    elif abs(value) >= AMOUNT_LIMIT:
        yield _out_of_range(value, path)


def _amount_faults(value: Any, path: str) -> Iterator[Fault]:
    number = parse_decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        hint = "write a point before the decimals" if isinstance(value, str) and "," in value else ""
        yield Fault(path, f"expected a number, got {_show(value)}", hint)
    elif not -_LARGEST_AMOUNT <= number <= _LARGEST_AMOUNT:
        yield _out_of_range(value, path)
    elif isinstance(number, UnreadableNumber):
        yield Fault(path, f"expected a number that is written plainly, got {_show(value)}", "write it as 2.40")


def _out_of_range(value: Any, path: str) -> Fault:
    return Fault(path, f"expected a number between -10^13 and 10^13, got {_show(value)}")


def _is_instant(text: str) -> bool:
    try:
        msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError:
        return False
    return True


def _show(value: Any) -> str:
    """Describe a value in a short text: `an object`, `an array`, or the JSON of any other value."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    shown = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
