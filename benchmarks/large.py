"""Three million receipts of one day: memory, answers, restart, and whether the last come as fast as the first."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import httpx

from benchmarks import client
from benchmarks.contenders import Up, up
from benchmarks.harness import CannotRun, Plan, percentile
from benchmarks.payload import Tills, spread, today
from benchmarks.result import Figure, Result

TITLE = "three million receipts of a day"
INGEST_TARGET_MIB, ENGINE_TARGET_MIB = 200.0, 1024.0
ANSWER_TARGET_MS, RESTART_TARGET_S, TENTH_TARGET = 100.0, 5.0, 0.9
AHEAD = 30_000
"""Receipts that may be acknowledged and not yet folded: so both processes work all the time, and the
engine's rate is its rate beside ingest at the end as at the beginning."""
RESTARTS = 3
SELLING_RATE = 200.0
ROLES = ("ingest", "engine")
MIB = 2**20


class Gauge:
    """Resident memory and processor time of both processes while receipts are folded."""

    def __init__(self, system: Up) -> None:
        self._parts = {name: system.part(name) for name in ROLES}
        self.peak_mib = dict.fromkeys(ROLES, 0.0)
        self.samples: list[tuple[dict[str, int], dict[str, float]]] = []

    def take(self, acknowledged: int, folded: int) -> None:
        for name, part in self._parts.items():
            self.peak_mib[name] = max(self.peak_mib[name], part.memory_info().rss / MIB)
        used = {name: sum(part.cpu_times()[:2]) for name, part in self._parts.items()}
        self.samples.append(({"ingest": acknowledged, "engine": folded}, used))

    def close(self) -> None:
        """Take the peaks from the kernel where it has them: between two samples there may have been more."""
        for name, part in self._parts.items():
            status = Path(f"/proc/{part.pid}/status")
            found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
            if found is not None:
                self.peak_mib[name] = max(self.peak_mib[name], int(found[1]) / 1024)

    def cost_us(self, name: str, first: float, last: float) -> float:
        """Processor time a receipt between two counts."""
        inside = [(done[name], used[name]) for done, used in self.samples if first <= done[name] <= last]
        if len(inside) < 2 or inside[-1][0] == inside[0][0]:
            return 0.0
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]) * 1e6


def run(plan: Plan) -> Result:
    count, day = plan.large_receipts, str(today() - timedelta(days=1))
    with plan.scratch() as directory:
        with up(directory) as system:
            gauge = Gauge(system)
            progress = _load(plan, system, day, count, gauge)
            stored = system.sales({day})[0]
            plan.say(f"  loaded {stored:,} in {progress.folded[-1][0]:.0f} s, peaks {_mib(gauge)}")
            requests = 20 if plan.quick else 200
            idle = _answers(system, day, requests, selling=False)
            busy = _answers(system, day, requests, selling=True)
            gauge.close()
            files = {file.name: file.stat().st_size for file in sorted((directory / "data").iterdir())}
        restarts = [_restart(plan, directory) for _ in range(RESTARTS)]
    worst, worst_busy = max(idle, key=lambda name: idle[name]), max(busy, key=lambda name: busy[name])
    return Result(
        bench="large",
        title=TITLE,
        figures=[
            Figure("receipts loaded and shown", stored, "", "==", count),
            Figure("ingest's memory at most", gauge.peak_mib["ingest"], "MiB", "<", INGEST_TARGET_MIB),
            Figure("engine's memory at most", gauge.peak_mib["engine"], "MiB", "<", ENGINE_TARGET_MIB),
            Figure(
                "slowest answer p99",
                idle[worst],
                "ms",
                "<",
                ANSWER_TARGET_MS,
                f"{worst}; summary {idle['summary']:.0f} ms",
            ),
            Figure("the same while selling 200/s", busy[worst_busy], "ms", note=worst_busy),
            Figure("restart to ready, slowest of three", max(restarts), "s", "<", RESTART_TARGET_S),
            *_tenths(progress, gauge, count),
            Figure("log", _size(files, "log.") / count, "bytes a receipt"),
            Figure("store", _size(files, "store.") / count, "bytes a receipt"),
        ],
        runs={"answers_p99_ms": idle, "answers_selling_p99_ms": busy, "restarts_s": restarts, "files": files}
        | {"tenths": _all_tenths(progress, gauge, count)},
    )


