"""The embedded database's quarantine: entries within their quota, counts of all that came, and what people decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from tillstream.database.base import Changes, Row
from tillstream.receipt.reasons import OTHER

GROUPS_LIMIT = 1_000
"""Most combinations of kind, reason and source that a day is counted by; the rest counts under (other)."""

SETTLED_LIMIT = 10_000
"""Most settled entries that can still be shown; the oldest go first."""

Insert = Callable[[str, pa.Table, str], None]

_BESIDE_BYTES = 100
"""What an entry takes beside its original and its reasons."""

_ADD = """INSERT INTO counters VALUES (?, ?, ?)
    ON CONFLICT (day, name) DO UPDATE SET value = counters.value + excluded.value"""
_COUNT = """INSERT INTO set_aside VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (day, kind, reason, source) DO UPDATE SET entries = set_aside.entries + excluded.entries"""

# Settled entries take nothing of the quota, and have a limit of their own.
_SURPLUS = f"""
    WITH entry AS (
        SELECT place, d.place IS NOT NULL AS settled,
            sum(size_bytes + length(reasons) + {_BESIDE_BYTES}) OVER newest AS kept_bytes, row_number() OVER newest AS rank
        FROM quarantine LEFT JOIN decisions AS d USING (place)
        WINDOW newest AS (PARTITION BY d.place IS NOT NULL ORDER BY received_at DESC, place DESC))
    SELECT place, settled FROM entry WHERE CASE WHEN settled THEN rank > {SETTLED_LIMIT} ELSE kept_bytes > ? END"""


def note(run: Any, insert: Insert, changes: Changes, limit_bytes: int) -> None:
    """Write what a commit has of entries and decisions, within its transaction."""
    if changes.settled:
        rows = pa.Table.from_pylist(list(changes.settled))
        known = run("SELECT place FROM decisions WHERE place IN (SELECT unnest(?))", [rows["place"].to_pylist()])
        _insert_new(insert, changes.settled, {place for (place,) in known.fetchall()})
    if not changes.quarantine:
        return
    insert("quarantine", pa.Table.from_pylist(list(changes.quarantine)), "* REPLACE (CAST(day AS DATE) AS day)")
    _count(run, changes.quarantine)
    gone = run(_SURPLUS, [limit_bytes]).fetchall()
    run("DELETE FROM quarantine WHERE place IN (SELECT unnest(?))", [[place for place, _ in gone]])
    for name, number in Counter("settled_dropped" if settled else "quarantine_dropped" for _, settled in gone).items():
        run(_ADD, [str(changes.quarantine[-1]["day"]), name, number])


def _insert_new(insert: Insert, rows: Sequence[Row], known: set[int]) -> None:
    first: dict[int, Row] = {}
    for row in rows:
        if row["place"] not in known:
            first.setdefault(row["place"], row)
    if first:
        insert("decisions", pa.Table.from_pylist(list(first.values())), "*")


def _count(run: Any, rows: Sequence[Row]) -> None:
    counted = Counter((str(row["day"]), row["kind"], row["reason"], row["source"]) for row in rows)
    for (day, kind, reason, source), entries in counted.items():
        fits = run(
            """SELECT count(*) < ? OR count(*) FILTER (kind = ? AND reason = ? AND source = ?) > 0
            FROM set_aside WHERE day = ?""",
            [GROUPS_LIMIT, kind, reason, source, day],
        ).fetchone()[0]
        named = (reason, source) if fits else (f"{OTHER} other", OTHER)
        run(_COUNT, [day, kind, *named, entries])
