"""The options of a run, and its phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain as joined
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

from tillstream.clock import Clock
from tillstream.generator import schedule
from tillstream.generator.chain import Chain
from tillstream.generator.sales import (
    DAY_S,
    BasketPool,
    DailySales,
    Sales,
    Sampler,
    run_name,
    sample_around_the_clock,
    sample_week,
)
from tillstream.generator.schedule import LocalClock, Moment

SEED_RATE = 1.5
LIVE_RATE = 4.0
FRESH_RATE_LIMIT = 200.0
"""Maximum rate at which every receipt has a new basket. Above it, baskets come from a pool."""

FULL_POOL_COUNT = 10_000
"""Minimum size of a burst that fills the pool before it starts."""

BACKFILL_BATCH = 1000
SINGLE_CONNECTIONS = 64
BATCH_CONNECTIONS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `tillstream generate`. Without a mode the rate is `SEED_RATE`.

    `start` is local time without a zone. `tills` is the minimum and maximum number of tills per store.
    """

    seed: int
    url: str = "http://127.0.0.1:3000"
    stores: int = 1000
    tills: tuple[int, int] = (4, 4)
    rate: float | None = None
    burst: int | None = None
    day: bool = False
    live: bool = False
    backfill_days: int = 0
    speed: float = 60.0
    start: datetime | None = None
    duration_s: float | None = None
    count: int | None = None
    batch: int = 1
    connections: int | None = None
    give_up_s: float = 60.0
    timeout_s: float = 30.0
    zone: str = "Europe/Paris"
    key: str = field(default="", repr=False)
    same_machine: bool = False
    """Whether ingest runs on this machine, so that its certificate is not verified."""

    @property
    def start_s(self) -> int | None:
        return None if self.start is None else schedule.local_second(self.start)


@dataclass(frozen=True)
class Phase:
    """A part of a run. Unless it is `paced`, receipts are sent as fast as ingest accepts them."""

    name: str
    moments: Iterator[Moment]
    receipt_at: Callable[[int | None], bytes]
    paced: bool
    simulated: bool
    expected: int | None
    batch: int
    connections: int
    duration_s: float | None = None


def phases(options: Options, clock: Clock) -> Iterator[Phase]:
    """The phases of the run. Each one is created when the one before it has ended, because it starts at the current time."""
    chain = Chain(options.stores, options.tills)
    local = LocalClock(clock, ZoneInfo(options.zone))
    pool = BasketPool(options.seed)
    if options.backfill_days:
        yield _backfill(options, chain, pool, local)
    if options.burst is not None:
        yield _burst(options, chain, pool, local)
    elif options.day:
        yield _day(options, chain, pool, local)
    elif options.live or options.rate is not None or not options.backfill_days:
        yield _steady(options, chain, pool, local)


def _backfill(options: Options, chain: Chain, pool: BasketPool, local: LocalClock) -> Phase:
    """Full days up to now, or from the start date."""
    span_s = options.backfill_days * DAY_S
    if options.start_s is None:
        until_s = local.now_s()
        first_s = until_s // DAY_S * DAY_S - span_s
    else:
        first_s = options.start_s // DAY_S * DAY_S
        until_s = first_s + span_s
    days = range(first_s, until_s, DAY_S)
    seconds = joined.from_iterable(_trading_day(options.seed, chain, day_s, first_s, until_s) for day_s in days)
    return Phase(
        name="past days",
        moments=((0.0, second_s) for second_s in seconds),
        receipt_at=_with_current_time(DailySales(chain, options.seed, pool).receipt_at, local),
        paced=False,
        simulated=True,
        expected=sum(schedule.expected(chain, day_s, first_s, until_s) for day_s in days),
        batch=options.batch if options.batch > 1 else BACKFILL_BATCH,
        connections=options.connections or BATCH_CONNECTIONS,
    )


def _day(options: Options, chain: Chain, pool: BasketPool, local: LocalClock) -> Phase:
    """The day of the start time, or today, up to its last receipt."""
    start_s = options.start_s if options.start_s is not None else local.now_s() // DAY_S * DAY_S
    from_s = schedule.opening(start_s)
    day_s = start_s // DAY_S * DAY_S
    seconds = _trading_day(options.seed, chain, day_s, from_s, day_s + DAY_S)
    expected = schedule.expected(chain, day_s, from_s, day_s + DAY_S)
    return Phase(
        name="a day",
        moments=islice(schedule.compressed(seconds, from_s, options.speed), options.count),
        receipt_at=_with_current_time(DailySales(chain, options.seed, pool).receipt_at, local),
        paced=True,
        simulated=True,
        expected=expected if options.count is None else min(expected, options.count),
        batch=options.batch,
        connections=_connections(options),
        duration_s=options.duration_s,
    )


def _trading_day(seed: int, chain: Chain, day_s: int, from_s: int, until_s: int) -> Iterator[int]:
    return schedule.trading_day(chain, day_s, Random(f"{seed} hours {day_s}"), from_s, until_s)


def _burst(options: Options, chain: Chain, pool: BasketPool, local: LocalClock) -> Phase:
    count = min(options.burst or 0, options.count if options.count is not None else options.burst or 0)
    if count >= FULL_POOL_COUNT:
        pool.fill()
    return Phase(
        name="burst",
        moments=islice(schedule.burst(chain, options.start_s), count),
        receipt_at=_with_current_time(_sales(options, chain, sample_week, pool).receipt_at, local),
        paced=False,
        simulated=options.start is not None,
        expected=count,
        batch=options.batch,
        connections=_connections(options),
        duration_s=options.duration_s,
    )


def _steady(options: Options, chain: Chain, pool: BasketPool, local: LocalClock) -> Phase:
    rate = options.rate or (LIVE_RATE if options.live else SEED_RATE)
    gaps = Random(f"{options.seed} gaps")
    # The start date is that of the past days. Live sales have the current date.
    start_s = None if options.live or options.backfill_days else options.start_s
    moments = schedule.poisson(rate, gaps) if options.live else schedule.steady(rate, gaps, start_s)
    expected = options.count
    if expected is None and options.duration_s is not None:
        expected = round(rate * options.duration_s)
    fresh = None if rate <= FRESH_RATE_LIMIT else pool
    return Phase(
        name="live" if options.live else "steady",
        moments=islice(moments, options.count),
        receipt_at=_with_current_time(
            _sales(options, chain, sample_around_the_clock if options.live else sample_week, fresh).receipt_at, local
        ),
        paced=True,
        simulated=start_s is not None,
        expected=expected,
        batch=options.batch,
        connections=_connections(options),
        duration_s=options.duration_s,
    )


def _sales(options: Options, chain: Chain, sampler: Sampler, pool: BasketPool | None) -> Sales:
    return Sales(chain, sampler, Random(f"{options.seed} sales"), run_name(options.seed), pool)


def _with_current_time(receipt_at: Callable[[int], bytes], local: LocalClock) -> Callable[[int | None], bytes]:
    return lambda local_s: receipt_at(local.now_s() if local_s is None else local_s)


def _connections(options: Options) -> int:
    return options.connections or (SINGLE_CONNECTIONS if options.batch == 1 else BATCH_CONNECTIONS)
