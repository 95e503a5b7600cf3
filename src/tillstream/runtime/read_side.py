"""The read side: everything that reads the log, from the engine and its database to queries and alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.database.base import Database
from tillstream.engine.base import Engine
from tillstream.log.base import Log
from tillstream.metrics.catalogue import Metric
from tillstream.quarantine.service import LocalQuarantineService
from tillstream.queries.queries import Queries


@dataclass(frozen=True, slots=True)
class ReadSide:
    """The parts of the read side over one data directory."""

    log: Log
    database: Database
    engine: Engine
    queries: Queries
    alerts: AlertEvaluator
    metrics: Sequence[Metric]
    quarantine_service: LocalQuarantineService
    broadcast: Callable[[Mapping[str, bytes]], None] | None
    """Publishes JSON by name of exchange; None if the log has no broker."""


OpenReadSide = Callable[[DataDirectory, Settings, Clock], AbstractContextManager[ReadSide]]
