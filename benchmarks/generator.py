"""`tillstream generate` as a client: one process of it must be able to give ingest all that it can take."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from benchmarks.contenders import TILLSTREAM, floor, ingest, run_ingest
from benchmarks.harness import (
    BATCH,
    BATCH_CONNECTIONS,
    CONNECTIONS,
    CannotRun,
    Load,
    Plan,
    interleaved,
    median_rate,
    median_ratio,
)
from benchmarks.result import Figure, Result

TITLE = "the generator as a client"
TARGET = 1.0
ROUNDS = 3
"""Fewer than elsewhere: how near to its target this comes decides nothing."""
ENDLESS = 1_000_000_000

Address = Callable[[Path], AbstractContextManager[str]]


def run(plan: Plan) -> Result:
    result = Result(bench="generator", title=TITLE)
    for kind, batch, connections in (("singles", 1, CONNECTIONS), ("batches", BATCH, BATCH_CONNECTIONS)):
        how = {"batch": batch, "connections": connections}
        loads = interleaved(
            plan,
            {
                f"{kind}: wrk to ingest": partial(run_ingest, plan, **how),
                f"{kind}: generator to floor": partial(_generate, plan, floor, **how),
                f"{kind}: generator to ingest": partial(_generate, plan, ingest, **how),
            },
            ROUNDS,
        )
        by_wrk, to_floor, to_ingest = loads.values()
        result.runs |= loads
        result.figures += [
            Figure(f"{kind}: generator to the floor", median_rate(to_floor), "/s"),
            Figure(
                f"{kind}: that over what ingest takes of wrk", median_ratio(to_floor, by_wrk), "times", ">=", TARGET
            ),
            Figure(f"{kind}: generator to ingest", median_rate(to_ingest), "/s"),
        ]
    return result


def _generate(plan: Plan, to: Address, *, batch: int, connections: int) -> Load:
    """One burst; what it takes to prepare it is not counted."""
    with plan.scratch() as directory, to(directory) as url:
        command = [*TILLSTREAM, "generate", "--url", url, "--json", "--quiet", "--seed", "1"]
        size = ["--burst", str(ENDLESS), "--duration", str(plan.run_s)]
        shape = ["--batch", str(batch), "--connections", str(connections)]
        done = subprocess.run([*command, *size, *shape], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"tillstream generate: {(done.stderr or done.stdout).strip()[-500:]}")
    report = json.loads(done.stdout)
    return Load(
        receipts=report["accepted"],
        seconds=report["seconds"],
        rate=report["receipts_per_second"],
        p50_ms=report["latency_p50_ms"],
        p99_ms=report["latency_p99_ms"],
        max_ms=report["latency_max_ms"],
        broken=report["retried"],
        timeouts=0,
    )
