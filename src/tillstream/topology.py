"""The composition root: from settings to a concrete log, store, engine and views. Nobody else
imports a backend.

Backends are imported where they are made, so that ingest never loads the store's libraries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tillstream.clock import Clock
from tillstream.datadir import DataDirectory, sync_directory
from tillstream.log.base import Log
from tillstream.metrics import Metric, catalogue
from tillstream.settings import Settings
from tillstream.shoplist.kept import KeptShops, with_zones

if TYPE_CHECKING:
    from tillstream.engine.base import Engine
    from tillstream.store.base import Store
    from tillstream.views.views import Views


def open_log(directory: DataDirectory, settings: Settings, *, writer: bool) -> Log:
    """The log, for the one role that writes it or for any reader. Raises `LogUnavailable`."""
    from tillstream.log.sqlite import SqliteLog

    return SqliteLog(directory.log, writer=writer, settings=settings)


def in_force(directory: DataDirectory, settings: Settings, clock: Clock) -> tuple[Settings, KeptShops]:
    """The settings with the time zones of the list of shops as it is now, and the list as it will be."""
    shops = KeptShops(directory.shops, clock)
    return with_zones(settings, shops()), shops


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything on the right-hand side of the log, over one data directory."""

    log: Log
    store: Store
    engine: Engine
    views: Views
    metrics: Sequence[Metric]


@contextmanager
def open_reading(
    directory: DataDirectory, settings: Settings, clock: Clock, *, rebuilding: bool = False
) -> Iterator[Reading]:
    """Log, store, engine and views, let go of at the end of the block; `rebuilding`: over the new store.

    Raises `StoreUnavailable`, `LogUnavailable` or `CatalogueError`. The caller holds the
    directory's `engine` lock: the store's file has one process.
    """
    from tillstream.engine.embedded import EmbeddedEngine
    from tillstream.store.duckdb import DuckStore
    from tillstream.views.views import Views

    settings, shops = in_force(directory, settings, clock)
    metrics = catalogue(settings.metrics)
    path = directory.new_store if rebuilding else directory.store
    with (
        closing(open_log(directory, settings, writer=False)) as log,
        closing(DuckStore(path, metrics, settings, clock)) as store,
        closing(EmbeddedEngine(log, store, settings, clock, rebuilding=rebuilding)) as engine,
    ):
        views = Views(store, log, metrics, settings, clock, engine.trouble, shops=shops)
        yield Reading(log, store, engine, views, metrics)


def discard_store(path: Path) -> None:
    """Remove a store's file, where there is one, with its write-ahead log."""
    path.unlink(missing_ok=True)
    _write_ahead(path).unlink(missing_ok=True)


def replace_store(new: Path, old: Path) -> None:
    """Put a closed store in the place of another, at once and durably."""
    # A write-ahead log left by a crash would be replayed into the new file. Without it the old store
    # is only a little older, and what it lacks is in the log.
    _write_ahead(old).unlink(missing_ok=True)
    new.replace(old)
    sync_directory(old.parent)


def _write_ahead(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
