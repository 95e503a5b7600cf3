"""Makes the store anew: the whole of it from the log, or one metric from the stored receipts."""

from __future__ import annotations

from collections.abc import Callable

from tillstream import composition
from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings

Progress = Callable[[int, int], None]
"""Told how many records are folded, and of how many."""


def rebuild_store(directory: DataDirectory, settings: Settings, clock: Clock, progress: Progress) -> int:
    """Fold the whole log into a new store, then put it in the place of the old one; how many records.

    The old store stands until the swap. Raises `DataDirectoryError` while an engine runs.
    """
    with directory.lock("engine"):
        composition.discard_store(directory.new_store)
        done = 0
        with composition.open_reading(directory, settings, clock, rebuilding=True) as reading:
            while (step := reading.engine.step()) is not None:
                done += step.records
                progress(done, max(done, reading.log.count(reading.log.end())))
        composition.replace_store(directory.new_store, directory.store)
    return done


def rebuild_metric(directory: DataDirectory, settings: Settings, clock: Clock, metric: str) -> int:
    """Make one metric anew from the stored receipts; how many rows it has.

    Raises `UnknownMetric`, and `DataDirectoryError` while an engine runs.
    """
    with directory.lock("engine"), composition.open_reading(directory, settings, clock) as reading:
        return reading.store.rebuild(metric)
