"""The database port: receipts, metrics, quarantine and the log position, changed together in one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tillstream.log.base import Position

Row = dict[str, Any]


@dataclass(slots=True)
class Changes:
    """Everything that one commit adds: a step of the engine, or decisions about quarantine entries.

    A commit is applied completely or not at all, and moves the position from `from_position` to `to_position`.
    A commit of decisions only has the same position twice. The columns are those of `tillstream.database.schema`.
    """

    from_position: Position
    to_position: Position
    records: int
    """Log records that the step consumed, including damaged ones."""
    receipts: pa.Table | None = None
    lines: pa.Table | None = None
    settlements: pa.Table | None = None
    quarantine: Sequence[Row] = ()
    """Refused, unreadable and conflicting records."""
    counters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Increments by (day of receipt, name). The names are duplicates, conflicts and quarantined."""
    faults: Sequence[Row] = ()
    """Damaged parts of the log."""
    decisions: Sequence[Row] = ()
    committed_us: int = 0


class Reader(ABC):
    """A snapshot of the database: all queries see the same commit, whatever is committed meanwhile.

    A reader is for one thread. It does not block the writer, and the writer does not block it.
    """

    @abstractmethod
    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Rows of a SELECT in the SQL that DuckDB and PostgreSQL share. `?` marks a parameter.

        Raises `DatabaseUnavailable`, also for a statement that writes. The reader cannot be used after an error.
        """

    @abstractmethod
    def verify(self, metric: str, limit: int = 20) -> list[Row]:
        """Rows where a metric differs from a recount of the stored receipts. Both sides are included."""


class Database(ABC):
    """State derived from the log. It can be rebuilt from the log at any time.

    *Each record counts exactly once.* `commit` is compare-and-set: one transaction applies all changes of a
    step and moves the position, but only if the position is still the one from which the step started.
    Readers see all of a commit or nothing of it.

    Every metric of the catalogue is readable as `metric_table(name)`. After any commit it equals the aggregate
    of the stored rows. A backend may aggregate at the commit, later, or when it is read.
    """

    @abstractmethod
    def position(self) -> Position:
        """The log position of the last commit. `START` in an empty database."""

    @abstractmethod
    def record_ids(self, keys: pa.Table) -> dict[str, int]:
        """Record ids of the receipts that are stored already, by key.

        `keys` has the columns `key` (32 hexadecimal digits) and `sold_local` (timestamp).
        """

    @abstractmethod
    def commit(self, changes: Changes) -> None:
        """Apply the changes. They are durable when it returns. Safe from any thread.

        Raises `PositionConflict` if `changes.from_position` is not the current position, and
        `DatabaseUnavailable` if the changes cannot be written. Nothing is applied then. The first decision
        about a quarantine entry wins. Resolved entries do not count towards the quota of the quarantine.
        """

    @abstractmethod
    def maintain(self) -> None:
        """Run deferred maintenance, after readers were notified of the last commit. Safe from any thread.

        It does not raise if maintenance fails. Commits stay valid, and the next call tries again.
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """Open a reader on the current commit. Safe from any thread. Raises `DatabaseUnavailable`.

        Close it soon: the backend keeps all overwritten data until then.
        """

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one query in its own snapshot, as `Reader.query` does. Safe from any thread."""
        with self.snapshot() as reader:
            return reader.query(sql, parameters)

    @abstractmethod
    def rebuild(self, metric: str) -> int:
        """Recompute one metric from the stored receipts, in one transaction. Returns its number of rows."""

    @abstractmethod
    def size_bytes(self) -> int:
        """Size of the database on disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the database. Committed changes stay."""
