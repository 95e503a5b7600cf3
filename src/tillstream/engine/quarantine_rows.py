"""Quarantine rows and counters of one step. Duplicates are only counted; all other rejected records are quarantined."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from tillstream.clock import utc
from tillstream.database.base import Row
from tillstream.log.base import Log
from tillstream.receipt.model import Fault
from tillstream.receipt.reasons import group

UNREADABLE = Fault("$", "the engine cannot read this receipt", "compare it with the documented format")
CONFLICT = Fault(
    "$",
    "another receipt with this store, till, number and date counts already, with other content",
    "the first receipt counts; send a correction as a new receipt",
)


class QuarantineRows:
    """Collects quarantine rows, and counts rejected records.

    There is one counter for each day and each name: `duplicates`, `conflicts` or `quarantined`. The day is the date of
    arrival in the time zone of the chain.
    """

    def __init__(self, zone: str) -> None:
        self.rows: list[Row] = []
        self.counters: Counter[tuple[str, str]] = Counter()
        self._zone = ZoneInfo(zone)

    def count(self, name: str) -> int:
        """Return the sum of a counter over all days."""
        return sum(value for (_, each), value in self.counters.items() if each == name)

    def add_duplicate(self, received_us: int) -> None:
        self.counters[self._day(received_us), "duplicates"] += 1

    def add_conflict(self, record: dict[str, Any]) -> None:
        self._add("conflict", record, _json(CONFLICT), len(record["body"].encode()))

    def add_unreadable(self, table: pa.Table) -> None:
        for record in table.to_pylist():
            self._add("unreadable", record, _json(UNREADABLE), len(record["body"].encode()))

    def add_refusals(self, table: pa.Table, log: Log) -> None:
        originals = log.fetch(table["place"].to_pylist())
        for record in table.to_pylist():
            size = len(originals.get(record["place"], (b"", b"", b""))[2])
            self._add("refused", record, record["notes"], size)

    def _add(self, kind: str, record: dict[str, Any], reasons: str, size_bytes: int) -> None:
        day = self._day(record["received_us"])
        self.counters[day, "conflicts" if kind == "conflict" else "quarantined"] += 1
        self.rows.append(
            {
                "place": record["place"],
                "received_at": utc(record["received_us"]).replace(tzinfo=None),
                "day": day,
                "kind": kind,
                "source": record["source"],
                "key": record["key"],
                "reasons": reasons,
                "reason": group(_parse(reasons)),
                "size_bytes": size_bytes,
            }
        )

    def _day(self, received_us: int) -> str:
        return datetime.fromtimestamp(received_us / 1_000_000, self._zone).date().isoformat()


def _parse(reasons: str) -> list[dict[str, object]]:
    try:
        return msgspec.json.decode(reasons, type=list[dict[str, object]])
    except msgspec.MsgspecError:
        return []


def _json(fault: Fault) -> str:
    return msgspec.json.encode([fault]).decode()
