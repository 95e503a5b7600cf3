"""Helpers for benches: run servers and wrk, alternate runs, and calculate medians."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.payload import write_script
from tests.support import waiting

ROOT = Path(__file__).parents[1]
READY_S = 60.0
POLL_S = 0.02
CONNECTIONS = 256
BATCH = 1_000
BATCH_CONNECTIONS = 16

T = TypeVar("T")


class BenchmarkError(Exception):
    """A bench cannot run or its figures are invalid. The message is one line."""


@dataclass(frozen=True)
class Plan:
    """The durations and repetitions of a run. `directory` is the parent of all data directories."""

    quick: bool
    directory: Path
    log: Callable[[str], None]

    @property
    def rounds(self) -> int:
        return 2 if self.quick else 5

    @property
    def run_s(self) -> int:
        """The duration of one run of a contender."""
        return 3 if self.quick else 10

    @property
    def warm_up_s(self) -> int:
        return 1 if self.quick else 2

    @property
    def long_run_s(self) -> int:
        """The duration of a run that measures sustained load."""
        return 8 if self.quick else 60

    @property
    def large_receipts(self) -> int:
        return 150_000 if self.quick else 3_000_000

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary directory on the measured disk."""
        with tempfile.TemporaryDirectory(
            prefix="tillstream-bench-", dir=self.directory, ignore_cleanup_errors=True
        ) as made:
            yield Path(made)


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float = READY_S) -> T:
    """Call `condition` until its value is true, and return that value. Raises `BenchmarkError` after the timeout."""
    return waiting.wait_until(condition, what, timeout_s, POLL_S, BenchmarkError)


def cpu_s(process: psutil.Process) -> float:
    """The CPU time of a process in seconds."""
    return float(sum(process.cpu_times()[:2]))


def peak_mib(pid: int) -> float:
    """The kernel's peak of the resident memory of a process in MiB, or 0 if the process has ended."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


def module_command(name: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name]


@dataclass(frozen=True)
class Load:
    """The result of one run. `rate` is in receipts per second, and `errors` counts connection errors."""

    receipts: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    timeouts: int


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise BenchmarkError("wrk is missing: apt-get install wrk")


def wrk(url: str, seconds: int, *, batch: int = 1, connections: int = CONNECTIONS) -> Load:
    """Post receipts, `batch` per request. Raises `BenchmarkError` if the server rejects a request."""
    require_wrk()
    path = "/receipt" if batch == 1 else "/receipts"
    with tempfile.TemporaryDirectory(prefix="tillstream-wrk-") as made:
        script = write_script(Path(made), path, batch)
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
            f"{url}{path}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"wrk printed no result: {(done.stderr or done.stdout).strip()[:500]}")
    result = json.loads(found[1])
    if result["rejected"]:
        raise BenchmarkError(f"{url} rejected {result['rejected']} of {result['requests']} requests")
    if not result["requests"]:
        raise BenchmarkError(f"{url} answered no request within {seconds} s")
    duration_s = result["duration_us"] / 1e6
    receipts = result["requests"] * batch
    return Load(
        receipts=receipts,
        seconds=duration_s,
        rate=receipts / duration_s,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        max_ms=result["max_us"] / 1e3,
        errors=result["errors"],
        timeouts=result["timeouts"],
    )


Contender = Callable[[], Load]


def interleaved(
    plan: Plan, contenders: Mapping[str, Contender], max_rounds: int | None = None
) -> dict[str, list[Load]]:
    """Run every contender once per round, so that a noisy minute affects all of them.

    Every other round runs them in reverse order, because disk writes of the previous run slow a run down.
    """
    loads: dict[str, list[Load]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(1, min(plan.rounds, max_rounds or plan.rounds) + 1):
        for name in names if number % 2 else reversed(names):
            load = contenders[name]()
            loads[name].append(load)
            plan.log(
                f"  round {number}: {name}: {load.rate:,.0f} receipts/s, p50 {load.p50_ms:.1f}, p99 {load.p99_ms:.1f} ms"
            )
    return loads


def median_rate(loads: Sequence[Load]) -> float:
    return statistics.median(load.rate for load in loads)


def median_ratio(loads: Sequence[Load], references: Sequence[Load]) -> float:
    """The median of the rounds' ratios. Noise of the machine affects both loads of a round."""
    return statistics.median(load.rate / other.rate for load, other in zip(loads, references, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by the nearest-rank method. Raises `BenchmarkError` without values."""
    ordered = sorted(values)
    if not ordered:
        raise BenchmarkError("nothing was measured")
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The 50th, 90th, 99th and 100th percentile, by their number."""
    return {str(percent): percentile(values, percent) for percent in (50, 90, 99, 100)}
