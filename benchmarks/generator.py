"""The rate of `tillstream generate`. One process must be able to send as many receipts as ingest accepts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from benchmarks.contenders import floor, ingest, run_ingest
from benchmarks.harness import (
    BATCH,
    BATCH_CONNECTIONS,
    CONNECTIONS,
    BenchmarkError,
    Load,
    Plan,
    interleaved,
    median_rate,
    median_ratio,
)
from benchmarks.result import Figure, Result
from tests.support.processes import TILLSTREAM

TITLE = "the generator as a client"
TARGET = 1.0
ROUNDS = 3
"""The maximum number of rounds. This bench needs less precision than the others."""

UNLIMITED_RECEIPTS = 1_000_000_000

RunServer = Callable[[Path], AbstractContextManager[str]]


def run(plan: Plan) -> Result:
    result = Result(bench="generator", title=TITLE)
    for kind, batch, connections in (("single receipts", 1, CONNECTIONS), ("batches", BATCH, BATCH_CONNECTIONS)):
        options = {"batch": batch, "connections": connections}
        loads = interleaved(
            plan,
            {
                f"{kind}: wrk to ingest": partial(run_ingest, plan, **options),
                f"{kind}: generator to floor": partial(_generate, plan, lambda _: floor(), **options),
                f"{kind}: generator to ingest": partial(_generate, plan, ingest, **options),
            },
            ROUNDS,
        )
        by_wrk, to_floor, to_ingest = loads.values()
        result.runs |= loads
        result.figures += [
            Figure(f"{kind}: generator to floor", median_rate(to_floor), "/s"),
            Figure(
                f"{kind}: generator to floor / wrk to ingest", median_ratio(to_floor, by_wrk), "times", ">=", TARGET
            ),
            Figure(f"{kind}: generator to ingest", median_rate(to_ingest), "/s"),
        ]
    return result


def _generate(plan: Plan, server: RunServer, *, batch: int, connections: int) -> Load:
    """Send one burst. The time to prepare it is not included."""
    with plan.scratch() as directory, server(directory) as url:
        command = [*TILLSTREAM, "generate", "--url", url, "--json", "--quiet", "--seed", "1"]
        size = ["--burst", str(UNLIMITED_RECEIPTS), "--duration", str(plan.run_s)]
        shape = ["--batch", str(batch), "--connections", str(connections)]
        done = subprocess.run([*command, *size, *shape], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"tillstream generate: {(done.stderr or done.stdout).strip()[-500:]}")
    report = json.loads(done.stdout)
    return Load(
        receipts=report["accepted"],
        seconds=report["seconds"],
        rate=report["receipts_per_second"],
        p50_ms=report["latency_p50_ms"],
        p99_ms=report["latency_p99_ms"],
        max_ms=report["latency_max_ms"],
        errors=report["retried"],
        timeouts=0,
    )
