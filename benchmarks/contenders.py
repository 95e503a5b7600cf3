"""Who is measured: the floor, tillstream's own processes, and the comparison services, each for one run."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.harness import CannotRun, Load, Plan, Server, module, serving, wait_until, wrk
from benchmarks.postgresql import Cluster
from tests.support.free_ports import free_port

TILLSTREAM = (sys.executable, "-P", "-m", "tillstream")
DIED = "part died"
ACCEPTED = re.compile(r'^tillstream_receipts_total\{outcome="accepted"\} (\S+)$', re.MULTILINE)


@contextmanager
def floor(directory: Path, kind: str = "granian") -> Iterator[str]:
    """The address of a server that only reads and answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving([*module("benchmarks.floor"), kind, port], directory / "floor.out") as server:
        server.answers(url)
        yield url


@contextmanager
def ingest(directory: Path, **settings: object) -> Iterator[str]:
    """The address of `tillstream ingest` with these settings on a new data directory."""
    command = [*TILLSTREAM, "ingest", "--data", directory / "data", "--ingest-port", free_port()]
    with serving(command, directory / "ingest.out", _environment(settings)) as server:
        yield server.hear(r"^ingest ready at (http://\S+)$")[1]


@contextmanager
def service(name: str, cluster: Cluster, directory: Path) -> Iterator[str]:
    """The address of a comparison service in one uvicorn, its database empty but for former runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    quiet = ["--no-access-log", "--log-level", "warning"]
    tuned = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    command = [*module("uvicorn"), f"benchmarks.service_{name}:app", "--port", port, *quiet, *tuned]
    with cluster.running(), serving(command, directory / f"{name}.out", {"DATABASE_URL": cluster.url}) as server:
        server.answers(f"{url}/health")
        yield url


@dataclass(frozen=True)
class Up:
    """A running `tillstream up`."""

    server: Server
    ingest: str
    dashboard: str
    ready_s: float

    def part(self, name: str) -> psutil.Process:
        """The process of this role."""
        for child in psutil.Process(self.server.process.pid).children():
            if name in child.cmdline():
                return child
        raise CannotRun(f"tillstream up has no process {name}")

    def lag(self) -> int:
        """Acknowledged records that the database does not have yet."""
        lag: int = _get(f"{self.dashboard}/health/ready")["lag"]
        return lag

    def sales(self, days: set[str]) -> tuple[int, str]:
        """Receipts and revenue of these days, as the database has them."""
        rows = [row for day in sorted(days) for row in self.metric("sales", day)]
        revenue = sum((Decimal(row["revenue"]) for row in rows), Decimal(0))
        return sum(row["receipts"] for row in rows), str(revenue)

    def metric(self, name: str, day: str) -> list[dict[str, Any]]:
        """The rows of one metric of one day."""
        rows: list[dict[str, Any]] = _get(f"{self.dashboard}/api/v1/metrics/{name}?day={day}")["rows"]
        return rows


@contextmanager
def up(directory: Path, **settings: object) -> Iterator[Up]:
    """`tillstream up` with these settings on the data directory below `directory`, new or not; `ready_s` is how long
    it took."""
    started = time.monotonic()
    command = [*TILLSTREAM, "up", "--data", directory / "data", "--ingest-port", free_port()]
    command += ["--dashboard-port", free_port()]
    with serving(command, directory / "up.out", _environment(settings)) as server:
        server.hear(r"^dashboard +http://\S+$")
        addresses = [server.hear(rf"^{name} +(http://[^/\s]+)")[1] for name in ("receipts", "dashboard")]
        for address in addresses:
            wait_until(partial(_is_ready, address), f"{address} is ready")
        try:
            yield Up(server, addresses[0], addresses[1], time.monotonic() - started)
        finally:
            # Figures of a run in which a process died and came back would be no figures of ours.
            if DIED in server.said:
                raise CannotRun(f"a process of tillstream up died: {server.said[-4_000:].strip()}")


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"TILLSTREAM_{name.upper()}": str(value) for name, value in settings.items()}


def _is_ready(url: str) -> bool:
    return httpx.get(f"{url}/health/ready").status_code == 200


def accepted(url: str) -> int:
    """Receipts that this process of ingest has acknowledged, by its own count."""
    found = ACCEPTED.search(httpx.get(f"{url}/metrics").text)
    if found is None:
        raise CannotRun(f"{url}/metrics has no count of accepted receipts")
    return round(float(found[1]))


def load(plan: Plan, url: str, **how: int) -> Load:
    """Warm up, then measure."""
    wrk(url, plan.warm_up_s, **how)
    return wrk(url, plan.run_s, **how)


def run_floor(plan: Plan, kind: str = "granian", **how: int) -> Load:
    with plan.scratch() as directory, floor(directory, kind) as url:
        return load(plan, url, **how)


def run_ingest(plan: Plan, **how: int) -> Load:
    """Raises `CannotRun` where ingest counts fewer than the client was told."""
    with plan.scratch() as directory, ingest(directory) as url:
        return counted(plan, url, **how)


def counted(plan: Plan, url: str, **how: int) -> Load:
    """Warm up, then measure. Raises `CannotRun` where ingest counts fewer than the client was told."""
    wrk(url, plan.warm_up_s, **how)
    before = accepted(url)
    measured = wrk(url, plan.run_s, **how)
    found = accepted(url) - before
    if found < measured.receipts:
        raise CannotRun(f"ingest counts {found} receipts of {measured.receipts} that were acknowledged")
    return measured


def run_service(plan: Plan, name: str, cluster: Cluster) -> Load:
    with plan.scratch() as directory, service(name, cluster, directory) as url:
        return load(plan, url)


def _get(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
