"""The engine port: it reads the log, removes duplicates, normalizes receipts, and commits them to the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from tillstream.errors import LogUnavailable
from tillstream.log.base import Position


@dataclass(frozen=True, slots=True)
class Step:
    """Result of one committed step. The step's changes and its position are one commit of the database.

    `records` is the number of log records consumed. The other counts say what became of these records.
    """

    position: Position
    records: int
    receipts: int
    duplicates: int
    conflicts: int
    quarantined: int
    faults: int
    seconds: float


OnCommit = Callable[[Step], None]
"""Called with a step as soon as readers see its commit."""


def ignore(_: Step) -> None:
    """Do nothing on a commit."""


class Engine(ABC):
    """Moves records from the log to the database. *Each record counts exactly once.*

    The log may deliver a record again after a crash. A step that was not committed is repeated from the last
    committed position, and a step that was committed is never repeated. A receipt that clients sent twice is
    found by its key and counts as a duplicate. Unreadable records go to quarantine and do not stop the engine.
    """

    @abstractmethod
    def step(self, on_commit: OnCommit = ignore) -> Step | None:
        """Process the next records: commit them, call `on_commit`, then let the database run its maintenance.

        Returns None at the end of the log. Raises `LogUnavailable`, `DatabaseUnavailable` or `PositionConflict`.
        """

    @abstractmethod
    def run(self, stop: Event, on_commit: OnCommit) -> None:
        """Run steps until `stop` is set. Under low load, steps start every `engine_interval_ms`.

        While the log is unavailable, the engine logs that it is stalled, and keeps trying.
        """

    @abstractmethod
    def failure(self) -> LogUnavailable | None:
        """Reason why the engine is stalled. None while it works. Safe from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Release the engine's resources. The log and the database stay open."""
