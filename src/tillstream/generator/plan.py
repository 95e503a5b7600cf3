"""What a run was asked for, and the phases that come of it."""

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
from tillstream.generator.sales import DAY_S, Diary, Occasion, Pool, Sales, any_time, awake, run_name
from tillstream.generator.schedule import LocalClock, Moment

SEED_RATE = 1.5
LIVE_RATE = 4.0
FRESH_RATE_LIMIT = 200.0
"""Up to this rate each basket is made anew; faster ones are chosen from a pool."""

FULL_POOL_COUNT = 10_000
"""From this count on a burst fills the pool before it begins."""

BACKFILL_BATCH = 1000
SINGLE_CONNECTIONS = 64
BATCH_CONNECTIONS = 4


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `tillstream generate` is asked for; see its help. Without a mode: the seed's slow one.

    `start` is local time without a zone; `tills` the least and the most that a shop has.
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
    """Its certificate need not be for the name in `url`: nothing leaves the machine."""

    @property
    def start_s(self) -> int | None:
        return None if self.start is None else schedule.local_second(self.start)


@dataclass(frozen=True)
class Phase:
    """A stretch of one pace. Unless `paced`, receipts are sent as fast as they are taken."""

    name: str
    moments: Iterator[Moment]
    print: Callable[[int | None], bytes]
    paced: bool
    simulated: bool
    expected: int | None
    batch: int
    connections: int
    duration_s: float | None = None


def phases(options: Options, clock: Clock) -> Iterator[Phase]:
    """One after the other; each is made when the one before is over, so that it knows what time it is."""
    chain = Chain(options.stores, options.tills)
    local = LocalClock(clock, ZoneInfo(options.zone))
    pool = Pool(options.seed)
    if options.backfill_days:
        yield _backfill(options, chain, pool, local)
    if options.burst is not None:
        yield _burst(options, chain, pool, local)
    elif options.day:
        yield _day(options, chain, pool, local)
    elif options.live or options.rate is not None or not options.backfill_days:
        yield _steady(options, chain, pool, local)


def _backfill(options: Options, chain: Chain, pool: Pool, local: LocalClock) -> Phase:
    """Whole days up to now, or from the start date on."""
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
        print=_printing(Diary(chain, options.seed, pool).print, local),
        paced=False,
        simulated=True,
        expected=sum(schedule.expected(chain, day_s, first_s, until_s) for day_s in days),
        batch=options.batch if options.batch > 1 else BACKFILL_BATCH,
        connections=options.connections or BATCH_CONNECTIONS,
    )


def _day(options: Options, chain: Chain, pool: Pool, local: LocalClock) -> Phase:
    """From the start, else from this morning, to the last receipt of that day."""
    start_s = options.start_s if options.start_s is not None else local.now_s() // DAY_S * DAY_S
    from_s = schedule.opening(start_s)
    day_s = start_s // DAY_S * DAY_S
    seconds = _trading_day(options.seed, chain, day_s, from_s, day_s + DAY_S)
    expected = schedule.expected(chain, day_s, from_s, day_s + DAY_S)
    return Phase(
        name="a day",
        moments=islice(schedule.compressed(seconds, from_s, options.speed), options.count),
        print=_printing(Diary(chain, options.seed, pool).print, local),
        paced=True,
        simulated=True,
        expected=expected if options.count is None else min(expected, options.count),
        batch=options.batch,
        connections=_connections(options),
        duration_s=options.duration_s,
    )


def _trading_day(seed: int, chain: Chain, day_s: int, from_s: int, until_s: int) -> Iterator[int]:
    return schedule.trading_day(chain, day_s, Random(f"{seed} hours {day_s}"), from_s, until_s)


def _burst(options: Options, chain: Chain, pool: Pool, local: LocalClock) -> Phase:
    count = min(options.burst or 0, options.count if options.count is not None else options.burst or 0)
    if count >= FULL_POOL_COUNT:
        pool.fill()
    return Phase(
        name="burst",
        moments=islice(schedule.burst(chain, options.start_s), count),
        print=_printing(_sales(options, chain, any_time, pool).print, local),
        paced=False,
        simulated=options.start is not None,
        expected=count,
        batch=options.batch,
        connections=_connections(options),
        duration_s=options.duration_s,
    )


def _steady(options: Options, chain: Chain, pool: Pool, local: LocalClock) -> Phase:
    rate = options.rate or (LIVE_RATE if options.live else SEED_RATE)
    gaps = Random(f"{options.seed} gaps")
    # The past days may have come with a start of their own; live sales are always dated now.
    start_s = None if options.live or options.backfill_days else options.start_s
    moments = schedule.lively(rate, gaps) if options.live else schedule.steady(rate, gaps, start_s)
    expected = options.count
    if expected is None and options.duration_s is not None:
        expected = round(rate * options.duration_s)
    fresh = None if rate <= FRESH_RATE_LIMIT else pool
    return Phase(
        name="live" if options.live else "steady",
        moments=islice(moments, options.count),
        print=_printing(_sales(options, chain, awake if options.live else any_time, fresh).print, local),
        paced=True,
        simulated=start_s is not None,
        expected=expected,
        batch=options.batch,
        connections=_connections(options),
        duration_s=options.duration_s,
    )


def _sales(options: Options, chain: Chain, occasion: Occasion, pool: Pool | None) -> Sales:
    return Sales(chain, occasion, Random(f"{options.seed} sales"), run_name(options.seed), pool)


def _printing(print_at: Callable[[int], bytes], local: LocalClock) -> Callable[[int | None], bytes]:
    return lambda local_s: print_at(local.now_s() if local_s is None else local_s)


def _connections(options: Options) -> int:
    return options.connections or (SINGLE_CONNECTIONS if options.batch == 1 else BATCH_CONNECTIONS)
