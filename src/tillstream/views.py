"""What readers ask: summary, metrics, receipts, quarantine and the live page's snapshot.

The page, the API and the exports read through `Views` only. Everything it returns is plain data,
ready for JSON: money as decimal strings, counts as integers, days and times in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tillstream.clock import Clock, utc
from tillstream.delays import percentiles
from tillstream.errors import BadQuery, OperationalError, UnknownMetric
from tillstream.filters import (
    LIMIT,
    cursor_of,
    key_value,
    microseconds,
    parse_cursor,
    parse_day,
    parse_limit,
    quarantine_conditions,
    receipt_conditions,
    where,
)
from tillstream.log.base import Log
from tillstream.masking import mask
from tillstream.metrics import Metric
from tillstream.receipt import SIMULATED, UNALLOCATED, minor_digits
from tillstream.settings import Settings
from tillstream.store.base import Row, Store
from tillstream.store.schema import metric_table

ATTEMPTS = 3
COUNTERS = ("duplicates", "conflicts", "quarantined")
_RECEIPT_COLUMNS = (
    "place, key, day, store, till, receipt, sold_local, received_at, gross, net, tax, items, line_count, "
    "anomalies, source"
)
_ENTRY_COLUMNS = "place, received_at, day, kind, source, key, reasons, size_bytes"
_HIDDEN = frozenset({"place", "anomalous", "applied_at", "ingest_bucket", "till_bucket"})
_UTC_COLUMNS = frozenset({"received_at", "sold_at", "applied_at", "found_at"})

T = TypeVar("T")


class Views:
    """Readers' questions, answered from the store; originals come from the log. Safe from any thread.

    Raises `BadQuery` and `UnknownMetric` for what cannot be asked, `StoreUnavailable` otherwise.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        catalogue: Sequence[Metric],
        settings: Settings,
        clock: Clock,
        trouble: Callable[[], OperationalError | None] = lambda: None,
    ) -> None:
        self.trouble = trouble
        """Asks the engine why the figures stand still, where they do."""
        self._store = store
        self._log = log
        self._metrics = {metric.name: metric for metric in catalogue}
        self._clock = clock
        self._zone = ZoneInfo(settings.zone)
        self._day_start = time.fromisoformat(settings.day_start)
        self._cent = Decimal(1).scaleb(-minor_digits(settings.currency))
        self.currency = settings.currency

    def local_now(self) -> datetime:
        """Wall-clock time in the chain's zone, without the zone."""
        return utc(self._clock.now_us()).astimezone(self._zone).replace(tzinfo=None)

    def today(self) -> date:
        """The business day that it is now in the chain's zone."""
        return (self.local_now() - timedelta(hours=self._day_start.hour, minutes=self._day_start.minute)).date()

    def summary(self, day: str | date | None = None) -> Row:
        """The day's figures, all of one commit; without a day: today's."""
        asked = self._day(day)
        return self._steady(lambda: self._summary(asked))

    def snapshot(self, day: str | date | None = None) -> Row:
        """All that the page shows of a day, of one commit: figures, minutes, categories, other days, age.

        `minutes` holds parallel lists; `offset` counts wall-clock minutes from `start`, as does `now`.
        """
        asked = self._day(day)

        def read() -> Row:
            live = asked == self.today()
            return {
                "live": live,
                "summary": self._summary(asked),
                "minutes": self._minutes(asked),
                "categories": self._categories(asked),
                "other_days": self.other_days() if live else [],
                **self._age(),
            }

        return self._steady(read)

    def catalogue(self) -> list[Row]:
        """Every metric, described: its keys, its measures and what each of them is."""
        return [
            {
                "name": metric.name,
                "help": metric.help,
                "unit": self.currency if metric.unit == "currency" else metric.unit,
                "source": metric.source,
                "keys": [key.name for key in metric.keys],
                "measures": [{"name": each.name, "fold": each.fold, "kind": each.kind} for each in metric.measures],
            }
            for metric in self._metrics.values()
        ]

    def metric(self, name: str, filters: Mapping[str, str] | None = None) -> Row:
        """The rows of one metric of one day; any key column of it may be a filter. Without a day: today."""
        if name not in self._metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self._metrics)}")
        metric = self._metrics[name]
        keys = {key.name: key for key in metric.keys}
        wanted: dict[str, Any] = {"day": self.today()}
        for column, text in (filters or {}).items():
            if column not in keys:
                raise BadQuery(column, f"{name} has no such key", f"filter by {', '.join(keys)}")
            wanted[column] = key_value(keys[column], text)
        columns = [*keys, *(measure.name for measure in metric.measures)]
        # Written by the store: a chain's shops and hours are more amounts than Python writes in a blink.
        money = [measure.name for measure in metric.measures if measure.kind == "money"]
        select = ", ".join(f"CAST({each} AS VARCHAR) AS {each}" if each in money else each for each in columns)
        rows = self._store.query(
            f"SELECT {select} FROM {metric_table(name)} WHERE {' AND '.join(f'{column} = ?' for column in wanted)} "
            f"ORDER BY {', '.join(keys)}",
            list(wanted.values()),
        )
        for moment in [key.name for key in metric.keys if key.type in ("DATE", "TIMESTAMP")]:
            for row in rows:
                row[moment] = row[moment].isoformat()
        return {
            "metric": name,
            "help": metric.help,
            "day": wanted["day"].isoformat(),
            "currency": self.currency,
            "columns": columns,
            "rows": rows,
        }

    def receipts(self, filters: Mapping[str, str] | None = None) -> Row:
        """Receipts, the newest first, and under `next` the cursor of the following ones (None: no more).

        Filters: day, store, till, receipt, from, to (the till's clock), min, max (gross), anomaly
        (a name, or `any`), cursor, limit.
        """
        rows, following = self._page(f"{_RECEIPT_COLUMNS} FROM receipts", filters, receipt_conditions)
        return {"currency": self.currency, "receipts": [_receipt(row) for row in rows], "next": following}

    def receipt(self, key: str) -> Row | None:
        """One receipt with its lines, settlements and original (persons masked); None: there is none."""
        try:
            wanted = UUID(key)
        except ValueError:
            raise BadQuery("key", f"expected 32 hexadecimal digits, got {key!r}") from None
        found = self._store.query("SELECT * FROM receipts WHERE key = CAST(? AS UUID)", [str(wanted)])
        if not found:
            return None
        place, day = found[0]["place"], found[0]["day"]
        lines = self._store.query(
            "SELECT line, category, product, description, quantity, unit_price, gross, net, tax, rate "
            "FROM lines WHERE place = ? AND day = ? ORDER BY line = 0, line",
            [place, day],
        )
        settlements = self._store.query(
            "SELECT mechanism, amount FROM settlements WHERE place = ? AND day = ?", [place, day]
        )
        return {
            **_receipt(found[0]),
            "currency": self.currency,
            "lines": [self._line(row) for row in lines],
            "settlements": [_plain(row) for row in settlements],
            "original": self._original(place),
        }

    def quarantine(self, filters: Mapping[str, str] | None = None) -> Row:
        """What was refused, unreadable or in conflict, the newest first. Filters: day, kind, cursor, limit."""
        rows, following = self._page(f"{_ENTRY_COLUMNS} FROM quarantine", filters, quarantine_conditions)
        return {"entries": [_entry(row) for row in rows], "next": following}

    def quarantined(self, entry: str) -> Row | None:
        """One entry of the quarantine by its id, with the original; None: there is none."""
        if not (entry.isascii() and entry.isdecimal()) or len(entry) > 19 or int(entry) >= 2**63:
            raise BadQuery("id", f"expected the id of an entry, got {entry!r}")
        found = self._store.query(f"SELECT {_ENTRY_COLUMNS} FROM quarantine WHERE place = ?", [int(entry)])
        return {**_entry(found[0]), "original": self._original(int(entry))} if found else None

    def other_days(self) -> list[Row]:
        """How many receipts arrived today whose business day is another, by that day, the newest first.

        Those of a simulated clock stay out: their days are invented.
        """
        today = self.today()
        rows = self._store.query(
            "SELECT day, count(*) AS receipts FROM receipts WHERE received_at >= ? AND received_at < ? AND day <> ? "
            "AND source NOT LIKE ? GROUP BY day ORDER BY day DESC",
            [self._begin(today), self._begin(today + timedelta(days=1)), today, f"%/{SIMULATED}"],
        )
        return [_plain(row) for row in rows]

    def faults(self) -> list[Row]:
        """Records of the log that were damaged when the engine came to them."""
        rows = self._store.query(
            "SELECT offset_text, records, reason, found_at FROM faults ORDER BY found_at DESC LIMIT ?", [LIMIT]
        )
        return [_plain(row) for row in rows]

    def lag(self) -> int:
        """Records that are acknowledged but not yet in these figures."""
        return self._log.lag()

    def _page(
        self,
        select: str,
        filters: Mapping[str, str] | None,
        read: Callable[[Mapping[str, str]], tuple[list[str], list[Any]]],
    ) -> tuple[list[Row], str | None]:
        """One page of rows, the newest first, and the cursor of the following page."""
        asked = dict(filters or {})
        limit, cursor = parse_limit(asked.pop("limit", None)), asked.pop("cursor", None)
        conditions, values = read(asked)
        if cursor is not None:
            conditions.append("(received_at, place) < (?, ?)")
            values.extend(parse_cursor(cursor))
        rows = self._store.query(
            f"SELECT {select} {where(conditions)} ORDER BY received_at DESC, place DESC LIMIT ?", [*values, limit + 1]
        )
        return rows[:limit], cursor_of(rows[limit - 1]) if len(rows) > limit else None

    def _steady(self, read: Callable[[], T]) -> T:
        """Read again where a commit came between the queries, so that figures shown together agree."""
        for _ in range(ATTEMPTS - 1):
            before = self._committed()
            result = read()
            if self._committed() == before:
                return result
        return read()

    def _committed(self) -> Row:
        rows = self._store.query("SELECT position, committed_at FROM state")
        return rows[0] if rows else {"position": "", "committed_at": None}

    def _summary(self, day: date) -> Row:
        now_us = self._clock.now_us()
        sales = self._first(
            f"SELECT revenue, net, tax, receipts, quantity, anomalies FROM {metric_table('sales')} WHERE day = ?", day
        )
        revenue, receipts = sales.get("revenue", Decimal(0)), int(sales.get("receipts", 0))
        average = (revenue / receipts).quantize(self._cent, ROUND_HALF_UP) if receipts else None
        ingest, till = self._delays(day)
        counted = {
            row["name"]: int(row["value"])
            for row in self._store.query("SELECT name, value FROM counters WHERE day = ?", [day])
        }
        return {
            "day": day.isoformat(),
            "currency": self.currency,
            **{name: self._money(sales.get(name, Decimal(0))) for name in ("revenue", "net", "tax")},
            "receipts": receipts,
            "items": int(sales.get("quantity", 0)),
            "average_ticket": None if average is None else self._money(average),
            "stores_active": self._rows_of("sales_by_store", day),
            "tills_active": self._rows_of("sales_by_till", day),
            "receipts_per_minute": self._rate(day, now_us) if day == self.today() else None,
            "ingest_delay_ms": {name: ms and round(ms, 1) for name, ms in ingest.items()},
            "till_delay_s": {name: ms and round(ms / 1_000, 3) for name, ms in till.items()},
            **{name: counted.get(name, 0) for name in COUNTERS},
            "anomalies": int(sales.get("anomalies", 0)),
            "as_of": _zulu(utc(now_us)),
        }

    def _first(self, sql: str, *parameters: Any) -> Row:
        rows = self._store.query(sql, parameters)
        return rows[0] if rows else {}

    def _rows_of(self, metric: str, day: date) -> int:
        return int(self._first(f"SELECT count(*) AS rows FROM {metric_table(metric)} WHERE day = ?", day)["rows"])

    def _rate(self, day: date, now_us: int) -> int:
        now = utc(now_us).replace(tzinfo=None)
        sql = "SELECT coalesce(sum(receipts), 0) AS receipts FROM received WHERE day = ? AND second > ? AND second <= ?"
        return int(self._first(sql, day, now - timedelta(seconds=60), now)["receipts"])

    def _delays(self, day: date) -> tuple[dict[str, float | None], dict[str, float | None]]:
        rows = self._store.query(
            f"SELECT ingest_bucket, till_bucket, receipts FROM {metric_table('delays')} WHERE day = ?", [day]
        )
        return percentiles(rows, "ingest_bucket"), percentiles(rows, "till_bucket")

    def _minutes(self, day: date) -> Row:
        start = datetime.combine(day, self._day_start)
        rows = self._store.query(
            f"SELECT minute, revenue, receipts FROM {metric_table('sales_by_minute')} WHERE day = ? ORDER BY minute",
            [day],
        )
        return {
            "start": start.isoformat(timespec="minutes"),
            "now": (self.local_now() - start) // timedelta(minutes=1) if day == self.today() else None,
            "offset": [(row["minute"] - start) // timedelta(minutes=1) for row in rows],
            "revenue": [self._money(row["revenue"]) for row in rows],
            "receipts": [int(row["receipts"]) for row in rows],
        }

    def _categories(self, day: date) -> list[Row]:
        rows = self._store.query(
            f"SELECT category, revenue, quantity, lines FROM {metric_table('sales_by_category')} WHERE day = ? "
            "ORDER BY revenue DESC, category",
            [day],
        )
        return [_plain(row) for row in rows if row["category"] != UNALLOCATED or row["revenue"]]

    def _age(self) -> Row:
        """How far the figures are behind: not at all while everything acknowledged is in them."""
        lag, committed = self._log.lag(), self._committed()["committed_at"]
        late = self._clock.now_us() - microseconds(committed) if lag and committed else 0
        return {"lag": lag, "age_ms": max(0, late // 1_000)}

    def _day(self, day: str | date | None) -> date:
        if day is None:
            return self.today()
        return parse_day(day) if isinstance(day, str) else day

    def _begin(self, day: date) -> datetime:
        """The instant at which a business day begins in the chain's zone, in UTC without a zone."""
        return datetime.combine(day, self._day_start, self._zone).astimezone(UTC).replace(tzinfo=None)

    def _money(self, amount: Decimal) -> str:
        return format(amount.quantize(self._cent), "f")

    def _line(self, row: Row) -> Row:
        least = {"quantity": Decimal(1), "unit_price": self._cent}
        trimmed = {name: _trimmed(row[name], digits) for name, digits in least.items() if row[name] is not None}
        return _plain(row) | trimmed

    def _original(self, place: int) -> str | None:
        """What came, as text, persons masked; None where the log no longer has it."""
        found = self._log.fetch([place]).get(place)
        if found is None:
            return None
        _, body, original = found
        return mask((original or body).decode("utf-8", "replace"))


def _receipt(row: Row) -> Row:
    plain = _plain({name: value for name, value in row.items() if name not in _HIDDEN})
    return {**plain, "key": row["key"].hex, "anomalies": [name for name in row["anomalies"].split(",") if name]}


def _entry(row: Row) -> Row:
    plain = _plain({name: value for name, value in row.items() if name != "place"})
    return {"id": str(row["place"]), **plain, "reasons": msgspec.json.decode(row["reasons"])}


def _plain(row: Row) -> Row:
    return {name: _plain_value(name, value) for name, value in row.items()}


def _plain_value(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return _zulu(value) if name in _UTC_COLUMNS else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value


def _zulu(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _trimmed(number: Decimal, least: Decimal) -> str:
    """Without idle zeros, but with no fewer decimals than `least` has."""
    rounded = number.quantize(least)
    return format(rounded if rounded == number else number.normalize(), "f")
