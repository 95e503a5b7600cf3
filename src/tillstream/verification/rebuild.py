"""Rebuilds the database: all of it from the log, or one metric from the stored receipts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tillstream.config.data_directory import DataDirectory
from tillstream.config.files import sync_directory
from tillstream.engine.base import Engine
from tillstream.log.base import Log
from tillstream.verification.check import Stored

Progress = Callable[[int, int], None]
"""Called with the number of processed records and their total."""


class Rebuilding(Protocol):
    """An engine over the log and an empty database."""

    @property
    def log(self) -> Log: ...
    @property
    def engine(self) -> Engine: ...


def rebuild_database(
    directory: DataDirectory, open_new: Callable[[], AbstractContextManager[Rebuilding]], progress: Progress
) -> int:
    """Process the whole log into a new database, opened by `open_new`, then replace the old one.

    Returns the number of records. The old database stays until it is replaced. Raises `DataDirectoryError`
    while an engine runs.
    """
    with directory.lock("engine"):
        discard(directory.new_database)
        done = 0
        with open_new() as rebuilding:
            while (step := rebuilding.engine.step()) is not None:
                done += step.records
                progress(done, max(done, rebuilding.log.count(rebuilding.log.end())))
        _replace(directory.new_database, directory.database)
    return done


def rebuild_metric(
    directory: DataDirectory, open_stored: Callable[[], AbstractContextManager[Stored]], metric: str
) -> int:
    """Rebuild one metric from the stored receipts. Returns its number of rows.

    Raises `UnknownMetric`, and `DataDirectoryError` while an engine runs.
    """
    with directory.lock("engine"), open_stored() as stored:
        return stored.database.rebuild(metric)


def discard(path: Path) -> None:
    """Remove a database file, if it exists, with its write-ahead log."""
    path.unlink(missing_ok=True)
    _write_ahead_log(path).unlink(missing_ok=True)


def _replace(new: Path, old: Path) -> None:
    """Replace a closed database by another one, atomically and durably."""
    # DuckDB would replay a write-ahead log left by a crash into the new file. The old database can lose it,
    # because all its changes can be read from the log again.
    _write_ahead_log(old).unlink(missing_ok=True)
    new.replace(old)
    sync_directory(old.parent)


def _write_ahead_log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
