"""The processes of tillstream, each as one blocking function: take receipts, or fold and show them."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from tillstream import ports, topology
from tillstream.clock import SystemClock
from tillstream.datadir import Kind, Lock, open_directory
from tillstream.processes import lifeline
from tillstream.processes.watch import Watch
from tillstream.settings import Settings
from tillstream.webhook import Webhook

if TYPE_CHECKING:
    from tillstream.engine.base import Engine, Step

logger = structlog.get_logger()

Ready = Callable[[str], None]
"""Told the role's address, once, when it serves."""

CATCH_UP_S = 1.5
"""How long a stopping engine goes on folding what ingest took last."""


def ingest(settings: Settings, ready: Ready, *, supervised: bool = False) -> None:
    """Take receipts until SIGINT or SIGTERM; raises an `OperationalError` where it cannot."""
    from tillstream.ingest.server import serve

    directory, clock = open_directory(settings.data_path, None if supervised else Kind.REAL), SystemClock()
    settings, _ = topology.in_force(directory, settings, clock)
    with directory.lock("ingest") as lock, closing(topology.open_log(directory, settings, writer=True)) as log:

        async def run(stop: asyncio.Event) -> None:
            await serve(log, settings, clock, stop, _announce(settings, lock, ready))

        run_until_stopped(run, supervised=supervised)


def engine(settings: Settings, ready: Ready, *, supervised: bool = False) -> None:
    """Fold the log and serve the dashboard until SIGINT or SIGTERM.

    Raises an `OperationalError` where it cannot start, and whatever ended the folding.
    """
    directory = open_directory(settings.data_path, None if supervised else Kind.REAL)
    with directory.lock("engine") as lock, topology.open_reading(directory, settings, SystemClock()) as reading:

        async def run(stop: asyncio.Event) -> None:
            announce = _announce(settings, lock, ready)
            await _fold_and_show(reading, settings, stop, announce, demo=directory.kind is Kind.DEMO)

        run_until_stopped(run, supervised=supervised)


async def _fold_and_show(
    reading: topology.Reading,
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    *,
    demo: bool,
) -> None:
    from tillstream import check
    from tillstream.dashboard.live import LiveFeed
    from tillstream.dashboard.server import serve

    loop = asyncio.get_running_loop()
    live = LiveFeed("overview", reading.views.live, reading.views.trouble, settings, SystemClock())
    halt = threading.Event()
    pages: list[str] = []

    def at_port(port: int) -> None:
        pages.append(settings.alert_page_url or ports.address(settings.host, port))
        ready(port)

    def on_commit(_: Step) -> None:
        live.notify()

    with ThreadPoolExecutor(2, "engine") as executor, _posting(settings) as offer:
        folding = loop.run_in_executor(executor, _fold, reading.engine, halt, on_commit)
        # Whatever ends the folding ends the process too: figures that stand still must not look live.
        folding.add_done_callback(lambda _: stop.set())
        watch = Watch(reading.views.alerts.standing, offer, lambda: pages[0] if pages else "", SystemClock())
        loop.run_in_executor(executor, watch.run, halt)
        try:
            await serve(
                reading.views,
                live,
                settings,
                stop,
                at_port,
                partial(_gauges, reading),
                partial(check.run, reading.store, reading.views, reading.log, reading.metrics),
                demo=demo,
            )
        finally:
            halt.set()
            live.close()
        await folding


@contextmanager
def _posting(settings: Settings) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What takes events for the webhook, where there is one."""
    if not settings.alert_webhook_url:
        yield lambda _: None
        return
    with closing(Webhook(settings)) as webhook:
        yield webhook.offer


def _fold(engine: Engine, halt: threading.Event, on_commit: Callable[[Step], None]) -> None:
    """Run the engine until `halt`, then fold what is left, for a little while."""
    engine.run(halt, on_commit)
    deadline = time.monotonic() + CATCH_UP_S
    while time.monotonic() < deadline and engine.step() is not None:
        pass


def _gauges(reading: topology.Reading) -> dict[str, float]:
    return {"log_lag_records": reading.log.lag(), "store_size_bytes": reading.store.size_bytes()}


def _announce(settings: Settings, lock: Lock, ready: Ready) -> Callable[[int], None]:
    def announce(port: int) -> None:
        address = ports.address(settings.host, port)
        lock.tell(address)
        ready(address)

    return announce


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[object, object, None]], *, supervised: bool) -> None:
    """Run `main` on uvloop; its event is set by SIGINT, by SIGTERM, or by the supervisor's death."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        def stop_soon() -> None:
            loop.call_soon_threadsafe(stop.set)

        if supervised:
            lifeline.watch(stop_soon)
        await main(stop)

    uvloop.run(run())
