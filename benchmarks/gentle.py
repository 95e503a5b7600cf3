"""200 receipts a second, the seed's own load: how soon each is visible, and what the processes cost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from benchmarks.client import delays_ms, sell, watch
from benchmarks.contenders import Up, up
from benchmarks.harness import Plan, percentile, wait_until
from benchmarks.payload import today
from benchmarks.result import Figure, Result
from tillstream.metrics.delays import bound_ms

TITLE = "200 receipts a second"
RATE = 200.0
DELAY_TARGET_MS, CPU_TARGET = 500.0, 25.0
SETTLE_S = 5.0


def run(plan: Plan) -> Result:
    with plan.scratch() as directory, up(directory) as system:
        asyncio.run(sell(system.ingest, RATE, SETTLE_S, seed=1))
        before = buckets(system)
        cpu = _unwatched(system, plan.long_s)
        own_ms = percentile_ms(buckets(system) - before)
        outside = asyncio.run(watched(system, plan.long_s))
    p50, p99 = percentile(outside, 50), percentile(outside, 99)
    return Result(
        bench="gentle",
        title=TITLE,
        figures=[
            Figure("sent to visible p99, from outside", p99, "ms", "<", DELAY_TARGET_MS, f"p50 {p50:.0f} ms"),
            Figure("received to visible p99, own figure", own_ms, "ms", "<", DELAY_TARGET_MS, OWN_NOTE),
            Figure("CPU of ingest and engine", sum(cpu.values()), "% of a core", "<", CPU_TARGET, _shares(cpu)),
        ],
        runs={"cpu_percent": cpu, "outside_ms": {str(p): percentile(outside, p) for p in (50, 90, 99, 100)}},
    )


def _unwatched(system: Up, seconds: int) -> dict[str, float]:
    """Percent of a core that each process uses while nobody asks for anything."""
    parts = {name: system.part(name) for name in ("ingest", "engine")}

    def used() -> dict[str, float]:
        return {name: sum(part.cpu_times()[:2]) for name, part in parts.items()}

    before, started = used(), time.monotonic()
    asyncio.run(sell(system.ingest, RATE, seconds, seed=2))
    elapsed = time.monotonic() - started
    return {name: (after - before[name]) / elapsed * 100 for name, after in used().items()}


async def watched(system: Up, seconds: int) -> list[float]:
    """Milliseconds from sending to the moment when a query shows the receipt, for every receipt."""
    day, done = str(today()), asyncio.Event()
    sent: list[float] = []
    wait_until(lambda: system.lag() == 0, "the engine has caught up")
    before = system.sales({day})[0]
    watching = asyncio.create_task(watch(system.dashboard, day, lambda: before + len(sent), done))
    await asyncio.sleep(0)
    sent = await sell(system.ingest, RATE, seconds, seed=3)
    done.set()
    return delays_ms(sent, await watching, before)


OWN_NOTE = "counted in quarter octaves, in proportion within one"


def buckets(system: Up) -> Counter[int]:
    """The engine's own delays of today: receipts by bucket."""
    found: Counter[int] = Counter()
    for row in system.metric("delays", str(today())):
        found[row["ingest_bucket"]] += row["receipts"]
    return found


def percentile_ms(delays: Counter[int], percent: float = 99) -> float:
    """The percentile, in proportion within its bucket: those are a quarter of an octave wide, too coarse for a target."""
    left = delays.total() * percent / 100
    for bucket, count in sorted(delays.items()):
        if left <= count:
            lower = bound_ms(bucket - 1) if bucket else 0.0
            return lower + (bound_ms(bucket) - lower) * left / count
        left -= count
    return 0.0


def _shares(cpu: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent:.1f}" for name, percent in cpu.items())
