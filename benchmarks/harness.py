"""What every bench needs: processes that are started and waited for, wrk, medians of interleaved runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from benchmarks.payload import write_script
from tests.support import waiting

ROOT = Path(__file__).parents[1]
READY_S = 60.0
POLL_S = 0.02
STOP_S = 20.0
CONNECTIONS = 256
BATCH = 1_000
BATCH_CONNECTIONS = 16

T = TypeVar("T")


class CannotRun(Exception):
    """Why a bench could not be measured, in one line."""


@dataclass(frozen=True)
class Plan:
    """How long and how often everything is measured, and where the data goes."""

    quick: bool
    directory: Path
    say: Callable[[str], None]

    @property
    def rounds(self) -> int:
        return 2 if self.quick else 5

    @property
    def run_s(self) -> int:
        """One run of one contender."""
        return 3 if self.quick else 10

    @property
    def warm_up_s(self) -> int:
        return 1 if self.quick else 2

    @property
    def long_s(self) -> int:
        """What the issue calls 60 s."""
        return 8 if self.quick else 60

    @property
    def large_receipts(self) -> int:
        return 150_000 if self.quick else 3_000_000

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new directory on the measured disk, gone with the block."""
        made = Path(tempfile.mkdtemp(prefix="tillstream-bench-", dir=self.directory))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float = READY_S) -> T:
    """The first true value; a request that fails counts as not yet. Raises `CannotRun`."""
    return waiting.wait_until(condition, what, timeout_s, POLL_S, CannotRun)


class Server:
    """A process with its output in a file."""

    def __init__(self, command: Sequence[object], output: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = " ".join(str(part) for part in command[:4])
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )

    @property
    def said(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def hear(self, pattern: str) -> re.Match[str]:
        """Wait until it says something that matches."""

        def heard() -> re.Match[str] | None:
            found = re.search(pattern, self.said, re.MULTILINE)
            if found is None:
                self.ensure_alive()
            return found

        return wait_until(heard, f"{self.name} says {pattern!r}")

    def answers(self, url: str) -> None:
        """Wait until it answers below 500."""

        def answered() -> bool:
            self.ensure_alive()
            return httpx.get(url).status_code < 500

        wait_until(answered, f"{self.name} answers at {url}")

    def ensure_alive(self) -> None:
        if self.process.poll() is not None:
            raise CannotRun(f"{self.name} ended with {self.process.returncode}: {self.said[-2_000:].strip()}")

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)


@contextmanager
def serving(command: Sequence[object], output: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A process that is ended with the block."""
    server = Server(command, output, environment)
    try:
        yield server
    finally:
        server.stop()


def module(name: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name]


@dataclass(frozen=True)
class Load:
    """What wrk saw in one run. `rate` is receipts a second."""

    receipts: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    broken: int
    timeouts: int


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise CannotRun("wrk is missing: apt-get install wrk")


def wrk(url: str, seconds: int, *, batch: int = 1, connections: int = CONNECTIONS) -> Load:
    """Post receipts for so long on so many connections. Raises `CannotRun` where any was refused."""
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
        raise CannotRun(f"wrk gave no result: {(done.stderr or done.stdout).strip()[:500]}")
    result = json.loads(found[1])
    if result["refused"]:
        raise CannotRun(f"{url} refused {result['refused']} of {result['requests']} requests")
    lasted_s = result["duration_us"] / 1e6
    receipts = result["requests"] * batch
    return Load(
        receipts=receipts,
        seconds=lasted_s,
        rate=receipts / lasted_s,
        p50_ms=result["p50_us"] / 1e3,
        p99_ms=result["p99_us"] / 1e3,
        max_ms=result["max_us"] / 1e3,
        broken=result["broken"],
        timeouts=result["timeouts"],
    )


Contender = Callable[[], Load]


def interleaved(
    plan: Plan, contenders: Mapping[str, Contender], most_rounds: int | None = None
) -> dict[str, list[Load]]:
    """Run every contender once per round, so that a noisy minute affects all of them.

    Every other round runs them in reverse order, because a run is slowed down by what the previous one left to the disk.
    """
    loads: dict[str, list[Load]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(1, min(plan.rounds, most_rounds or plan.rounds) + 1):
        for name in names if number % 2 else reversed(names):
            load = contenders[name]()
            loads[name].append(load)
            plan.say(
                f"  round {number}: {name}: {load.rate:,.0f} receipts/s, p50 {load.p50_ms:.1f}, p99 {load.p99_ms:.1f} ms"
            )
    return loads


def median_rate(loads: Sequence[Load]) -> float:
    return statistics.median(load.rate for load in loads)


def median_ratio(above: Sequence[Load], below: Sequence[Load]) -> float:
    """The median of the rounds' ratios: both of a round met the same noise."""
    return statistics.median(a.rate / b.rate for a, b in zip(above, below, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of them do not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise CannotRun("nothing was measured")
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
