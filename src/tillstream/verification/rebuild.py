"""Rebuilds the whole database from the log, or one metric from the stored receipts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tillstream.config.data_directory import DataDirectory
from tillstream.config.files import sync_directory
from tillstream.verification.check import Stored

Progress = Callable[[int, int], None]
"""Called with the number of processed records and the total number of records."""


def rebuild_database(
    directory: DataDirectory, open_new: Callable[[], AbstractContextManager[Stored]], progress: Progress
) -> int:
    """Process the whole log into a new database, and replace the old database with the new one.

    `open_new` opens the new database. Returns the number of processed records. Raises `DataDirectoryError` if an
    engine is running.
    """
    with directory.lock("engine"):
        discard(directory.new_database)
        done = 0
        with open_new() as stored:
            while (step := stored.engine.step()) is not None:
                done += step.records
                progress(done, max(done, stored.log.count(stored.log.end())))
        _replace(directory.new_database, directory.database)
    return done


def rebuild_metric(
    directory: DataDirectory, open_stored: Callable[[], AbstractContextManager[Stored]], metric: str
) -> int:
    """Rebuild one metric from the stored receipts. Returns its number of rows.

    Raises `UnknownMetric`, and `DataDirectoryError` if an engine is running.
    """
    with directory.lock("engine"), open_stored() as stored:
        return stored.database.rebuild(metric)


def discard(path: Path) -> None:
    """Delete a database file and its write-ahead log, if they exist."""
    path.unlink(missing_ok=True)
    _write_ahead_log(path).unlink(missing_ok=True)


def _replace(new: Path, old: Path) -> None:
    # First delete the write-ahead log of the old database. The new database gets the same path, so DuckDB would apply
    # the old changes to it a second time.
    _write_ahead_log(old).unlink(missing_ok=True)
    new.replace(old)
    sync_directory(old.parent)


def _write_ahead_log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
