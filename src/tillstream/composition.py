"""The composition root: creates the log, the database, the engine and the queries from the settings.

Only this module imports backends, that is, implementations of the log, the database and the engine. It imports them
inside functions, because ingest must not load the libraries of the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tillstream.access import machine_token
from tillstream.clock import Clock, SystemClock
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, IngestUnavailable, SettingsError
from tillstream.log.base import Log
from tillstream.metrics.catalogue import catalogue
from tillstream.stores.repository import settings_in_force

if TYPE_CHECKING:
    from tillstream.runtime.roles import ReadSide


def open_log(directory: DataDirectory, settings: Settings, *, writer: bool) -> Log:
    """Open the log: for appends if `writer` is true, for reads if it is false. Raises an `OperationalError`."""
    if settings.log == "rabbitmq":
        return _open_rabbitmq(directory, settings, writer=writer)
    if directory.broker_marker.exists():
        raise _other_log(directory, "its log is on RabbitMQ", "set log = rabbitmq")
    from tillstream.log.sqlite.log import SqliteLog

    return SqliteLog(directory.log, writer=writer, settings=settings)


def _open_rabbitmq(directory: DataDirectory, settings: Settings, *, writer: bool) -> Log:
    try:
        import pika  # noqa: F401 - checks that it is installed
    except ModuleNotFoundError as error:
        hint = "try: pip install 'tillstream[rabbitmq]'"
        raise SettingsError("use the setting", "log = rabbitmq", "its client library pika is missing", hint) from error
    # If the directory has a SQLite log, its database contains a position in that log. This position is meaningless in
    # a log on RabbitMQ, so refuse the directory.
    if directory.log.exists():
        raise _other_log(directory, f"its log is {directory.log.name}", "set log = sqlite")
    directory.broker_marker.touch()
    from tillstream.log.rabbitmq.log import RabbitLog
    from tillstream.receipt.validation import Validator

    return RabbitLog(settings, Validator(settings), SystemClock(), writer=writer)


def _other_log(directory: DataDirectory, because: str, hint: str) -> DataDirectoryError:
    return DataDirectoryError(
        "use the data directory", directory.path, because, f"{hint}, or name a new directory with --data"
    )


@contextmanager
def open_read_side(
    directory: DataDirectory, settings: Settings, clock: Clock, *, rebuilding: bool = False
) -> Iterator[ReadSide]:
    """Open the read side of a data directory: log, database, engine, queries and alerts. Close it after the block.

    If `rebuilding` is true, open the new database that will replace the current one. The caller must hold the
    `engine` lock of the directory, because only one process can open the database file. Raises an `OperationalError`.
    """
    from tillstream.alerts.evaluator import AlertEvaluator
    from tillstream.database.duckdb.database import DuckDatabase
    from tillstream.engine.duckdb import DuckEngine
    from tillstream.formats import registry
    from tillstream.quarantine.decisions import Decisions
    from tillstream.quarantine.replay import Replayer
    from tillstream.quarantine.service import LocalQuarantineService
    from tillstream.queries.queries import Queries
    from tillstream.runtime.roles import ReadSide

    settings, stores = settings_in_force(directory, settings, clock)
    metrics = catalogue(settings.metrics)
    path = directory.new_database if rebuilding else directory.database
    formats = registry.load(settings)
    replayer = Replayer(
        partial(_ingest_address, directory, settings),
        partial(_ingest_headers, directory, settings),
        formats,
        remote=bool(settings.ingest_url),
    )
    decisions = Decisions(directory.decisions)
    with (
        closing(open_log(directory, settings, writer=False)) as log,
        closing(DuckDatabase(path, metrics, settings, clock)) as database,
        closing(DuckEngine(log, database, settings, clock, rebuilding=rebuilding)) as engine,
    ):
        decisions.apply(database)
        queries = Queries(database, log, metrics, settings, clock, engine.failure, stores=stores, formats=formats)
        quarantine_service = LocalQuarantineService(queries, database, log, decisions, replayer, clock)
        alerts = AlertEvaluator(database, log, settings, queries.calendar, stores)
        # Only the log on RabbitMQ can broadcast figures to subscribers.
        broadcast = getattr(log, "broadcast", None)
        yield ReadSide(log, database, engine, queries, alerts, metrics, quarantine_service, broadcast)


def _ingest_address(directory: DataDirectory, settings: Settings) -> str:
    """Return the setting `ingest_url`. If it is not set, return the URL of the ingest process of this directory.

    Raises `IngestUnavailable` if that process is not running or is still starting.
    """
    if settings.ingest_url:
        return settings.ingest_url.rstrip("/")
    holder = directory.holder("ingest")
    if holder is None:
        raise IngestUnavailable(
            "replay to ingest on", directory.path, "it is not running", "start `tillstream up`, or set ingest_url"
        )
    if not holder.address:
        raise IngestUnavailable("replay to ingest on", directory.path, "it is still starting", "try again in a moment")
    return holder.address


def _ingest_headers(directory: DataDirectory, settings: Settings) -> Mapping[str, str]:
    """Return the headers that authorize a request to ingest. Raises `IngestUnavailable` if the key cannot be read."""
    if not settings.ingest_url:
        return machine_token.authorization(directory)
    if not settings.ingest_key_file:
        return {}
    file = Path(settings.ingest_key_file)
    try:
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise IngestUnavailable("read the key in", file, error, "see the setting ingest_key_file") from error
    return {"Authorization": f"Bearer {key}"}
