"""Three million receipts of one day: memory, response times, start time, and the rate at the end of the load."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import httpx

from benchmarks import client
from benchmarks.contenders import Up, up
from benchmarks.harness import BenchmarkError, Plan, cpu_s, peak_mib, percentile
from benchmarks.payload import Tills, spread, today
from benchmarks.result import Figure, Result

TITLE = "three million receipts of one day"
INGEST_TARGET_MIB, ENGINE_TARGET_MIB = 200.0, 1024.0
RESPONSE_TARGET_MS, RESTART_TARGET_S, TENTH_TARGET = 100.0, 5.0, 0.9
MAX_LAG_RECEIPTS = 30_000
"""The maximum number of acknowledged receipts that are not yet processed. It keeps both processes busy all the time."""

RESTARTS = 3
SELLING_RATE = 200.0
ROLES = ("ingest", "engine")
MIB = 2**20


class Usage:
    """The resident memory and CPU time of both processes during the load."""

    def __init__(self, system: Up) -> None:
        self._parts = {name: system.command.child(name) for name in ROLES}
        self.peak_mib = dict.fromkeys(ROLES, 0.0)
        self.samples: list[tuple[dict[str, int], dict[str, float]]] = []

    def sample(self, acknowledged: int, processed: int) -> None:
        for name, part in self._parts.items():
            self.peak_mib[name] = max(self.peak_mib[name], part.memory_info().rss / MIB)
        used = {name: cpu_s(part) for name, part in self._parts.items()}
        self.samples.append(({"ingest": acknowledged, "engine": processed}, used))

    def read_peaks(self) -> None:
        """Read the kernel's memory peaks, which include those between two samples."""
        for name, part in self._parts.items():
            self.peak_mib[name] = max(self.peak_mib[name], peak_mib(part.pid))

    def cpu_us(self, name: str, first: float, last: float) -> float:
        """The CPU time per receipt in microseconds, between two receipt counts."""
        inside = [(done[name], used[name]) for done, used in self.samples if first <= done[name] <= last]
        if len(inside) < 2 or inside[-1][0] == inside[0][0]:
            return 0.0
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0]) * 1e6


def run(plan: Plan) -> Result:
    count, day = plan.large_receipts, str(today() - timedelta(days=1))
    with plan.scratch() as directory:
        with up(directory) as system:
            usage = Usage(system)
            progress = _load(plan, system, day, count, usage)
            stored = system.sales({day})[0]
            plan.log(f"  loaded {stored:,} in {progress.processed[-1][0]:.0f} s, peak memory {_mib(usage)}")
            requests = 20 if plan.quick else 200
            idle = _response_p99_ms(system, day, requests, selling=False)
            busy = _response_p99_ms(system, day, requests, selling=True)
            usage.read_peaks()
            files = {file.name: file.stat().st_size for file in sorted((directory / "data").iterdir())}
        restarts = [_restart(plan, directory) for _ in range(RESTARTS)]
    slowest, slowest_busy = max(idle, key=lambda name: idle[name]), max(busy, key=lambda name: busy[name])
    summary_note = f"{slowest}; summary {idle['summary']:.0f} ms"
    tenths = _tenths(progress, usage, count)
    return Result(
        bench="large",
        title=TITLE,
        figures=[
            Figure("receipts loaded and visible", stored, "", "==", count),
            Figure("peak memory of ingest", usage.peak_mib["ingest"], "MiB", "<", INGEST_TARGET_MIB),
            Figure("peak memory of the engine", usage.peak_mib["engine"], "MiB", "<", ENGINE_TARGET_MIB),
            Figure("slowest response, p99", idle[slowest], "ms", "<", RESPONSE_TARGET_MS, summary_note),
            Figure("slowest response with 200 receipts/s, p99", busy[slowest_busy], "ms", note=slowest_busy),
            Figure("start until ready, slowest of three", max(restarts), "s", "<", RESTART_TARGET_S),
            *_rate_figures(tenths),
            Figure("size of the log", _size(files, "log.") / count, "bytes per receipt"),
            Figure("size of the database", _size(files, "store.") / count, "bytes per receipt"),
        ],
        runs={"responses_p99_ms": idle, "responses_selling_p99_ms": busy, "restarts_s": restarts, "files": files}
        | {"tenths": tenths},
    )


def _load(plan: Plan, system: Up, day: str, count: int, usage: Usage) -> client.Progress:
    tills = Tills(spread(today() - timedelta(days=1), count))
    loader = client.Loader(system.ingest, system.dashboard, tills, day, count, MAX_LAG_RECEIPTS)
    logged_s = time.monotonic()

    def tick() -> None:
        nonlocal logged_s
        usage.sample(loader.acknowledged, loader.processed)
        if time.monotonic() - logged_s > 15:
            logged_s = time.monotonic()
            plan.log(f"  {loader.processed:,} of {count:,}, {_mib(usage)}")

    return asyncio.run(loader.run(tick))


def _rate_figures(tenths: Sequence[Mapping[str, float]]) -> list[Figure]:
    """The rates of the last tenth of the load, relative to the first."""
    figures = []
    for name in ROLES:
        (first, first_us), (last, last_us) = (
            (each[f"{name}_rate"], each[f"{name}_cpu_us"]) for each in (tenths[0], tenths[-1])
        )
        note = f"{last:,.0f}/s and {first:,.0f}/s; {last_us:.1f} and {first_us:.1f} µs of CPU per receipt"
        figures.append(
            Figure(f"{name}: rate of the last tenth / first", last / first, "times", ">=", TENTH_TARGET, note)
        )
    return figures


def _tenths(progress: client.Progress, usage: Usage, count: int) -> list[dict[str, float]]:
    """The rates and CPU times of each tenth of the load."""
    found = []
    for tenth in range(10):
        first, last = count * tenth / 10, count * (tenth + 1) / 10
        found.append(
            {
                "ingest_rate": client.rate_between(progress.acknowledged, first, last),
                "engine_rate": client.rate_between(progress.processed, first, last),
                **{f"{name}_cpu_us": usage.cpu_us(name, first, last) for name in ROLES},
            }
        )
    return found


def _response_p99_ms(system: Up, day: str, requests: int, *, selling: bool) -> dict[str, float]:
    """The p99 response times of the summary and of every metric of the day, in milliseconds."""
    found = {}
    with _selling(system) if selling else nullcontext(), httpx.Client(base_url=system.dashboard, timeout=30) as api:
        names = [metric["name"] for metric in api.get("/api/v1/metrics").json()["metrics"]]
        paths = {"summary": "/api/v1/summary", **{name: f"/api/v1/metrics/{name}" for name in names}}
        for name, path in paths.items():
            times_ms = []
            for _ in range(requests):
                started = time.perf_counter()
                answer = api.get(path, params={"day": day})
                times_ms.append((time.perf_counter() - started) * 1_000)
                if answer.status_code != 200:
                    raise BenchmarkError(f"{path}: {answer.status_code} {answer.text[:300]}")
            found[name] = percentile(times_ms, 99)
    return found


@contextmanager
def _selling(system: Up) -> Iterator[None]:
    """Post receipts of today from another thread until the block ends."""
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
    """Start on the existing data, and return the seconds until both ports are ready."""
    with up(directory) as system:
        plan.log(f"  ready after {system.ready_s:.2f} s")
        return system.ready_s


def _size(files: dict[str, int], prefix: str) -> int:
    return sum(size for name, size in files.items() if name.startswith(prefix))


def _mib(usage: Usage) -> str:
    return ", ".join(f"{name} {peak:.0f} MiB" for name, peak in usage.peak_mib.items())
