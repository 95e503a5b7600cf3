"""The engine port: it reads the log, tells new receipts from old, normalises them, and commits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from tillstream.errors import LogUnavailable
from tillstream.log.base import Position


@dataclass(frozen=True, slots=True)
class Step:
    """What one committed step of the engine did; counts are records of the log."""

    position: Position
    records: int
    receipts: int
    duplicates: int
    conflicts: int
    quarantined: int
    faults: int
    seconds: float


OnCommit = Callable[[Step], None]
"""Told of a step as soon as readers see what it committed."""


def ignore(_: Step) -> None:
    """Tell nobody."""


class Engine(ABC):
    """Folds the log into the database. *Exactly once in effect*: what a step adds and the position
    behind it are one commit of the database, so a step that died is made again and one that
    committed is never repeated. A record that cannot be read goes to quarantine; it stops nothing.
    """

    @abstractmethod
    def step(self, on_commit: OnCommit = ignore) -> Step | None:
        """Fold the next records, commit, tell, and let the database tend itself; None where the log has no more."""

    @abstractmethod
    def run(self, stop: Event, on_commit: OnCommit) -> None:
        """Step until `stop` is set, at most every `engine_interval_ms` while there is little to do.

        While the log is unavailable it stands still, says so, and tries again.
        """

    @abstractmethod
    def trouble(self) -> LogUnavailable | None:
        """Why the engine stands still; None while it goes on. Safe from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the engine holds, but not of the log and the database."""
