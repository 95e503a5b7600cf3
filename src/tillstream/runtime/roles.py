"""The roles of processes: ingest, engine and inbox. Each role is a function that blocks until the process stops.

Each function imports only the modules of its role, so ingest never loads the libraries of the database. The
parameter `supervised` says whether a supervisor started the process.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import uvloop

from tillstream.access import exposure, machine_token
from tillstream.access.keys import KeyRepository, key_file
from tillstream.clock import Clock, SystemClock
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory, Kind, Lock, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.log.base import Log
from tillstream.runtime.supervisor import watch_supervisor
from tillstream.stores.repository import settings_in_force

if TYPE_CHECKING:
    from tillstream.alerts.evaluator import AlertEvaluator
    from tillstream.database.base import Database
    from tillstream.engine.base import Engine, Step
    from tillstream.metrics.catalogue import Metric
    from tillstream.quarantine.service import LocalQuarantineService
    from tillstream.queries.queries import Queries
    from tillstream.web.middleware.auth import Authenticator

logger = structlog.get_logger()

Ready = Callable[[str], None]
"""Called when the process is ready, with its address. A process without a port passes the address of ingest."""

SWITCH_INTERVAL_S = 0.001
"""The time for which a thread of ingest may hold the interpreter lock while another thread waits for it.

With Python's default of 5 ms, a thread that decodes a batch would delay the event loop and the writes to the log.
"""

CATCH_UP_S = 1.5
"""When the engine stops, it first processes the remaining records of the log, but at most for this time."""

BROADCAST_INTERVAL_S = 0.4
"""The time between two broadcasts. Subscribers expect a message every 0.5 s while receipts arrive."""

BROADCAST_REPEATS = 5
"""The number of broadcasts after a commit.

One is not enough: some figures, such as receipts per minute, change in the seconds after the commit.
"""


@dataclass(frozen=True, slots=True)
class ReadSide:
    """The log of one data directory, and everything that reads it.

    `broadcast` publishes JSON messages. Its argument maps the names of exchanges to messages. `broadcast` is None if
    the log is not on a broker.
    """

    log: Log
    database: Database
    engine: Engine
    queries: Queries
    alerts: AlertEvaluator
    metrics: Sequence[Metric]
    quarantine_service: LocalQuarantineService
    broadcast: Callable[[Mapping[str, bytes]], None] | None


OpenReadSide = Callable[[DataDirectory, Settings, Clock], AbstractContextManager[ReadSide]]


def ingest(
    settings: Settings, ready: Ready, open_log: Callable[[DataDirectory, Settings], Log], *, supervised: bool = False
) -> None:
    """Accept receipts until SIGINT or SIGTERM. Raises an `OperationalError` if it cannot start."""
    from tillstream.ingest.app import serve
    from tillstream.ingest.auth import Authorizer

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    directory, clock = _open_directory(settings, ingest=True, supervised=supervised), SystemClock()
    authorizer = Authorizer(
        KeyRepository(key_file(directory, settings), clock),
        machine_token.token(directory, secrets.token_bytes),
        required=exposure.always_required(settings),
    )
    settings, _ = settings_in_force(directory, settings, clock)
    with directory.lock("ingest") as lock, closing(open_log(directory, settings)) as log:

        async def run(stop: asyncio.Event) -> None:
            await serve(log, settings, clock, stop, partial(_announce, settings, lock, ready), authorizer)

        run_until_stopped(run, supervised=supervised)


def engine(settings: Settings, ready: Ready, open_read_side: OpenReadSide, *, supervised: bool = False) -> None:
    """Process the log and serve the dashboard until SIGINT or SIGTERM.

    Raises an `OperationalError` if it cannot start, and any error that stops the processing of the log.
    """
    from tillstream.web.middleware.auth import Authenticator

    directory, clock = _open_directory(settings, ingest=False, supervised=supervised), SystemClock()
    authenticator = Authenticator(directory, settings, clock, secrets.token_bytes)
    with directory.lock("engine") as lock, open_read_side(directory, settings, clock) as read_side:

        async def run(stop: asyncio.Event) -> None:
            announce = partial(_announce, settings, lock, ready)
            await _serve_read_side(directory, read_side, settings, clock, stop, announce, authenticator)

        run_until_stopped(run, supervised=supervised)


def inbox(settings: Settings, ready: Ready, *, supervised: bool = False, to: str = "", key: str = "") -> None:
    """Import files from the inbox until SIGINT or SIGTERM.

    `to` is the address of ingest, and `key` is an API key. If `to` is empty, the ingest of the data directory is
    used. Raises `SettingsError` if the folder cannot be an inbox. Also raises `AccessError` and `FormatError`.
    """
    from tillstream.importing.inbox import serve
    from tillstream.importing.uploader import Destination, find_destination, log_id

    if supervised:
        address = ports.address(settings.host, settings.ingest_port, tls=settings.tls)
        token = machine_token.token(open_directory(settings.data_path), secrets.token_bytes)
        destination = Destination(address, log_id(settings), token, same_machine=True)
    else:
        destination = find_destination(settings, to, key)

    async def run(stop: asyncio.Event) -> None:
        ready(destination.url)
        await serve(settings, destination, SystemClock(), stop)

    run_until_stopped(run, supervised=supervised)


async def _serve_read_side(
    directory: DataDirectory,
    read_side: ReadSide,
    settings: Settings,
    clock: Clock,
    stop: asyncio.Event,
    announce: Callable[[int], None],
    authenticator: Authenticator,
) -> None:
    from tillstream.alerts.notifier import Notifier
    from tillstream.verification import check
    from tillstream.web.server import application, live_feed, serve

    loop = asyncio.get_running_loop()
    live = live_feed(read_side.queries, read_side.alerts, settings, clock)
    halt = Event()
    broadcast = Broadcast(read_side.queries.ticker, read_side.broadcast) if read_side.broadcast is not None else None

    def on_commit(_: Step) -> None:
        live.notify()
        if broadcast is not None:
            broadcast.notify()

    with ThreadPoolExecutor(3, "engine") as executor, _webhook(settings) as send:
        folding = loop.run_in_executor(executor, _fold, read_side.engine, halt, on_commit)
        # If the engine stops, the process must end, because the dashboard would show old figures as live ones.
        folding.add_done_callback(lambda _: stop.set())
        if broadcast is not None:
            loop.run_in_executor(executor, broadcast.run, halt)

        def on_bound(port: int) -> None:
            page = settings.alert_page_url or ports.address(settings.host, port, tls=settings.tls)
            notifier = Notifier(read_side.alerts.active, send, lambda: page, clock, directory.reported_alerts)
            loop.run_in_executor(executor, notifier.run, halt)
            announce(port)

        try:
            app = application(
                read_side.queries,
                read_side.alerts,
                read_side.quarantine_service,
                live,
                settings,
                partial(_gauges, read_side),
                authenticator,
                partial(check.run, read_side.database, read_side.queries, read_side.log, read_side.metrics),
                demo=directory.kind is Kind.DEMO,
            )
            await serve(app, live, settings, stop, on_bound)
        finally:
            halt.set()
            live.close()
        await folding


@contextmanager
def _webhook(settings: Settings) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Provide a function that sends an event to the webhook. The function does nothing if no webhook is set."""
    if not settings.alert_webhook_url:
        yield lambda _: None
        return
    from tillstream.alerts.notifier import Webhook

    with closing(Webhook(settings)) as webhook:
        yield webhook.send