def _load(plan: Plan, system: Up, day: str, count: int, gauge: Gauge) -> client.Progress:
    tills = Tills(spread(today() - timedelta(days=1), count))
    loader = client.Loader(system.ingest, system.dashboard, tills, day, count, AHEAD)
    shown_s = time.monotonic()

    def tick() -> None:
        nonlocal shown_s
        gauge.take(loader.acknowledged, loader.folded)
        if time.monotonic() - shown_s > 15:
            shown_s = time.monotonic()
            plan.say(f"  {loader.folded:,} of {count:,}, {_mib(gauge)}")

    return asyncio.run(loader.run(tick))


def _tenths(progress: client.Progress, gauge: Gauge, count: int) -> list[Figure]:
    figures = []
    for name, samples in (("ingest", progress.acknowledged), ("engine", progress.folded)):
        first = client.rate_between(samples, 0, count / 10)
        last = client.rate_between(samples, count * 9 / 10, count)
        costs = [gauge.cost_us(name, count * tenth / 10, count * (tenth + 1) / 10) for tenth in (0, 9)]
        note = f"{first:,.0f} and {last:,.0f}/s; {costs[0]:.1f} and {costs[1]:.1f} µs of CPU a receipt"
        figures.append(Figure(f"{name}: last tenth over the first", last / first, "times", ">=", TENTH_TARGET, note))
    return figures


def _all_tenths(progress: client.Progress, gauge: Gauge, count: int) -> list[dict[str, float]]:
    found = []
    for tenth in range(10):
        first, last = count * tenth / 10, count * (tenth + 1) / 10
        found.append(
            {
                "ingest_rate": client.rate_between(progress.acknowledged, first, last),
                "engine_rate": client.rate_between(progress.folded, first, last),
                **{f"{name}_cpu_us": gauge.cost_us(name, first, last) for name in ROLES},
            }
        )
    return found


def _answers(system: Up, day: str, requests: int, *, selling: bool) -> dict[str, float]:
    """The p99 in milliseconds of the summary and of every metric of the day, each asked so many times."""
    found = {}
    with _selling(system) if selling else nullcontext(), httpx.Client(base_url=system.dashboard, timeout=30) as asking:
        names = [metric["name"] for metric in asking.get("/api/v1/metrics").json()["metrics"]]
        paths = {"summary": "/api/v1/summary", **{name: f"/api/v1/metrics/{name}" for name in names}}
        for name, path in paths.items():
            times_ms = []
            for _ in range(requests):
                started = time.perf_counter()
                answer = asking.get(path, params={"day": day})
                times_ms.append((time.perf_counter() - started) * 1_000)
                if answer.status_code != 200:
                    raise CannotRun(f"{path}: {answer.status_code} {answer.text[:300]}")
            found[name] = percentile(times_ms, 99)
    return found


@contextmanager
def _selling(system: Up) -> Iterator[None]:
    """Receipts of today at the seed's rate, from another thread, for as long as the block takes."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            asyncio.run(client.sell(system.ingest, SELLING_RATE, 1.0, seed=4))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _restart(plan: Plan, directory: Path) -> float:
    """Seconds from the command to both ports being ready, on the data that stands there."""
    with up(directory) as system:
        plan.say(f"  ready again after {system.ready_s:.2f} s")
        return system.ready_s


def _size(files: dict[str, int], prefix: str) -> int:
    return sum(size for name, size in files.items() if name.startswith(prefix))


def _mib(gauge: Gauge) -> str:
    return ", ".join(f"{name} {peak:.0f} MiB" for name, peak in gauge.peak_mib.items())
