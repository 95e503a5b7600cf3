"""The demo of `tillstream up --demo`: its settings, its list of stores, and the process that sends its receipts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import structlog

from tillstream.access import machine_token
from tillstream.client.sender import Tally
from tillstream.clock import Clock, SystemClock, utc
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.files import replace_file
from tillstream.config.settings import Settings, flag
from tillstream.errors import PortTaken
from tillstream.generator.chain import Chain, store_list
from tillstream.generator.run import run
from tillstream.generator.schedule import Options
from tillstream.runtime.roles import Ready, run_until_stopped
from tillstream.stores import repository

DATA = "tillstream-demo"
PORT_SETTINGS = ("ingest_port", "dashboard_port")
PAST_DAYS = 15
STORES = 12
TILLS = (2, 3)
RATE = 1.0
"""The number of live receipts per second. It is similar to the rate of the past days."""

SEED = 2019
"""The seed for the receipts of the past days.

It never changes. If a day is loaded twice, the receipts are therefore the same, and ingest counts them only once.
"""

logger = structlog.get_logger()

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Returns a context manager that shows progress under a title.

The context manager yields a function that takes the numbers of accepted and of expected receipts.
"""


def prepare(settings: Settings, origins: Mapping[str, str], echo: Callable[[str], None]) -> Settings:
    """Return the settings with the data directory of the demo, and with free ports.

    Settings in `origins` were set by the user and do not change. Raises `PortTaken` if another program uses a port
    that the user has set. `echo` prints the ports that have changed.
    """
    changes: dict[str, str | int] = {} if "data" in origins else {"data": DATA}
    for name in PORT_SETTINGS:
        try:
            ports.ensure_free(settings.host, getattr(settings, name), flag(name))
        except PortTaken:
            if name in origins:
                raise
            changes[name] = ports.free_port(settings.host, other_than=changes.values())
            echo(f"port {getattr(settings, name)} is taken, using {changes[name]} instead ({flag(name)})")
    return msgspec.structs.replace(settings, **changes)


def write_store_list(directory: DataDirectory) -> None:
    """Write the list of the demo's stores, unless a list exists. Raises `StoreListError`."""
    if not directory.store_list.exists():
        repository.write(directory.store_list, store_list(Chain(STORES, TILLS)))


def sell(settings: Settings, ready: Ready, progress: Progress, *, supervised: bool = False) -> None:
    """Send receipts until SIGINT, SIGTERM or the supervisor's death.

    First send the receipts of the past days that are not loaded yet, then live receipts. Raises `IngestTimeout` if
    ingest accepts nothing for a minute.
    """
    directory = open_directory(settings.data_path)
    address = ports.address(settings.host, settings.ingest_port, tls=settings.tls)
    key = machine_token.token(directory, secrets.token_bytes)
    clock = SystemClock()
    options = Options(
        seed=SEED, url=address, stores=STORES, tills=TILLS, zone=settings.zone, key=key, same_machine=True
    )

    async def main(stop: asyncio.Event) -> None:
        ready(address)
        await _load(directory, options, progress, clock, stop)
        # Each run needs a new seed. With the seed of an earlier run, all live receipts would be duplicates.
        await run(replace(options, seed=clock.now_us(), live=True, rate=RATE), lambda _: None, clock, stop)

    run_until_stopped(main, supervised=supervised)


async def _load(
    directory: DataDirectory, options: Options, progress: Progress, clock: Clock, stop: asyncio.Event
) -> None:
    today = utc(clock.now_us()).astimezone(ZoneInfo(options.zone)).date()
    days = missing_days(directory.demo_loaded, today)
    if not days:
        return
    logger.info("demo.loading", days=days)
    with progress("loading the past days") as update:

        def show(tally: Tally) -> None:
            update(tally.accepted, max(tally.expected or 0, tally.accepted))

        report = await run(replace(options, backfill_days=days), show, clock, stop)
    if not stop.is_set():
        logger.info("demo.loaded", receipts=report.accepted, seconds=report.seconds)
        replace_file(directory.demo_loaded, f"{today}\n".encode())


def missing_days(file: Path, today: date) -> int:
    """Return the number of days before today that must be loaded.

    `file` contains the day of the last load. This day is loaded again, because it had not ended then. If the
    file is missing or invalid, the number is `PAST_DAYS`.
    """
    try:
        loaded = date.fromisoformat(file.read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        return PAST_DAYS
    return max(0, min(PAST_DAYS, (today - loaded).days))
