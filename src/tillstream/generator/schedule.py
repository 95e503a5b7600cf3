"""The schedule of a run: its options, its phases, and the time at which each receipt is due.

A moment says when a receipt is due and which date it gets. The due time is in seconds from the start of the phase. The
date is a local time in seconds since 1970, counted as if the zone were UTC. If the date is None, the receipt gets the
time of its creation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

from tillstream.clock import Clock
from tillstream.generator.chain import Chain
from tillstream.generator.products import FIRST_HOUR
from tillstream.generator.sales_and_returns import (
    DAY_S,
    BasketPool,
    DailySales,
    Sales,
    Sampler,
    hour_of,
    run_name,
    sample_around_the_clock,
    sample_week,
    weekday_of,
)

Moment = tuple[float, int | None]

DEFAULT_RATE = 1.5
LIVE_RATE = 4.0
FRESH_RATE_LIMIT = 200.0
"""Up to this number of receipts per second, every sale gets a new basket. Above it, baskets from a pool are reused."""

FULL_POOL_COUNT = 10_000
"""A burst with at least this number of receipts creates all baskets of the pool in advance."""

BACKFILL_BATCH = 1000
SINGLE_CONNECTIONS = 64
BATCH_CONNECTIONS = 4

WEATHER = 0.05
"""How much the receipts per day vary: the standard deviation of their number, relative to the expected number."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `tillstream generate`.

    `tills` is the minimum and the maximum number of tills of a store. `start` is a local time without a zone.
    """

    seed: int
    url: str = "http://127.0.0.1:3000"
    stores: int = 1000
    tills: tuple[int, int] = (4, 4)
    rate: float | None = None
    burst: int | None = None
    profile: str | None = None
    live: bool = False
    backfill_days: int | None = None
    speed: float = 60.0
    start: datetime | None = None
    duration_s: float = math.inf
    count: int | None = None
    batch: int = 1
    connections: int | None = None
    give_up_s: float = 60.0
    zone: str = "Europe/Paris"
    key: str = field(default="", repr=False)
    same_machine: bool = False
    """Whether ingest runs on this machine. If so, the certificate of ingest is not verified."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a run. In a `paced` phase, each receipt is sent when it is due. Other phases send at full speed.

    `receipt_at` takes the date of a moment and returns the JSON of the next receipt. In a `simulated` phase, the
    dates are not the real time. `expected` is the number of receipts, or None if it is unknown.
    """

    name: str
    moments: Iterator[Moment]
    receipt_at: Callable[[int | None], bytes]
    paced: bool
    simulated: bool
    expected: int | None
    batch: int
    connections: int
    duration_s: float
    """The time limit of the phase, or infinity."""


def phases(options: Options, clock: Clock) -> Iterator[Phase]:
    """Yield the phases of a run.

    Without a start date, the dates of a phase depend on when the caller takes it from the iterator. So the caller must
    finish a phase before it takes the next one. Otherwise, the next phase may have dates that are too early.
    """
    planner = _Planner(options, clock)
    if options.backfill_days:
        yield planner.backfill(options.backfill_days)
    if options.burst is not None:
        yield planner.burst(options.burst)
    elif options.profile == "day":
        yield planner.day()
    elif options.live or options.rate is not None or not options.backfill_days:
        yield planner.steady()


class _Planner:
    """Creates the phases of a run."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._zone = ZoneInfo(options.zone)
        self._chain = Chain(options.stores, options.tills)
        self._pool = BasketPool(options.seed)
        self._start_s = None if options.start is None else local_second(options.start)

    def backfill(self, days: int) -> Phase:
        """Return a phase that covers `days` days from the start date.

        Without a start date, the phase covers the last `days` days, and today until now.
        """
        if self._start_s is None:
            until_s = self._now_s()
            from_s = until_s // DAY_S * DAY_S - days * DAY_S
        else:
            from_s = self._start_s // DAY_S * DAY_S
            until_s = from_s + days * DAY_S
        midnights = range(from_s, until_s, DAY_S)
        chain, seed = self._chain, self._options.seed
        return self._phase(
            "past days",
            ((0.0, second_s) for day_s in midnights for second_s in trading_day(chain, seed, day_s, from_s, until_s)),
            DailySales(chain, seed, self._pool),
            paced=False,
            simulated=True,
            expected=sum(expected_receipts(chain, day_s, from_s, until_s) for day_s in midnights),
            limited=False,
        )

    def day(self) -> Phase:
        """Return a phase that covers the day of the start date. Without a start date, it covers today.

        It runs at `speed` times real time. It begins at 07:00, or at the time of the start date if that is later.
        """
        start_s = self._start_s if self._start_s is not None else self._now_s() // DAY_S * DAY_S
        day_s = start_s // DAY_S * DAY_S
        from_s = max(start_s, day_s + FIRST_HOUR * 3600)
        seconds = trading_day(self._chain, self._options.seed, day_s, from_s, day_s + DAY_S)
        return self._phase(
            "a day",
            (((second_s - from_s) / self._options.speed, second_s) for second_s in seconds),
            DailySales(self._chain, self._options.seed, self._pool),
            paced=True,
            simulated=True,
            expected=expected_receipts(self._chain, day_s, from_s, day_s + DAY_S),
        )

    def burst(self, size: int) -> Phase:
        """Return a phase whose receipts are all due at once.

        Without a start date, a receipt gets the time of its creation. With a start date, the dates count up from there.
        On average, each till then has one receipt per minute.
        """
        count = size if self._options.count is None else min(size, self._options.count)
        if count >= FULL_POOL_COUNT:
            self._pool.fill()
        tills = len(self._chain.tills)
        start_s = self._start_s
        return self._phase(
            "burst",
            ((0.0, None if start_s is None else start_s + number * 60 // tills) for number in range(count)),
            self._sales(sample_week, self._pool),
            paced=False,
            simulated=start_s is not None,
            expected=count,
        )

    def steady(self) -> Phase:
        """Return a phase with a constant average rate. Gaps between live sales have an exponential distribution."""
        options = self._options
        rate = options.rate or (LIVE_RATE if options.live else DEFAULT_RATE)
        random = Random(f"{options.seed} gaps")
        # Live sales have the current date. So do sales after a backfill, which has already used the start date.
        start_s = None if options.live or options.backfill_days else self._start_s

        def gap() -> float:
            return random.expovariate(rate) if options.live else random.uniform(2 / 3, 4 / 3) / rate

        sampler = sample_around_the_clock if options.live else sample_week
        return self._phase(
            "live" if options.live else "steady",
            spaced(gap, start_s),
            self._sales(sampler, self._pool if rate > FRESH_RATE_LIMIT else None),
            paced=True,
            simulated=start_s is not None,
            expected=None if options.duration_s == math.inf else round(rate * options.duration_s),
        )

    def _phase(
        self,
        name: str,
        moments: Iterator[Moment],
        sales: Sales | DailySales,
        *,
        paced: bool,
        simulated: bool,
        expected: int | None,
        limited: bool = True,
    ) -> Phase:
        """Return a phase. The options `count` and `duration_s` apply only to a `limited` phase."""
        options = self._options
        batch = options.batch if limited or options.batch > 1 else BACKFILL_BATCH
        if limited and options.count is not None:
            moments = islice(moments, options.count)
            expected = options.count if expected is None else min(expected, options.count)
        return Phase(
            name=name,
            moments=moments,
            receipt_at=lambda local_s: sales.receipt_at(self._now_s() if local_s is None else local_s),
            paced=paced,
            simulated=simulated,
            expected=expected,
            batch=batch,
            connections=options.connections or (SINGLE_CONNECTIONS if batch == 1 else BATCH_CONNECTIONS),
            duration_s=options.duration_s if limited else math.inf,
        )

    def _sales(self, sampler: Sampler, pool: BasketPool | None) -> Sales:
        seed = self._options.seed
        return Sales(self._chain, sampler, Random(f"{seed} sales"), run_name(seed), pool)

    def _now_s(self) -> int:
        """Return the current local time of the chain in seconds since 1970."""
        return local_second_at(self._clock.now_us() // 1_000_000, self._zone)


@lru_cache(maxsize=1)
def local_second_at(second: int, zone: ZoneInfo) -> int:
    """Convert a UTC time to the local time of a zone. Both are in seconds since 1970."""
    return local_second(datetime.fromtimestamp(second, zone))


def local_second(local: datetime) -> int:
    """Return a local time in seconds since 1970, as if its zone were UTC."""
    return int(local.replace(tzinfo=UTC).timestamp())


def spaced(gap: Callable[[], float], start_s: int | None) -> Iterator[Moment]:
    """Yield moments endlessly. `gap` returns the seconds between two moments. Dates count up from `start_s`, if any."""
    due_s = 0.0
    while True:
        due_s += gap()
        yield due_s, None if start_s is None else start_s + int(due_s)


def trading_day(chain: Chain, seed: int, day_s: int, from_s: int, until_s: int) -> Iterator[int]:
    """Yield the local times of a day's receipts, from `from_s` up to but not including `until_s`.

    All times are in seconds since 1970. `day_s` is the midnight at which the day begins. With the same seed, a smaller
    `until_s` gives the same receipts without the last ones.
    """
    random = Random(f"{seed} hours {day_s}")
    weekday = weekday_of(day_s)
    weather = max(0.5, random.gauss(1, WEATHER))
    for minute_s in range(day_s, min(day_s + DAY_S, until_s), 60):
        mean = chain.expected_receipts(weekday, hour_of(minute_s)) * weather / 60
        if mean:
            seconds = sorted(minute_s + int(random.random() * 60) for _ in range(_poisson(random, mean)))
            yield from (second_s for second_s in seconds if from_s <= second_s < until_s)


def _poisson(random: Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(random.gauss(mean, mean**0.5)))
    elapsed = random.expovariate(1.0)
    count = 0
    while elapsed < mean:
        count += 1
        elapsed += random.expovariate(1.0)
    return count


def expected_receipts(chain: Chain, day_s: int, from_s: int, until_s: int) -> int:
    """Return how many receipts `trading_day` is expected to schedule between `from_s` and `until_s`."""
    total = 0.0
    for hour_s in range(day_s, day_s + DAY_S, 3600):
        seconds = max(0, min(until_s, hour_s + 3600) - max(from_s, hour_s))
        total += chain.expected_receipts(weekday_of(day_s), hour_of(hour_s)) * seconds / 3600
    return round(total)
