"""Servers to measure: the floors, tillstream's processes, and the comparison services."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import ROOT, BenchmarkError, Load, Plan, module_command, wait_until, wrk
from benchmarks.postgresql import Cluster
from tests.support.free_ports import free_port
from tests.support.ingest import accepted_receipts
from tests.support.processes import RunningTillstream, running_command, running_role, running_tillstream

PROCESS_DIED = "part died"


@contextmanager
def floor(kind: str = "granian") -> Iterator[str]:
    """The address of a server that reads each body and answers, but does nothing else."""
    port = free_port()
    with _running_server(port, *module_command("benchmarks.floor"), kind, str(port)) as url:
        yield url


@contextmanager
def ingest(directory: Path, **settings: object) -> Iterator[str]:
    """The address of `tillstream ingest` with these settings and a new data directory."""
    with running_role("ingest", directory / "data", *_options(settings)) as (_, url):
        yield url


@contextmanager
def service(name: str, cluster: Cluster) -> Iterator[str]:
    """The address of a comparison service in one uvicorn process. Its database keeps the receipts of earlier runs."""
    port = free_port()
    quiet = ("--no-access-log", "--log-level", "warning")
    tuned = ("--loop", "uvloop", "--http", "httptools", "--backlog", "4096")
    command = (*module_command("uvicorn"), f"benchmarks.service_{name}:app", "--port", str(port), *quiet, *tuned)
    with cluster.running(), _running_server(port, *command, DATABASE_URL=cluster.url) as url:
        yield url


@contextmanager
def _running_server(port: int, *command: str, **environment: str) -> Iterator[str]:
    """Run a server, wait until it answers, and return its address."""
    url = f"http://127.0.0.1:{port}"
    with running_command(program=command, cwd=ROOT, **environment) as running:

        def responds() -> bool:
            if running.process.poll() is not None:
                raise BenchmarkError(f"{command} ended: {running.output[-2_000:].strip()}")
            return httpx.get(url).status_code < 500

        wait_until(responds, f"{url} responds")
        yield url
        running.stop()


class Up(RunningTillstream):
    """A running `tillstream up`. `ready_s` is the time from its start until both ports are ready."""

    ready_s: float

    def lag(self) -> int:
        """The number of acknowledged records that are not in the database yet."""
        lag: int = self.get("/health/ready").json()["lag"]
        return lag

    def sales(self, days: set[str]) -> tuple[int, str]:
        """The receipts and the revenue of these days in the database."""
        rows = [row for day in sorted(days) for row in self.metric("sales", day)]
        revenue = sum((Decimal(row["revenue"]) for row in rows), Decimal(0))
        return sum(row["receipts"] for row in rows), str(revenue)

    def metric(self, name: str, day: str) -> list[dict[str, Any]]:
        """The rows of a metric for one day."""
        rows: list[dict[str, Any]] = self.get(f"/api/v1/metrics/{name}?day={day}").json()["rows"]
        return rows


@contextmanager
def up(directory: Path, **settings: object) -> Iterator[Up]:
    """Run `tillstream up` with these settings. `directory` may have the data of an earlier run."""
    started = time.monotonic()
    with running_tillstream(directory / "data", *_options(settings)) as tillstream:
        system = Up(tillstream.command)
        for url in (system.ingest, system.dashboard):
            wait_until(partial(_is_ready, url), f"{url} is ready")
        system.ready_s = time.monotonic() - started
        yield system
        system.stop()
        # The figures are invalid if a process died and was restarted.
        if PROCESS_DIED in system.command.output:
            raise BenchmarkError(f"a process of tillstream up died: {system.command.output[-4_000:].strip()}")


def _options(settings: Mapping[str, object]) -> list[object]:
    """The command-line options for these settings."""
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]


def _is_ready(url: str) -> bool:
    return httpx.get(f"{url}/health/ready").status_code == 200


def load(plan: Plan, url: str, **options: int) -> Load:
    """Warm up, then measure."""
    wrk(url, plan.warm_up_s, **options)
    return wrk(url, plan.run_s, **options)


def run_floor(plan: Plan, kind: str = "granian", **options: int) -> Load:
    with floor(kind) as url:
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
    with service(name, cluster) as url:
        return load(plan, url)
