"""500 viewers of the live feed: the CPU time they need, the delay of updates, and their effect on ingest."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections import Counter
from datetime import datetime

import msgspec

from benchmarks import browser
from benchmarks.client import Loader, sell
from benchmarks.contenders import Up, up
from benchmarks.gentle import RECORDED_NOTE, percentile_ms, recorded_delays
from benchmarks.harness import ROOT, BenchmarkError, Plan, cpu_s, module_command, percentile, percentiles, wait_until
from benchmarks.payload import ZONE, Tills, spread, today
from benchmarks.result import Figure, Result
from benchmarks.viewer_process import ViewerStats

TITLE = "500 viewers of the live page"
VIEWERS = 500
QUIET_RATE, BUSY_RATE = 200.0, 2_000.0
CPU_TARGET, DELIVERY_TARGET_MS, RATIO_TARGET, VISIBLE_TARGET_MS = 20.0, 200.0, 1.2, 1_000.0
WARM_UP_S = 5.0
DAY_RECEIPTS, MAX_LAG_RECEIPTS = 200_000, 30_000


def run(plan: Plan) -> Result:
    with plan.scratch() as directory, up(directory, live_interval_ms=1_000) as system:
        _load_today(plan, system)
        asyncio.run(sell(system.ingest, QUIET_RATE, WARM_UP_S, seed=1))
        cpu, stats = _measure_quiet(plan, system)
        response_ms, visible_ms = _measure_busy(plan, system)
    browser_figures, browser_runs = browser.run(plan)
    p50, p99 = percentile(stats.delays_ms, 50), percentile(stats.delays_ms, 99)
    added = cpu["all"] - cpu["none"]
    medians = {name: statistics.median(values) for name, values in response_ms.items()}
    ratio = medians["all"] / medians["none"]
    return Result(
        bench="viewers",
        title=TITLE,
        figures=[
            Figure("CPU added to the engine process", added, "% of a core", "<", CPU_TARGET, _cpu_note(cpu)),
            Figure("delivery of an update, p99", p99, "ms", "<", DELIVERY_TARGET_MS, f"p50 {p50:.0f} ms"),
            Figure("updates per viewer", stats.events / VIEWERS / stats.seconds, "/s", note=_size_note(stats)),
            Figure(
                "response p99 of ingest at 2,000/s: with viewers / without",
                ratio,
                "times",
                "<=",
                RATIO_TARGET,
                f"{medians['all']:.1f} and {medians['none']:.1f} ms",
            ),
            Figure(
                "delay from received to visible at 2,000/s, p99",
                visible_ms,
                "ms",
                "<",
                VISIBLE_TARGET_MS,
                RECORDED_NOTE,
            ),
            *browser_figures,
        ],
        runs={
            "cpu_percent": cpu,
            "client_cpu_percent": stats.cpu_s / stats.seconds * 100,
            "delivery_ms": percentiles(stats.delays_ms),
            "responses_p99_ms": response_ms,
            **browser_runs,
        },
    )


def _load_today(plan: Plan, system: Up) -> None:
    """Load receipts of today, so that updates have a realistic size."""
    count, hour = 20_000 if plan.quick else DAY_RECEIPTS, datetime.now(ZONE).hour
    if hour == 0:
        return
    tills = Tills(spread(today(), count, opens_h=0, closes_h=hour))
    loader = Loader(system.ingest, system.dashboard, tills, str(today()), count, MAX_LAG_RECEIPTS)
    asyncio.run(loader.run(lambda: None))


def _measure_quiet(plan: Plan, system: Up) -> tuple[dict[str, float], ViewerStats]:
    """Measure the CPU use of the engine process at the quiet rate, without, with one and with all viewers."""
    cpu = {"none": _engine_cpu_percent(system, plan.long_run_s / 2, seed=2)}
    with ViewerProcess(system, VIEWERS) as viewers:
        cpu["all"] = _engine_cpu_percent(system, plan.long_run_s, seed=3)
    cpu["none"] = (cpu["none"] + _engine_cpu_percent(system, plan.long_run_s / 2, seed=4)) / 2
    with ViewerProcess(system, 1):
        cpu["one"] = _engine_cpu_percent(system, plan.long_run_s / 2, seed=5)
    return cpu, viewers.stats


def _engine_cpu_percent(system: Up, seconds: float, seed: int) -> float:
    """Post receipts, and return the CPU use of the engine process in percent of a core."""
    engine = system.command.child("engine")
    before, began = cpu_s(engine), time.monotonic()
    asyncio.run(sell(system.ingest, QUIET_RATE, seconds, seed))
    return (cpu_s(engine) - before) / (time.monotonic() - began) * 100


def _measure_busy(plan: Plan, system: Up) -> tuple[dict[str, list[float]], float]:
    """Measure the p99 response times of ingest without and with all viewers in alternation, in milliseconds.

    The second value is the p99 delay from received to visible with all viewers.
    """
    response_ms: dict[str, list[float]] = {"none": [], "all": []}
    delays: Counter[int] = Counter()
    for number in range(plan.rounds):
        response_ms["none"].append(_response_p99_ms(plan, system, seed=10 + number))
        with ViewerProcess(system, VIEWERS):
            before = recorded_delays(system)
            response_ms["all"].append(_response_p99_ms(plan, system, seed=10 + number))
            wait_until(lambda: system.lag() == 0, "the engine has caught up")
            delays += recorded_delays(system) - before
        plan.log(
            f"  round {number + 1}: response p99 of ingest {response_ms['none'][-1]:.1f} ms, "
            f"with viewers {response_ms['all'][-1]:.1f} ms"
        )
    return response_ms, percentile_ms(delays)


def _response_p99_ms(plan: Plan, system: Up, seed: int) -> float:
    response_ms: list[float] = []
    asyncio.run(sell(system.ingest, BUSY_RATE, plan.run_s, seed, response_ms))
    return percentile(response_ms, 99)


def _cpu_note(cpu: dict[str, float]) -> str:
    return f"{cpu['all']:.1f} with all viewers, {cpu['one']:.1f} with one, {cpu['none']:.1f} with none"


def _size_note(stats: ViewerStats) -> str:
    return f"{stats.bytes_read / max(1, stats.events) / 1024:.1f} KiB each, gzip"


class ViewerProcess:
    """A process with `count` viewers, which runs during a block. Afterwards `stats` has its results."""

    def __init__(self, system: Up, count: int) -> None:
        command = [*module_command("benchmarks.viewer_process"), system.dashboard, str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        self.stats = ViewerStats()

    def __enter__(self) -> ViewerProcess:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "watching":
            raise BenchmarkError(f"the viewers ended with {self._process.wait()}")
        return self

    def __exit__(self, *failure: object) -> None:
        output, _ = self._process.communicate("", timeout=30)
        if failure[0] is not None:
            return
        self.stats = msgspec.json.decode(output, type=ViewerStats)
        if self.stats.disconnected or self.stats.errors:
            raise BenchmarkError(
                f"{self.stats.disconnected} viewers disconnected, and {self.stats.errors} events were errors"
            )
