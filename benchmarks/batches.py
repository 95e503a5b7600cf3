"""Ingest of NDJSON batches of 1,000 receipts, compared with one receipt per request."""

from __future__ import annotations

from functools import partial

from benchmarks.contenders import run_ingest
from benchmarks.harness import BATCH, BATCH_CONNECTIONS, Plan, interleaved, median_rate, median_ratio
from benchmarks.result import Figure, Result

TITLE = "durable acknowledgement of batches of 1,000 receipts"
TARGET = 2.5


def run(plan: Plan) -> Result:
    loads = interleaved(
        plan,
        {
            "singles": partial(run_ingest, plan),
            "batches": partial(run_ingest, plan, batch=BATCH, connections=BATCH_CONNECTIONS),
        },
    )
    singles, batches = loads["singles"], loads["batches"]
    return Result(
        bench="batches",
        title=TITLE,
        figures=[
            Figure("ingest, one receipt per request", median_rate(singles), "/s"),
            Figure("ingest, 1,000 per request", median_rate(batches), "/s", note=f"{BATCH_CONNECTIONS} connections"),
            Figure("batches / single receipts", median_ratio(batches, singles), "times", ">=", TARGET),
        ],
        runs=dict(loads),
    )
