"""One receipt a request on 256 connections: the floor, ingest, and two services on PostgreSQL."""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks.contenders import run_floor, run_ingest, run_service
from benchmarks.harness import CannotRun, Contender, Load, Plan, interleaved, median_rate, median_ratio
from benchmarks.postgresql import Cluster
from benchmarks.result import Figure, Result

TITLE = "one receipt a request, acknowledged durable"
FLOOR_TARGET, PLAIN_TARGET, FAIR_TARGET = 0.5, 15.0, 5.0


def run(plan: Plan) -> Result:
    result = Result(bench="single", title=TITLE)
    with plan.scratch() as directory:
        contenders: dict[str, Contender] = {
            "floor": partial(run_floor, plan),
            "own_floor": partial(run_floor, plan, "own"),
            "ingest": partial(run_ingest, plan),
        }
        try:
            cluster = Cluster(directory)
        except CannotRun as problem:
            result.problem = f"without the services: {problem}"
        else:
            result.runs["postgresql"] = cluster.version
            for name in ("asyncpg", "sqlalchemy"):
                contenders[name] = partial(run_service, plan, name, cluster)
        loads = interleaved(plan, contenders)
    floor, own_floor, ours = loads["floor"], loads["own_floor"], loads["ingest"]
    result.runs |= loads
    result.figures = [
        Figure("floor", median_rate(floor), "/s"),
        Figure("ingest", median_rate(ours), "/s", note=latency(ours)),
        Figure("ingest over the floor", median_ratio(ours, floor), "times", ">=", FLOOR_TARGET),
        Figure("ingest's own server, reading and answering", median_rate(own_floor), "/s"),
        Figure("ingest over it", median_ratio(ours, own_floor), "times"),
    ]
    if "sqlalchemy" in loads:
        plain, fair = loads["sqlalchemy"], loads["asyncpg"]
        result.figures += [
            Figure("FastAPI + SQLAlchemy + PostgreSQL", median_rate(plain), "/s", note=latency(plain)),
            Figure("ingest over it", median_ratio(ours, plain), "times", ">=", PLAIN_TARGET),
            Figure("FastAPI + asyncpg + PostgreSQL", median_rate(fair), "/s", note=latency(fair)),
            Figure("ingest over it", median_ratio(ours, fair), "times", ">=", FAIR_TARGET),
        ]
    return result


def latency(loads: list[Load]) -> str:
    """Medians of the runs' percentiles."""
    p50, p99 = (
        statistics.median(values) for values in ([load.p50_ms for load in loads], [load.p99_ms for load in loads])
    )
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
