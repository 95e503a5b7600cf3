"""The database's tables, once for every backend: names and types in the SQL that they share."""

from __future__ import annotations

from tillstream.receipt.normalization import receipt_tables

VERSION = 2
"""Of the tables below. The database is derived: one of another version is made anew from the log."""

_QUARANTINE = {
    "quarantine": {
        "place": "BIGINT",
        "received_at": "TIMESTAMP",
        "day": "DATE",  # of receipt, in the chain's zone
        "kind": "VARCHAR",  # refused, unreadable or conflict
        "source": "VARCHAR",
        "key": "VARCHAR",
        "reasons": "VARCHAR",  # JSON: [{"path", "error", "hint"}]
        "reason": "VARCHAR",  # the group of the first (`tillstream.receipt.reasons`)
        "size_bytes": "BIGINT",
    },
    # What people decided about entries, some of which are long gone by the quota.
    "decisions": {
        "place": "BIGINT",
        "settled_day": "DATE",  # the day of the entry
        "decision": "VARCHAR",  # replayed or discarded
        "settled_at": "TIMESTAMP",
        "settled_key": "VARCHAR",  # of the receipt that it became; empty: none, or several
    },
    # How many entries there were, those gone by the quota included.
    "set_aside": {
        "day": "DATE",
        "kind": "VARCHAR",
        "reason": "VARCHAR",
        "source": "VARCHAR",
        "entries": "BIGINT",
    },
}


def tables(digits: int) -> dict[str, dict[str, str]]:
    """Column types by table; `digits` are the decimals of the currency's minor unit."""
    return {
        **receipt_tables(digits),
        **_QUARANTINE,
        "counters": {"day": "DATE", "name": "VARCHAR", "value": "BIGINT"},
        "received": {"second": "TIMESTAMP", "day": "DATE", "receipts": "BIGINT"},  # the last minutes only
        "faults": {"offset_text": "VARCHAR", "records": "BIGINT", "reason": "VARCHAR", "found_at": "TIMESTAMP"},
        "state": {
            "position": "VARCHAR",
            "records": "BIGINT",  # of the log, consumed so far
            "committed_at": "TIMESTAMP",
            "step": "BIGINT",  # how many commits there were
            "merged": "BIGINT",  # the commit up to which metrics are merged
        },
        "catalogue": {"metric": "VARCHAR", "digest": "VARCHAR"},
        "meta": {"name": "VARCHAR", "value": "VARCHAR"},
    }
