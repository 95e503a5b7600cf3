"""All that the live page shows of a day: its figures and what stands around them."""

from __future__ import annotations

from datetime import date, timedelta

from tillstream.database.base import Reader, Row
from tillstream.log.base import Log
from tillstream.metrics.folding import metric_table
from tillstream.queries.filters import microseconds, other_days_condition
from tillstream.queries.serialization import amount, plain
from tillstream.queries.summary import Summary
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.business_day import Calendar
from tillstream.receipt.model import UNALLOCATED


class Snapshot:
    """Figures, minutes, categories, other days, and how old they are."""

    def __init__(self, calendar: Calendar, summary: Summary, log: Log, currency: str) -> None:
        self._calendar = calendar
        self._summary = summary
        self._log = log
        self._cent = minor_unit(currency)

    def read(self, reader: Reader, day: date) -> Row:
        """The day as this reader sees it.

        `minutes` holds parallel lists; `offset` counts wall-clock minutes from `start`, as does `now`.
        """
        live = day == self._calendar.today()
        return {
            "live": live,
            "summary": self._summary.read(reader, day),
            "minutes": self._minutes(reader, day),
            "categories": _categories(reader, day),
            "other_days": self.other_days(reader) if live else [],
            **self.age(reader, self._calendar.now_us()),
        }

    def other_days(self, reader: Reader) -> list[Row]:
        """How many receipts arrived today whose business day is another, by that day, the newest first."""
        condition, values = other_days_condition(self._calendar, self._calendar.today())
        rows = reader.query(
            f"SELECT day, count(*) AS receipts FROM receipts WHERE {condition} GROUP BY day ORDER BY day DESC", values
        )
        return [plain(row) for row in rows]

    def _minutes(self, reader: Reader, day: date) -> Row:
        start = self._calendar.start(day)
        rows = reader.query(
            f"SELECT minute, revenue, receipts FROM {metric_table('sales_by_minute')} WHERE day = ? ORDER BY minute",
            [day],
        )
        minute, live = timedelta(minutes=1), day == self._calendar.today()
        return {
            "start": start.isoformat(timespec="minutes"),
            "now": (self._calendar.local_now() - start) // minute if live else None,
            "offset": [(row["minute"] - start) // minute for row in rows],
            "revenue": [amount(row["revenue"], self._cent) for row in rows],
            "receipts": [int(row["receipts"]) for row in rows],
        }

    def age(self, reader: Reader, now_us: int) -> Row:
        """How far the figures are behind: not at all while everything acknowledged is in them."""
        rows = reader.query("SELECT committed_at FROM state")
        lag, committed = self._log.lag(), rows[0]["committed_at"] if rows else None
        late = now_us - microseconds(committed) if lag and committed else 0
        return {"lag": lag, "age_ms": max(0, late // 1_000)}


def _categories(reader: Reader, day: date) -> list[Row]:
    rows = reader.query(
        f"SELECT category, revenue, quantity, lines FROM {metric_table('sales_by_category')} WHERE day = ? "
        "ORDER BY revenue DESC, category",
        [day],
    )
    return [plain(row) for row in rows if row["category"] != UNALLOCATED or row["revenue"]]
