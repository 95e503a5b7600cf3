"""Servers to measure: the floors, tillstream's processes, and the comparison services."""

from __future__ import annotations

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

from benchmarks.harness import BenchmarkError, Load, Plan, Server, module_command, running_server, wait_until, wrk
from benchmarks.postgresql import Cluster
from tests.support.free_ports import free_port
from tests.support.ingest import accepted_receipts
from tests.support.processes import TILLSTREAM

PROCESS_DIED = "part died"


@contextmanager
def floor(directory: Path, kind: str = "granian") -> Iterator[str]:
    """The address of a server that reads each body and answers, but does nothing else."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server([*module_command("benchmarks.floor"), kind, port], directory / "floor.out") as server:
        server.wait_until_responding(url)
        yield url


@contextmanager
def ingest(directory: Path, **settings: object) -> Iterator[str]:
    """The address of `tillstream ingest` with these settings and a new data directory."""
    command = [*TILLSTREAM, "ingest", "--data", directory / "data", "--ingest-port", free_port()]
    with running_server(command, directory / "ingest.out", _environment(settings)) as server:
        yield server.wait_for_output(r"^ingest ready at (http://\S+)$")[1]


@contextmanager
def service(name: str, cluster: Cluster, directory: Path) -> Iterator[str]:
    """The address of a comparison service in one uvicorn process. Its database keeps the receipts of earlier runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    quiet = ["--no-access-log", "--log-level", "warning"]
    tuned = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096"]
    command = [*module_command("uvicorn"), f"benchmarks.service_{name}:app", "--port", port, *quiet, *tuned]
    with cluster.running(), running_server(command, directory / f"{name}.out", {"DATABASE_URL": cluster.url}) as server:
        server.wait_until_responding(f"{url}/health")
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
        raise BenchmarkError(f"tillstream up has no process {name}")

    def lag(self) -> int:
        """The number of acknowledged records that are not in the database yet."""
        lag: int = _get(f"{self.dashboard}/health/ready")["lag"]
        return lag

    def sales(self, days: set[str]) -> tuple[int, str]:
        """The receipts and the revenue of these days in the database."""
        rows = [row for day in sorted(days) for row in self.metric("sales", day)]
        revenue = sum((Decimal(row["revenue"]) for row in rows), Decimal(0))
        return sum(row["receipts"] for row in rows), str(revenue)

    def metric(self, name: str, day: str) -> list[dict[str, Any]]:
        """The rows of a metric for one day."""
        rows: list[dict[str, Any]] = _get(f"{self.dashboard}/api/v1/metrics/{name}?day={day}")["rows"]
        return rows


@contextmanager
def up(directory: Path, **settings: object) -> Iterator[Up]:
    """Run `tillstream up` with these settings. `directory` may have the data of an earlier run."""
    started = time.monotonic()
    command = [*TILLSTREAM, "up", "--data", directory / "data", "--ingest-port", free_port()]
    command += ["--dashboard-port", free_port()]
    with running_server(command, directory / "up.out", _environment(settings)) as server:
        server.wait_for_output(r"^dashboard +http://\S+$")
        addresses = [server.wait_for_output(rf"^{name} +(http://[^/\s]+)")[1] for name in ("receipts", "dashboard")]
        for address in addresses:
            wait_until(partial(_is_ready, address), f"{address} is ready")
        try:
            yield Up(server, addresses[0], addresses[1], time.monotonic() - started)
        finally:
            # The figures are invalid if a process died and was restarted.
            if PROCESS_DIED in server.output:
                raise BenchmarkError(f"a process of tillstream up died: {server.output[-4_000:].strip()}")


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"TILLSTREAM_{name.upper()}": str(value) for name, value in settings.items()}


def _is_ready(url: str) -> bool:
    return httpx.get(f"{url}/health/ready").status_code == 200


def load(plan: Plan, url: str, **options: int) -> Load:
    """Warm up, then measure."""
    wrk(url, plan.warm_up_s, **options)
    return wrk(url, plan.run_s, **options)


def run_floor(plan: Plan, kind: str = "granian", **options: int) -> Load:
    with plan.scratch() as directory, floor(directory, kind) as url:
        return load(plan, url, **options)


def run_ingest(plan: Plan, **options: int) -> Load:
    with plan.scratch() as directory, ingest(directory) as url:
        return load_ingest(plan, url, **options)


def load_ingest(plan: Plan, url: str, **options: int) -> Load:
    """Warm up, then measure. Raises `BenchmarkError` if ingest's own count is lower than the acknowledgements."""
    wrk(url, plan.warm_up_s, **options)
    before = accepted_receipts(url)
    measured = wrk(url, plan.run_s, **options)
    count = accepted_receipts(url) - before
    if count < measured.receipts:
        raise BenchmarkError(f"ingest counts only {count} of {measured.receipts} acknowledged receipts")
    return measured


def run_service(plan: Plan, name: str, cluster: Cluster) -> Load:
    with plan.scratch() as directory, service(name, cluster, directory) as url:
        return load(plan, url)


def _get(url: str) -> dict[str, Any]:
    answer = httpx.get(url, timeout=30)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
