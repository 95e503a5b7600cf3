"""Tables and columns of the database. All backends share them."""

from __future__ import annotations

from tillstream.receipt.normalization import receipt_tables

VERSION = 2
"""Version of the tables. A database of another version must be rebuilt from the log."""

_QUARANTINE = {
    "quarantine": {
        "place": "BIGINT",
        "received_at": "TIMESTAMP",
        "day": "DATE",  # when it was received, in the chain's zone
        "kind": "VARCHAR",  # refused, unreadable or conflict
        "source": "VARCHAR",
        "key": "VARCHAR",
        "reasons": "VARCHAR",  # JSON: [{"path", "error", "hint"}]
        "reason": "VARCHAR",  # group of the first reason (`tillstream.receipt.reasons`)
        "size_bytes": "BIGINT",
    },
    # Decisions about entries. The quota may have removed the entries themselves.
    "decisions": {
        "place": "BIGINT",
        "settled_day": "DATE",  # the day of the entry
        "decision": "VARCHAR",  # replayed or discarded
        "settled_at": "TIMESTAMP",
        "settled_key": "VARCHAR",  # of the resulting receipt; empty for none or several
    },
    # Number of entries, including those that the quota removed.
    "set_aside": {
        "day": "DATE",
        "kind": "VARCHAR",
        "reason": "VARCHAR",
        "source": "VARCHAR",
        "entries": "BIGINT",
    },
}


def tables(digits: int) -> dict[str, dict[str, str]]:
    """Column types by table. `digits` are the decimals of the currency."""
    return {
        **receipt_tables(digits),
        **_QUARANTINE,
        "counters": {"day": "DATE", "name": "VARCHAR", "value": "BIGINT"},
        "received": {"second": "TIMESTAMP", "day": "DATE", "receipts": "BIGINT"},  # of the last minutes
        "faults": {"offset_text": "VARCHAR", "records": "BIGINT", "reason": "VARCHAR", "found_at": "TIMESTAMP"},
        "state": {
            "position": "VARCHAR",
            "records": "BIGINT",  # log records consumed so far
            "committed_at": "TIMESTAMP",
            "step": "BIGINT",  # number of commits
            "merged": "BIGINT",  # last commit that is merged into the metrics
        },
        "catalogue": {"metric": "VARCHAR", "digest": "VARCHAR"},
        "meta": {"name": "VARCHAR", "value": "VARCHAR"},
    }
