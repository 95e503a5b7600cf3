"""The invented chain behind `tillstream up --demo`: its past two weeks, then its sales now."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from tillstream.access import machine_token
from tillstream.client.tally import Tally
from tillstream.clock import Clock, SystemClock, utc
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.generator import store_list
from tillstream.generator.chain import Chain
from tillstream.generator.plan import Options
from tillstream.generator.run import run
from tillstream.runtime.roles import Ready, run_until_stopped
from tillstream.stores import repository

PAST_DAYS = 15
STORES = 12
TILLS = (2, 3)
RATE = 1.0
"""Receipts a second that it sells now: enough to see it move, and not out of proportion to its past."""

SEED = 2019
"""Of the chain's past: the same each time, so that loading it again adds nothing."""

logger = structlog.get_logger()

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""A progress bar by its title; within the block it is told how many receipts are accepted, and of how many."""


def list_shops(directory: DataDirectory) -> None:
    """Give the demo's shops their names, unless a list is there already. Raises `StoreListError`."""
    if not directory.shops.exists():
        repository.write(directory.shops, store_list.listed(Chain(STORES, TILLS)))


def sell(settings: Settings, ready: Ready, bar: Bar, *, supervised: bool = False) -> None:
    """Load what is missing of the past days, then sell until SIGINT, SIGTERM or the supervisor's end.

    Raises `NoAnswer` where ingest takes nothing for a minute.
    """
    directory = open_directory(settings.data_path)
    address = ports.address(settings.host, settings.ingest_port, tls=settings.tls)
    key = machine_token.token(directory, secrets.token_bytes)
    clock = SystemClock()

    async def shops(stop: asyncio.Event) -> None:
        ready(address)
        chain = Options(
            seed=SEED, url=address, stores=STORES, tills=TILLS, zone=settings.zone, key=key, same_machine=True
        )
        await _load(directory, chain, bar, clock, stop)
        # Another seed each time: no receipt of now may be one of an earlier run.
        await run(replace(chain, seed=clock.now_us(), live=True, rate=RATE), lambda _: None, clock, stop)

    run_until_stopped(shops, supervised=supervised)


async def _load(directory: DataDirectory, chain: Options, bar: Bar, clock: Clock, stop: asyncio.Event) -> None:
    today = utc(clock.now_us()).astimezone(ZoneInfo(chain.zone)).date()
    missing = missing_days(directory.demo_loaded, today)
    if not missing:
        return

    logger.info("loading past days", days=missing)
    with bar("loading the past days") as progress:

        def show(tally: Tally) -> None:
            progress(tally.accepted, max(tally.expected or 0, tally.accepted))

        report = await run(replace(chain, backfill_days=missing), show, clock, stop)
    if not stop.is_set():
        logger.info("past days loaded", receipts=report.accepted, seconds=report.seconds)
        _remember(directory.demo_loaded, today)


def missing_days(file: Path, today: date) -> int:
    """How many days before today are to be loaded: from the last loaded one on, which was cut short."""
    try:
        loaded = date.fromisoformat(file.read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        return PAST_DAYS
    return max(0, min(PAST_DAYS, (today - loaded).days))


def _remember(file: Path, day: date) -> None:
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(f"{day}\n", encoding="ascii")
    fresh.replace(file)
