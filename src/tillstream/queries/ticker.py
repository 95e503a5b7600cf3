"""The day's running sums, as the seed's consumers get them from its exchanges."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tillstream.database.base import Reader, Row
from tillstream.metrics.delays import average_ms
from tillstream.metrics.folding import metric_table
from tillstream.queries.summary import rate
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.business_day import Calendar

CATEGORIES_LIMIT = 1_000
"""Most categories that are told, those that sell most."""

Running = dict[str, Row]
"""One object by the name of its exchange; amounts are decimals."""


class Ticker:
    """The figures of any one business day as `count`, `categories`, `metrics-db` and `metrics-storm` have them."""

    def __init__(self, calendar: Calendar, currency: str) -> None:
        self._calendar = calendar
        self._cent = minor_unit(currency)

    def read(self, reader: Reader, day: date) -> Running:
        """The day as this reader sees it.

        The seed measured how long receipts were under way and how long they were in the system: here from the till's
        print to ingest (`networkDelay`, `averageMsCreation`), and from ingest to the figures (`connectionDelay`,
        `averageMsSystem`), on the average of the day. Seconds have no unit in their names, milliseconds have.
        """
        sold = reader.query(
            f"SELECT coalesce(sum(revenue), 0) AS revenue, CAST(coalesce(sum(receipts), 0) AS BIGINT) AS receipts "
            f"FROM {metric_table('sales')} WHERE day = ?",
            [day],
        )[0]
        categories = reader.query(
            f"SELECT category, revenue FROM {metric_table('sales_by_category')} WHERE day = ? "
            f"ORDER BY revenue DESC, category LIMIT {CATEGORIES_LIMIT}",
            [day],
        )
        delays = reader.query(
            f"SELECT ingest_bucket, till_bucket, receipts FROM {metric_table('delays')} WHERE day = ?", [day]
        )
        creation_ms, system_ms = average_ms(delays, "till_bucket"), average_ms(delays, "ingest_bucket")
        return {
            "count": {"sum": self._amount(sold["revenue"]), "count": sold["receipts"]},
            "categories": {row["category"]: self._amount(row["revenue"]) for row in categories},
            "metrics-db": {
                "connectionDelay": round(system_ms / 1_000, 3),
                "networkDelay": round(creation_ms / 1_000, 3),
            },
            "metrics-storm": {
                "averagePerMinute": rate(reader, day, self._calendar.now_us()),
                "averageMsCreation": round(creation_ms, 1),
                "averageMsSystem": round(system_ms, 1),
            },
        }

    def _amount(self, value: Decimal) -> Decimal:
        return Decimal(value).quantize(self._cent)
