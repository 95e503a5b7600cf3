"""The engine port: an engine reads the log, removes duplicates, normalizes receipts, and commits to the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from tillstream.errors import LogUnavailable


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one committed step.

    `records` is the number of log records that the step consumed, including damaged ones. `receipts`, `duplicates`,
    `conflicts` and `quarantined` count these records by result. Conflicts are stored in quarantine, but `quarantined`
    does not include them. `faults` is the number of damaged parts of the log.
    """

    records: int
    receipts: int
    duplicates: int
    conflicts: int
    quarantined: int
    faults: int


OnCommit = Callable[[Step], None]
"""A function that is called with each step as soon as readers can see its commit."""


class Engine(ABC):
    """Moves records from the log to the database. *Each record counts exactly once.*

    After a crash, the engine continues from the last committed position. It therefore repeats a step only if the step
    was not committed. If a client sends a receipt twice, the engine recognizes the second one by its key and counts it
    as a duplicate. Unreadable records go to quarantine and do not stop the engine.
    """

    @abstractmethod
    def step(self, on_commit: OnCommit | None = None) -> Step | None:
        """Process the next records: commit them, call `on_commit`, then run the maintenance of the database.

        Returns None at the end of the log. Raises `LogUnavailable`, `DatabaseUnavailable` or `PositionConflict`.
        """

    @abstractmethod
    def run(self, stop: Event, on_commit: OnCommit) -> None:
        """Run steps until `stop` is set. Under low load, a step starts every `engine_interval_ms` milliseconds.

        While the log is unavailable, the engine keeps trying, and logs from time to time that it is stalled.
        """

    @abstractmethod
    def failure(self) -> LogUnavailable | None:
        """Return the error that stalls the engine, or None. Safe from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources of the engine. The log and the database stay open."""
