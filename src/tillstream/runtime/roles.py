"""The roles of tillstream: ingest, engine and inbox, each a function that blocks until the process stops.

Each role imports its own modules when it runs, so that ingest never loads the libraries of the database.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from tillstream.access import exposure, machine_token
from tillstream.access.keys import KeyRepository, key_file
from tillstream.clock import SystemClock
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory, Kind, Lock, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.log.base import Log
from tillstream.runtime import parent_pipe
from tillstream.runtime.broadcast import Broadcast
from tillstream.stores.repository import settings_in_force

if TYPE_CHECKING:
    from tillstream.engine.base import Engine, Step
    from tillstream.runtime.read_side import OpenReadSide, ReadSide
    from tillstream.web.middleware.authenticator import Authenticator

logger = structlog.get_logger()

Ready = Callable[[str], None]
"""Called once with the address of the role, when the role is ready."""

SWITCH_INTERVAL_S = 0.001
"""How long a thread of ingest holds the interpreter lock while another thread waits.

With Python's default of 5 ms, a thread that decodes a batch would delay the event loop and the writes of the log.
"""

CATCH_UP_S = 1.5
"""How long a stopping engine continues, to fold the last receipts of ingest."""


def ingest(
    settings: Settings, ready: Ready, open_log: Callable[[DataDirectory, Settings], Log], *, supervised: bool = False
) -> None:
    """Accept receipts until SIGINT or SIGTERM. Raises an `OperationalError`."""
    from tillstream.ingest.app import serve
    from tillstream.ingest.auth import Authorizer

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    directory, clock = open_directory(settings.data_path, None if supervised else Kind.REAL), SystemClock()
    _check_exposure(directory, settings, ingest=True, supervised=supervised)
    authorizer = Authorizer(
        KeyRepository(key_file(directory, settings), clock),
        machine_token.token(directory, secrets.token_bytes),
        required=exposure.always_required(settings),
    )
    settings, _ = settings_in_force(directory, settings, clock)
    with directory.lock("ingest") as lock, closing(open_log(directory, settings)) as log:

        async def run(stop: asyncio.Event) -> None:
            await serve(log, settings, clock, stop, _announce(settings, lock, ready), authorizer)

        run_until_stopped(run, supervised=supervised)


def engine(settings: Settings, ready: Ready, open_read_side: OpenReadSide, *, supervised: bool = False) -> None:
    """Fold the log and serve the dashboard until SIGINT or SIGTERM.

    Raises an `OperationalError` if it cannot start, and any error that ends the folding.
    """
    from tillstream.web.middleware.authenticator import Authenticator

    directory = open_directory(settings.data_path, None if supervised else Kind.REAL)
    _check_exposure(directory, settings, ingest=False, supervised=supervised)
    authenticator = Authenticator.of(directory, settings, SystemClock(), secrets.token_bytes)
    with directory.lock("engine") as lock, open_read_side(directory, settings, SystemClock()) as read_side:

        async def run(stop: asyncio.Event) -> None:
            announce = _announce(settings, lock, ready)
            demo = directory.kind is Kind.DEMO
            await _serve_read_side(
                read_side, settings, stop, announce, directory.reported_alerts, authenticator, demo=demo
            )

        run_until_stopped(run, supervised=supervised)


def inbox(settings: Settings, ready: Ready, *, supervised: bool = False, to: str = "", key: str = "") -> None:
    """Import files from the inbox until SIGINT or SIGTERM, to the ingest at `to` or that of the data directory.

    Raises `SettingsError` if the folder cannot be an inbox, `AccessError` and `FormatError`.
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
    read_side: ReadSide,
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    reported_alerts: Path,
    authenticator: Authenticator,
    *,
    demo: bool,
) -> None:
    from tillstream.alerts.notifier import Notifier
    from tillstream.verification import check
    from tillstream.web.server import live_feed, serve

    loop = asyncio.get_running_loop()
    live = live_feed(read_side.queries, read_side.alerts, settings, SystemClock())
    halt = threading.Event()
    page_addresses: list[str] = []

    def on_bound(port: int) -> None:
        page_addresses.append(settings.alert_page_url or ports.address(settings.host, port, tls=settings.tls))
        ready(port)

    broadcast = Broadcast(read_side.queries.ticker, read_side.broadcast) if read_side.broadcast is not None else None

    def on_commit(_: Step) -> None:
        live.notify()
        if broadcast is not None:
            broadcast.notify()

    with ThreadPoolExecutor(3, "engine") as executor, _webhook(settings) as send:
        folding = loop.run_in_executor(executor, _fold, read_side.engine, halt, on_commit)
        # The process ends when the folding ends, because a dashboard without updates must not look live.
        folding.add_done_callback(lambda _: stop.set())
        notifier = Notifier(
            read_side.alerts.active, send, lambda: "".join(page_addresses), SystemClock(), reported_alerts
        )
        loop.run_in_executor(executor, notifier.run, halt)
        if broadcast is not None:
            loop.run_in_executor(executor, broadcast.run, halt)
        try:
            await serve(
                read_side.queries,
                read_side.alerts,
                read_side.quarantine_service,
                live,
                settings,
                stop,
                on_bound,
                partial(_gauges, read_side),
                partial(check.run, read_side.database, read_side.queries, read_side.log, read_side.metrics),
                authenticator,
                demo=demo,
            )
        finally:
            halt.set()
            live.close()
        await folding


@contextmanager
def _webhook(settings: Settings) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that sends an event to the webhook, or does nothing if no webhook is set."""
    if not settings.alert_webhook_url:
        yield lambda _: None
        return
    from tillstream.alerts.webhook import Webhook

    with closing(Webhook(settings)) as webhook:
        yield webhook.send


def _fold(engine: Engine, halt: threading.Event, on_commit: Callable[[Step], None]) -> None:
    """Run the engine until `halt`, then fold the remaining records for up to `CATCH_UP_S`."""
    engine.run(halt, on_commit)
    deadline = time.monotonic() + CATCH_UP_S
    try:
        while time.monotonic() < deadline and engine.step() is not None:
            pass
    except LogUnavailable as error:
        # The remaining records stay in the log and are folded after the next start.
        logger.warning("engine.stopped_behind", error=str(error))


def _gauges(read_side: ReadSide) -> dict[str, float]:
    gauges = {"store_size_bytes": float(read_side.database.size_bytes())}
    with suppress(LogUnavailable):
        gauges["log_lag_records"] = read_side.log.lag()
    return gauges


def _check_exposure(directory: DataDirectory, settings: Settings, *, ingest: bool, supervised: bool) -> None:
    """Refuse or log missing protections; for a supervised role, `up` already printed the warning. Raises `AccessError`."""
    warning = exposure.check(directory, settings, ingest=ingest, dashboard=not ingest)
    if warning and not supervised:
        logger.warning("exposure.unprotected", reason=warning.removeprefix("warning: "))


def _announce(settings: Settings, lock: Lock, ready: Ready) -> Callable[[int], None]:
    def announce(port: int) -> None:
        address = ports.address(settings.host, port, tls=settings.tls)
        lock.publish(address)
        ready(address)

    return announce


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[object, object, None]], *, supervised: bool) -> None:
    """Run `main` on uvloop with an event that SIGINT, SIGTERM or the death of the supervisor sets."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        def stop_soon() -> None:
            loop.call_soon_threadsafe(stop.set)

        if supervised:
            parent_pipe.watch(stop_soon)
        await main(stop)

    uvloop.run(run())
