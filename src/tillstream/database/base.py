"""The database port: metrics, receipts, quarantine and the position, all of one commit or none."""

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
    """What one step of the engine adds. The tables' columns are those of `tillstream.database.schema`.

    `quarantine` rows are refused, unreadable or conflicting records. `counters` adds to
    (day of receipt, name): duplicates, conflicts, quarantined. `records` is how many records of
    the log the step consumed, damaged ones included. `settled` rows are people's decisions on
    entries of the quarantine; a commit may have nothing else, and then moves nothing.
    """

    after: Position
    upto: Position
    records: int
    receipts: pa.Table | None = None
    lines: pa.Table | None = None
    settlements: pa.Table | None = None
    quarantine: Sequence[Row] = ()
    counters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    faults: Sequence[Row] = ()
    settled: Sequence[Row] = ()
    committed_us: int = 0


class Reader(ABC):
    """The database as one commit left it: the last one before the first question. For one thread."""

    @abstractmethod
    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Rows of one SELECT in the SQL that DuckDB and PostgreSQL share, `?` for a parameter.

        Raises `DatabaseUnavailable`, also where the statement would write; no other question can follow then.
        """

    @abstractmethod
    def verify(self, metric: str, limit: int = 20) -> list[Row]:
        """Rows in which a metric and a recount of the stored receipts differ, both sides shown."""


class Database(ABC):
    """Derived state that readers ask: everything in it follows from the log and can be made anew.

    It keeps every metric of the catalogue under `schema.metric_table(name)`, equal at any commit to
    the fold of the stored rows; when it folds them (at the commit, later, at the reading) is its own.

    *Exactly once*: `commit` is compare-and-set. It applies all of a step's changes and moves the
    position, in one transaction, and only if the position is still the one that the step started
    from. Readers see all of a commit or nothing of it, never wait for the writer, and never hold it up.
    """

    @abstractmethod
    def position(self) -> Position:
        """The position of the last commit; `START` in an empty database."""

    @abstractmethod
    def record_ids(self, keys: pa.Table) -> dict[str, int]:
        """The places of those receipts that are stored already, by key.

        `keys` has the columns `key` (32 hexadecimal digits) and `sold_local` (timestamp).
        """

    @abstractmethod
    def commit(self, changes: Changes) -> None:
        """Apply the changes. Raises `PositionConflict` where `changes.after` is not the position. Safe from any thread.

        A settled entry takes nothing of the quarantine's quota; the first decision on an entry stands.
        """

    @abstractmethod
    def maintain(self) -> None:
        """Do what keeps the database quick and may take its time, once the last commit is seen by who waits for it.

        Where it fails the commits stand all the same, and the next call tries again. Safe from any thread.
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Reader]:
        """Within the block all questions are answered from one commit, whatever is committed meanwhile.

        To be left soon: what was overwritten since is kept until then. Safe from any thread. Raises
        `DatabaseUnavailable`.
        """

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """One question alone, as `Reader.query` answers it. Safe from any thread."""
        with self.snapshot() as reader:
            return reader.query(sql, parameters)

    @abstractmethod
    def rebuild(self, metric: str) -> int:
        """Make one metric anew from the stored receipts, in one transaction; how many rows it has."""

    @abstractmethod
    def size_bytes(self) -> int:
        """What the database takes on disk."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database; what was committed stays."""
