"""One receipt per request on 256 connections: the floors, ingest, and two services with PostgreSQL."""

from __future__ import annotations

import statistics
from functools import partial

from benchmarks.contenders import run_floor, run_ingest, run_service
from benchmarks.harness import BenchmarkError, Contender, Load, Plan, interleaved, median_rate, median_ratio
from benchmarks.postgresql import Cluster
from benchmarks.result import Figure, Result

TITLE = "durable acknowledgement of one receipt per request"
FLOOR_TARGET, SQLALCHEMY_TARGET, ASYNCPG_TARGET = 0.5, 15.0, 5.0


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
        except BenchmarkError as error:
            result.problem = f"the services cannot run: {error}"
        else:
            result.runs["postgresql"] = cluster.version
            for name in ("asyncpg", "sqlalchemy"):
                contenders[name] = partial(run_service, plan, name, cluster)
        loads = interleaved(plan, contenders)
    floor, own_floor, ingest = loads["floor"], loads["own_floor"], loads["ingest"]
    result.runs |= loads
    result.figures = [
        Figure("floor", median_rate(floor), "/s"),
        Figure("ingest", median_rate(ingest), "/s", note=latency(ingest)),
        Figure("ingest / floor", median_ratio(ingest, floor), "times", ">=", FLOOR_TARGET),
        Figure("own floor", median_rate(own_floor), "/s"),
        Figure("ingest / own floor", median_ratio(ingest, own_floor), "times"),
    ]
    if "sqlalchemy" in loads:
        sqlalchemy, asyncpg = loads["sqlalchemy"], loads["asyncpg"]
        result.figures += [
            Figure("FastAPI + SQLAlchemy + PostgreSQL", median_rate(sqlalchemy), "/s", note=latency(sqlalchemy)),
            Figure("ingest / SQLAlchemy", median_ratio(ingest, sqlalchemy), "times", ">=", SQLALCHEMY_TARGET),
            Figure("FastAPI + asyncpg + PostgreSQL", median_rate(asyncpg), "/s", note=latency(asyncpg)),
            Figure("ingest / asyncpg", median_ratio(ingest, asyncpg), "times", ">=", ASYNCPG_TARGET),
        ]
    return result


def latency(loads: list[Load]) -> str:
    """The medians of the p50 and p99 of all runs, as text."""
    p50, p99 = (
        statistics.median(values) for values in ([load.p50_ms for load in loads], [load.p99_ms for load in loads])
    )
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
