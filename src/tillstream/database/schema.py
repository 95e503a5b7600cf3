"""The store's tables, once for every backend: names and types in the SQL that they share."""

from __future__ import annotations

from tillstream.metrics.catalogue import Metric

VERSION = 2
"""Of the tables below. The store is derived: one of another version is made anew from the log."""

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
    """Column types by table; `digits` are the decimals of the currency's minor unit.

    `place` is the receipt's place in the log (`tillstream.log.base.pack_place`), its surrogate key.
    Timestamps are UTC, but `sold_local`, the till's own wall clock.
    """
    money = f"DECIMAL(18,{digits})"
    sale = {"place": "BIGINT", "day": "DATE", "store": "VARCHAR", "till": "VARCHAR", "sold_local": "TIMESTAMP"}
    return {
        "receipts": {
            **sale,
            "key": "UUID",
            "receipt": "VARCHAR",
            "sold_at": "TIMESTAMP",
            "received_at": "TIMESTAMP",
            "applied_at": "TIMESTAMP",  # when the engine committed it; null after a rebuild
            "gross": money,
            "net": money,
            "tax": money,
            "items": "BIGINT",
            "line_count": "BIGINT",
            "anomalies": "VARCHAR",  # names, comma-separated; empty: none
            "anomalous": "BIGINT",  # 1 where there is an anomaly
            "ingest_bucket": "INTEGER",
            "till_bucket": "INTEGER",
            "source": "VARCHAR",
        },
        "lines": {
            **sale,
            "line": "BIGINT",  # from 1, in the order of the receipt; 0: the unallocated rest
            "is_line": "BIGINT",  # 0 for the unallocated rest
            "category": "VARCHAR",
            "product": "VARCHAR",
            "description": "VARCHAR",
            "quantity": "DECIMAL(19,6)",
            "items": "BIGINT",
            "unit_price": "DECIMAL(19,6)",
            "gross": money,
            "net": money,
            "tax": money,
            "rate": "VARCHAR",
        },
        "settlements": {**sale, "mechanism": "VARCHAR", "amount": money},
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


def metric_columns(metric: Metric, digits: int) -> dict[str, str]:
    """Column types of a metric's table: its keys, then its measures."""
    # Wide, because a sum may hold many of the largest amounts that are taken.
    kinds = {"money": f"DECIMAL(38,{digits})", "count": "BIGINT", "text": "VARCHAR", "time": "TIMESTAMP"}
    keys = {key.name: key.type for key in metric.keys}
    return keys | {measure.name: kinds[measure.kind] for measure in metric.measures}


def metric_table(name: str) -> str:
    """The table of a metric: a name that no other table can have."""
    return f"metric_{name}"
