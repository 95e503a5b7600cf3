"""The quarantine tables in DuckDB: the entries within the quota, counts of all entries, and decisions about entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from tillstream.database.base import Changes, Row
from tillstream.database.duckdb.metric_tables import Run
from tillstream.receipt.reasons import OTHER

GROUPS_LIMIT = 1_000
"""On one day, at most this many combinations of kind, reason and source are counted separately.

Further combinations are counted together as `(other)`.
"""

RESOLVED_LIMIT = 10_000
"""At most this many resolved entries (entries with a decision) are stored. The oldest are removed first."""

Insert = Callable[[str, Sequence[Row]], None]
"""A function that inserts rows into a table."""

_ENTRY_OVERHEAD_BYTES = 100
"""The estimated size of an entry without its content and its reasons. The quota limits the size of all entries."""

ADD_COUNTER = """INSERT INTO counters VALUES (?, ?, ?)
    ON CONFLICT (day, name) DO UPDATE SET value = counters.value + excluded.value"""
_ADD_ENTRIES = """INSERT INTO set_aside VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (day, kind, reason, source) DO UPDATE SET entries = set_aside.entries + excluded.entries"""

# Resolved entries are limited by number. All other entries are limited by the quota in bytes.
_OVER_QUOTA = f"""
    WITH entry AS (
        SELECT place, d.place IS NOT NULL AS resolved, row_number() OVER newest AS rank,
            sum(size_bytes + length(reasons) + {_ENTRY_OVERHEAD_BYTES}) OVER newest AS total_bytes
        FROM quarantine LEFT JOIN decisions AS d USING (place)
        WINDOW newest AS (PARTITION BY d.place IS NOT NULL ORDER BY received_at DESC, place DESC))
    SELECT place, resolved FROM entry
    WHERE CASE WHEN resolved THEN rank > {RESOLVED_LIMIT} ELSE total_bytes > ? END"""


def write_quarantine(run: Run, insert: Insert, changes: Changes, limit_bytes: int) -> None:
    """Write the decisions and entries of a commit. After new entries, remove the oldest ones until the limits are met.

    `limit_bytes` is the quota: the maximum size of all entries without a decision.
    """
    if changes.decisions:
        _insert_decisions(run, insert, changes.decisions)
    if not changes.quarantine:
        return
    insert("quarantine", changes.quarantine)
    _count_entries(run, changes.quarantine)
    removed = run(_OVER_QUOTA, [limit_bytes]).fetchall()
    run("DELETE FROM quarantine WHERE place IN (SELECT unnest(?))", [[record_id for record_id, _ in removed]])
    names = Counter("settled_dropped" if resolved else "quarantine_dropped" for _, resolved in removed)
    for name, number in names.items():
        run(ADD_COUNTER, [str(changes.quarantine[-1]["day"]), name, number])


def _insert_decisions(run: Run, insert: Insert, decisions: Sequence[Row]) -> None:
    """Insert the first decision about each entry. Entries that already have a decision keep it."""
    first = {row["place"]: row for row in reversed(decisions)}
    stored = run("SELECT place FROM decisions WHERE place IN (SELECT unnest(?))", [list(first)]).fetchall()
    for (record_id,) in stored:
        del first[record_id]
    insert("decisions", list(first.values()))


def _count_entries(run: Run, rows: Sequence[Row]) -> None:
    counts = Counter((str(row["day"]), row["kind"], row["reason"], row["source"]) for row in rows)
    for (day, kind, reason, source), entries in counts.items():
        fits = run(
            """SELECT count(*) < ? OR count(*) FILTER (kind = ? AND reason = ? AND source = ?) > 0
            FROM set_aside WHERE day = ?""",
            [GROUPS_LIMIT, kind, reason, source, day],
        ).fetchone()[0]
        group = (reason, source) if fits else (f"{OTHER} other", OTHER)
        run(_ADD_ENTRIES, [day, kind, *group, entries])
