"""A load of 200 receipts per second: the delay until each is visible, and the CPU use of the processes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.client import delays_ms, sell, watch
from benchmarks.contenders import Up, up
from benchmarks.harness import Plan, cpu_s, percentile, percentiles, wait_until
from benchmarks.payload import today
from benchmarks.result import Figure, Result
from tillstream.metrics.delays import bound_ms

TITLE = "200 receipts per second"
RATE = 200.0
DELAY_TARGET_MS, CPU_TARGET = 500.0, 25.0
WARM_UP_S = 5.0


def run(plan: Plan) -> Result:
    with plan.scratch() as directory, up(directory) as system:
        asyncio.run(sell(system.ingest, RATE, WARM_UP_S, seed=1))
        before = recorded_delays(system)
        cpu = _cpu_percent(system, plan.long_run_s)
        recorded_ms = percentile_ms(recorded_delays(system) - before)
        measured_ms = asyncio.run(measure_delays_ms(system, plan.long_run_s))
    return Result(
        bench="gentle",
        title=TITLE,
        figures=[
            *delay_figures(measured_ms, recorded_ms, DELAY_TARGET_MS),
            Figure("CPU of ingest and engine", sum(cpu.values()), "% of a core", "<", CPU_TARGET, _cpu_note(cpu)),
        ],
        runs={"cpu_percent": cpu, "measured_delay_ms": percentiles(measured_ms)},
    )


def delay_figures(measured_ms: Sequence[float], recorded_ms: float, target_ms: float) -> list[Figure]:
    """Figures for the delays that a client measured, and for the p99 that the engine recorded."""
    p50, p99 = percentile(measured_ms, 50), percentile(measured_ms, 99)
    return [
        Figure("delay from sent to visible, p99", p99, "ms", "<", target_ms, f"p50 {p50:.0f} ms"),
        Figure("delay from received to visible, p99", recorded_ms, "ms", "<", target_ms, RECORDED_NOTE),
    ]


def _cpu_percent(system: Up, seconds: int) -> dict[str, float]:
    """The CPU use of each process in percent of a core, without viewers and queries."""
    parts = {name: system.command.child(name) for name in ("ingest", "engine")}

    def used() -> dict[str, float]:
        return {name: cpu_s(part) for name, part in parts.items()}

    before, started = used(), time.monotonic()
    asyncio.run(sell(system.ingest, RATE, seconds, seed=2))
    elapsed = time.monotonic() - started
    return {name: (after - before[name]) / elapsed * 100 for name, after in used().items()}


async def measure_delays_ms(system: Up, seconds: int) -> list[float]:
    """The milliseconds from sending each receipt until a query shows it."""
    day, done = str(today()), asyncio.Event()
    sent: list[float] = []
    wait_until(lambda: system.lag() == 0, "the engine has caught up")
    before = system.sales({day})[0]
    watching = asyncio.create_task(watch(system.dashboard, day, lambda: before + len(sent), done))
    await asyncio.sleep(0)
    sent = await sell(system.ingest, RATE, seconds, seed=3)
    done.set()
    return delays_ms(sent, await watching, before)


RECORDED_NOTE = "recorded by the engine, interpolated within a histogram bucket"


def recorded_delays(system: Up) -> Counter[int]:
    """The histogram of delays that the engine recorded today: receipts by bucket."""
    found: Counter[int] = Counter()
    for row in system.metric("delays", str(today())):
        found[row["ingest_bucket"]] += row["receipts"]
    return found


def percentile_ms(delays: Counter[int], percent: float = 99) -> float:
    """A percentile with linear interpolation within its bucket, because the bounds of a bucket differ by 19 %."""
    rank = delays.total() * percent / 100
    for bucket, count in sorted(delays.items()):
        if rank <= count:
            lower_ms = bound_ms(bucket - 1) if bucket else 0.0
            return lower_ms + (bound_ms(bucket) - lower_ms) * rank / count
        rank -= count
    return 0.0


def _cpu_note(cpu: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent:.1f}" for name, percent in cpu.items())
