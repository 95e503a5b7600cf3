"""500 viewers of the live feed: what they cost, how soon each has an update, and what ingest feels of them."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections import Counter
from datetime import datetime

import msgspec
import psutil

from benchmarks import browser
from benchmarks.client import Loader, sell
from benchmarks.contenders import Up, up
from benchmarks.gentle import OWN_NOTE, buckets, percentile_ms
from benchmarks.harness import ROOT, CannotRun, Plan, module, percentile, wait_until
from benchmarks.payload import ZONE, Tills, spread, today
from benchmarks.result import Figure, Result
from benchmarks.watchers import Seen

TITLE = "500 viewers of the live page"
VIEWERS = 500
QUIET_RATE, BUSY_RATE = 200.0, 2_000.0
CPU_TARGET, DELIVERY_TARGET_MS, RATIO_TARGET, VISIBLE_TARGET_MS = 20.0, 200.0, 1.2, 1_000.0
SETTLE_S = 5.0
DAY_RECEIPTS, AHEAD = 200_000, 30_000


def run(plan: Plan) -> Result:
    with plan.scratch() as directory, up(directory, live_interval_ms=1_000) as system:
        _day_so_far(plan, system)
        asyncio.run(sell(system.ingest, QUIET_RATE, SETTLE_S, seed=1))
        cpu, seen = _quiet(plan, system)
        answers, visible_ms = _busy(plan, system)
    painted, painting = browser.run(plan)
    p50, p99 = percentile(seen.delays_ms, 50), percentile(seen.delays_ms, 99)
    added = cpu["watched"] - cpu["unwatched"]
    medians = {name: statistics.median(values) for name, values in answers.items()}
    ratio = medians["watched"] / medians["unwatched"]
    return Result(
        bench="viewers",
        title=TITLE,
        figures=[
            Figure("CPU that they add to the engine's process", added, "% of a core", "<", CPU_TARGET, _cpu_note(cpu)),
            Figure("made to delivered, p99", p99, "ms", "<", DELIVERY_TARGET_MS, f"p50 {p50:.0f} ms"),
            Figure("updates a second to each", seen.events / VIEWERS / seen.seconds, "/s", note=_size_note(seen)),
            Figure(
                "ingest's p99 with them over that without, at 2,000/s",
                ratio,
                "times",
                "<=",
                RATIO_TARGET,
                f"{medians['watched']:.1f} and {medians['unwatched']:.1f} ms",
            ),
            Figure(
                "received to visible p99 beside them, at 2,000/s",
                visible_ms,
                "ms",
                "<",
                VISIBLE_TARGET_MS,
                f"own figure, {OWN_NOTE}",
            ),
            *painted,
        ],
        runs={
            "cpu_percent": cpu,
            "client_cpu_percent": seen.cpu_s / seen.seconds * 100,
            "delivery_ms": {str(p): percentile(seen.delays_ms, p) for p in (50, 90, 99, 100)},
            "answers_p99_ms": answers,
            **painting,
        },
    )


def _day_so_far(plan: Plan, system: Up) -> None:
    """Receipts of today until now, so that an update is as large as it is in the middle of a day."""
    count, hour = 20_000 if plan.quick else DAY_RECEIPTS, datetime.now(ZONE).hour
    if hour == 0:
        return
    tills = Tills(spread(today(), count, opens_h=0, closes_h=hour))
    loader = Loader(system.ingest, system.dashboard, tills, str(today()), count, AHEAD)
    asyncio.run(loader.run(lambda: None))


def _quiet(plan: Plan, system: Up) -> tuple[dict[str, float], Seen]:
    """The processor time of the engine's process at the seed's own load, with viewers and without, and what they saw."""
    cpu = {"unwatched": _selling(system, plan.long_s / 2, seed=2)}
    with Crowd(system, VIEWERS) as crowd:
        cpu["watched"] = _selling(system, plan.long_s, seed=3)
    cpu["unwatched"] = (cpu["unwatched"] + _selling(system, plan.long_s / 2, seed=4)) / 2
    with Crowd(system, 1):
        cpu["one viewer"] = _selling(system, plan.long_s / 2, seed=5)
    return cpu, crowd.seen


def _selling(system: Up, seconds: float, seed: int) -> float:
    """Percent of a core that the engine's process uses while receipts come."""
    engine = system.part("engine")
    before, began = _used(engine), time.monotonic()
    asyncio.run(sell(system.ingest, QUIET_RATE, seconds, seed))
    return (_used(engine) - before) / (time.monotonic() - began) * 100


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy(plan: Plan, system: Up) -> tuple[dict[str, list[float]], float]:
    """Ingest's p99 of each round in ms, with viewers and without, in turn; and how soon receipts were visible beside them."""
    answers: dict[str, list[float]] = {"unwatched": [], "watched": []}
    delays: Counter[int] = Counter()
    for number in range(plan.rounds):
        answers["unwatched"].append(_answered_p99_ms(plan, system, seed=10 + number))
        with Crowd(system, VIEWERS):
            before = buckets(system)
            answers["watched"].append(_answered_p99_ms(plan, system, seed=10 + number))
            wait_until(lambda: system.lag() == 0, "the engine has caught up")
            delays += buckets(system) - before
        plan.say(
            f"  round {number + 1}: ingest's p99 {answers['unwatched'][-1]:.1f} ms, beside viewers {answers['watched'][-1]:.1f} ms"
        )
    return answers, percentile_ms(delays)


def _answered_p99_ms(plan: Plan, system: Up, seed: int) -> float:
    answered: list[float] = []
    asyncio.run(sell(system.ingest, BUSY_RATE, plan.run_s, seed, answered))
    return percentile(answered, 99)


def _cpu_note(cpu: dict[str, float]) -> str:
    return f"{cpu['watched']:.1f} with them, {cpu['one viewer']:.1f} with one, {cpu['unwatched']:.1f} with none"


def _size_note(seen: Seen) -> str:
    return f"{seen.bytes_read / max(1, seen.events) / 1024:.1f} KiB each, gzip"


class Crowd:
    """So many viewers in a process of their own, for one block; afterwards `seen` is what they saw."""

    def __init__(self, system: Up, count: int) -> None:
        command = [*module("benchmarks.watchers"), system.dashboard, str(count), "gzip"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        self.seen = Seen()

    def __enter__(self) -> Crowd:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "watching":
            raise CannotRun(f"the viewers ended with {self._process.wait()}")
        return self

    def __exit__(self, *failure: object) -> None:
        said, _ = self._process.communicate("", timeout=30)
        if failure[0] is not None:
            return
        self.seen = msgspec.json.decode(said, type=Seen)
        if self.seen.cut_off or self.seen.troubles:
            raise CannotRun(f"{self.seen.cut_off} viewers were cut off, {self.seen.troubles} updates told of trouble")