def _fold(engine: Engine, halt: Event, on_commit: Callable[[Step], None]) -> None:
    """Run the engine until `halt` is set, then process the remaining records for at most `CATCH_UP_S`."""
    engine.run(halt, on_commit)
    deadline = time.monotonic() + CATCH_UP_S
    try:
        while time.monotonic() < deadline and engine.step() is not None:
            pass
    except LogUnavailable as error:
        # The remaining records stay in the log. They are processed after the next start.
        logger.warning("engine.stopped_behind", error=str(error))


class Broadcast:
    """Publishes the running figures of the day to the subscribers on the broker.

    `read` returns the figures for each exchange of the broker. `send` publishes them as JSON. `notify` is thread-safe.
    """

    def __init__(self, read: Callable[[], Mapping[str, Any]], send: Callable[[Mapping[str, bytes]], None]) -> None:
        self._read = read
        self._send = send
        self._encode = msgspec.json.Encoder(decimal_format="number").encode
        self._remaining = 0
        self._is_failing = False

    def notify(self) -> None:
        """Request `BROADCAST_REPEATS` messages after a commit."""
        self._remaining = BROADCAST_REPEATS

    def run(self, stop: Event) -> None:
        """Publish the requested messages, one every `BROADCAST_INTERVAL_S`, until `stop` is set."""
        while not stop.wait(BROADCAST_INTERVAL_S):
            if self._remaining:
                self._remaining -= 1
                self.publish()

    def publish(self) -> None:
        """Publish the current figures. If this fails several times in succession, only the first failure is logged."""
        try:
            self._send({name: self._encode(each) for name, each in self._read().items()})
        except Exception as error:  # noqa: BLE001 - any error is logged, and the next message contains the same figures
            if not self._is_failing:
                logger.warning("broadcast.failed", reason=str(error))
            self._is_failing = True
            return
        if self._is_failing:
            logger.info("broadcast.recovered")
        self._is_failing = False


def _gauges(read_side: ReadSide) -> dict[str, float]:
    gauges = {"store_size_bytes": float(read_side.database.size_bytes())}
    with suppress(LogUnavailable):
        gauges["log_lag_records"] = read_side.log.lag()
    return gauges


def _open_directory(settings: Settings, *, ingest: bool, supervised: bool) -> DataDirectory:
    """Open the data directory, and check the protection of the role's port: keys or a password, and TLS.

    Raises `DataDirectoryError`. Raises `AccessError` if a required protection is missing.
    """
    directory = open_directory(settings.data_path, None if supervised else Kind.REAL)
    warning = exposure.check(directory, settings, ingest=ingest, dashboard=not ingest)
    # `tillstream up` has already printed the warning for a supervised process.
    if warning and not supervised:
        logger.warning("exposure.unprotected", reason=warning.removeprefix("warning: "))
    return directory


def _announce(settings: Settings, lock: Lock, ready: Ready, port: int) -> None:
    address = ports.address(settings.host, port, tls=settings.tls)
    lock.publish(address)
    ready(address)


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[object, object, None]], *, supervised: bool) -> None:
    """Run `main` on uvloop. Its argument is an event that is set by SIGINT, SIGTERM or the death of the supervisor."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if supervised:
            watch_supervisor(lambda: loop.call_soon_threadsafe(stop.set))
        await main(stop)

    uvloop.run(run())
