"""The database port: the tables, the changes of one commit, and the interfaces that every backend implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tillstream.log.base import Position
from tillstream.receipt.normalization import receipt_tables

Row = dict[str, Any]

VERSION = 2
"""The version of the tables. A database with another version must be rebuilt from the log."""


def tables(digits: int) -> dict[str, dict[str, str]]:
    """Return the column types of each table. `digits` is the currency's number of decimals.

    `place` is the id of a log record, see `tillstream.log.base.pack_record_id`.
    """
    return {
        **receipt_tables(digits),
        "quarantine": {
            "place": "BIGINT",
            "received_at": "TIMESTAMP",
            "day": "DATE",  # day of arrival in the chain's zone
            "kind": "VARCHAR",  # refused, unreadable or conflict
            "source": "VARCHAR",
            "key": "VARCHAR",
            "reasons": "VARCHAR",  # JSON: [{"path", "error", "hint"}]
            "reason": "VARCHAR",  # group of the reasons, see `tillstream.receipt.reasons`
            "size_bytes": "BIGINT",
        },
        # Decisions about quarantine entries. If a full quarantine removes an entry, its decision is kept.
        "decisions": {
            "place": "BIGINT",
            "settled_day": "DATE",  # the column `day` of the entry
            "decision": "VARCHAR",  # replayed or discarded
            "settled_at": "TIMESTAMP",
            "settled_key": "VARCHAR",  # key of the receipt if one was replayed; empty if none or several
        },
        # Number of quarantine entries in each group, including entries that are already removed.
        "set_aside": {"day": "DATE", "kind": "VARCHAR", "reason": "VARCHAR", "source": "VARCHAR", "entries": "BIGINT"},
        "counters": {"day": "DATE", "name": "VARCHAR", "value": "BIGINT"},
        # Numbers of receipts by second of arrival, for the last minutes only.
        "received": {"second": "TIMESTAMP", "day": "DATE", "receipts": "BIGINT"},
        # Damaged parts of the log.
        "faults": {"offset_text": "VARCHAR", "records": "BIGINT", "reason": "VARCHAR", "found_at": "TIMESTAMP"},
        "state": {
            "position": "VARCHAR",
            "records": "BIGINT",  # log records consumed so far
            "committed_at": "TIMESTAMP",
            "step": "BIGINT",  # number of commits
            "merged": "BIGINT",  # number of the last commit whose receipts are merged into the metrics
        },
        "catalogue": {"metric": "VARCHAR", "digest": "VARCHAR"},
        "meta": {"name": "VARCHAR", "value": "VARCHAR"},
    }


@dataclass(slots=True)
class Changes:
    """All changes of one commit: an engine step, or decisions about quarantine entries.

    A commit is applied completely or not at all. It moves the log position of the database from `from_position` to
    `to_position`. If a commit contains only decisions, both positions are equal. Rows have the columns that `tables`
    returns. Times are naive UTC.
    """

    from_position: Position
    to_position: Position
    records: int
    """The number of log records that the step consumed, including damaged ones."""
    receipts: pa.Table | None = None
    lines: pa.Table | None = None
    settlements: pa.Table | None = None
    quarantine: Sequence[Row] = ()
    """Refused, unreadable and conflicting records."""
    counters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Increments of counters, by day of arrival and name. The names are `duplicates`, `conflicts` and `quarantined`."""
    faults: Sequence[Row] = ()
    decisions: Sequence[Row] = ()
    committed_us: int = 0
    """The time of the commit, in microseconds since the epoch."""


class Reader(ABC):
    """A snapshot of the database. All queries of a reader see the same data, even if a writer commits in the meantime.

    A reader belongs to one thread. Readers and the writer do not block each other.
    """

    @abstractmethod
    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT. `?` marks a parameter. The SQL must be valid in DuckDB and PostgreSQL.

        Raises `DatabaseUnavailable` if the query fails or writes. The reader cannot be used after an error.
        """

    @abstractmethod
    def verify(self, metric: str) -> list[Row]:
        """Return at most 20 rows in which a metric differs from a recount of the stored receipts.

        The column `side` says where a row comes from: `metric` or `recount`. Raises `UnknownMetric`.
        """


class Database(ABC):
    """A database whose content is derived from the log. It can be rebuilt from the log at any time.

    *Each record counts exactly once.* `commit` applies all changes of a step and moves the log position in one
    transaction. It refuses a step that did not begin at the current position. Readers see all changes of a commit or
    none.

    Each metric of the catalogue is a table or view with the name `metric_table(name)`. After each commit, its rows
    equal the aggregate of the stored receipts. A backend may aggregate during the commit, later, or in each query.
    """

    @abstractmethod
    def position(self) -> Position:
        """Return the log position of the last commit, or `START` if the database is empty."""

    @abstractmethod
    def record_ids(self, keys: pa.Table) -> dict[str, int]:
        """Return the keys in `keys` that are already stored, each with the record id of its receipt.

        `keys` has the columns `key` (32 hexadecimal digits) and `sold_local` (timestamp).
        """

    @abstractmethod
    def commit(self, changes: Changes) -> None:
        """Apply the changes durably. Safe from any thread.

        The first decision about a quarantine entry wins. Entries with a decision do not count towards the quota, the
        size limit of the quarantine.

        Raises `PositionConflict` if `changes.from_position` is not the current position, and `DatabaseUnavailable` if
        the changes cannot be written. After an error, none of the changes are applied.
        """

    @abstractmethod
    def maintain(self) -> None:
        """Run deferred maintenance. Safe from any thread.

        A failure is logged and not raised. Commits stay valid, and the next call tries again.
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """Open a reader on the last commit. Safe from any thread. Raises `DatabaseUnavailable`.

        Leave the context soon, because the backend keeps overwritten data while a reader is open.
        """

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query in its own snapshot, see `Reader.query`. Safe from any thread."""
        with self.snapshot() as reader:
            return reader.query(sql, parameters)

    @abstractmethod
    def rebuild(self, metric: str) -> int:
        """Recompute one metric from the stored receipts, in one transaction. Returns the number of its rows.

        Raises `UnknownMetric`.
        """

    @abstractmethod
    def size_bytes(self) -> int:
        """Return the size of the database on disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the database."""
