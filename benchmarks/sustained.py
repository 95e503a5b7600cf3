"""One minute of full load on ingest and engine. Afterwards the database must show every acknowledged receipt once."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path

import httpx
from msgspec import Struct

from benchmarks import recount
from benchmarks.contenders import Up, run_floor, up
from benchmarks.harness import Load, Plan, wait_until, wrk
from benchmarks.payload import today
from benchmarks.result import Figure, Result
from tests.support.ingest import accepted_receipts

TITLE = "ingest and engine together for one minute"
RATE_TARGET, LAG_TARGET_S = 0.35, 2.0
STRETCH_TARGET = 0.5
SAMPLE_S = 5.0
CATCH_UP_S = 600.0


class Run(Struct, frozen=True):
    """The result of one minute. `lag_s` is the time that the engine needs to catch up afterwards."""

    load: Load
    lag_s: float
    max_lag: int
    acknowledged: int
    stored: int
    stored_revenue: str
    recounted: int
    recounted_revenue: str

    @property
    def exact(self) -> bool:
        """Whether the receipts and the revenue of the database equal those of ingest and of the recount."""
        same = self.acknowledged == self.stored == self.recounted
        return same and Decimal(self.stored_revenue) == Decimal(self.recounted_revenue)


def run(plan: Plan) -> Result:
    floors, runs = [], []
    for number in range(1, plan.rounds + 1):
        floors.append(run_floor(plan))
        with plan.scratch() as directory:
            runs.append(_minute(plan, directory))
        last = runs[-1]
        plan.log(
            f"  round {number}: floor {floors[-1].rate:,.0f}, sustained {last.load.rate:,.0f} receipts/s, lag at the "
            f"end {last.lag_s:.2f} s, maximum lag {last.max_lag:,} records, {'exact' if last.exact else 'NOT EXACT'}"
        )
    lags = [each.lag_s for each in runs]
    ratio = statistics.median(each.load.rate / floor.rate for each, floor in zip(runs, floors, strict=True))
    return Result(
        bench="sustained",
        title=TITLE,
        figures=[
            Figure("floor", statistics.median(floor.rate for floor in floors), "/s"),
            Figure(f"ingest for {plan.long_run_s} s", statistics.median(each.load.rate for each in runs), "/s"),
            Figure("ingest / floor", ratio, "times", ">=", RATE_TARGET, f"stretch target {STRETCH_TARGET}"),
            Figure("lag at the end", statistics.median(lags), "s", "<", LAG_TARGET_S, f"maximum {max(lags):.2f} s"),
            Figure("acknowledged receipts", sum(each.acknowledged for each in runs)),
            Figure("runs with equal receipts and revenue", sum(each.exact for each in runs), "", "==", len(runs)),
        ],
        runs={"floor": floors, "sustained": runs},
    )


def _minute(plan: Plan, directory: Path) -> Run:
    days = {str(today())}
    with up(directory) as system:
        wrk(system.ingest, plan.warm_up_s)
        with _lag_samples(system) as lags:
            load = wrk(system.ingest, plan.long_run_s)
        ended = time.monotonic()
        wait_until(lambda: system.lag() == 0, "the engine has caught up", CATCH_UP_S)
        lag_s = time.monotonic() - ended
        days.add(str(today()))
        acknowledged = accepted_receipts(system.ingest)
        stored, stored_revenue = system.sales(days)
    recounted, recounted_revenue = recount.receipts_and_revenue(directory / "data")
    return Run(
        load=load,
        lag_s=lag_s,
        max_lag=max(lags, default=0),
        acknowledged=acknowledged,
        stored=stored,
        stored_revenue=stored_revenue,
        recounted=recounted,
        recounted_revenue=str(recounted_revenue),
    )


@contextmanager
def _lag_samples(system: Up) -> Iterator[list[int]]:
    """Sample the lag of the engine in records. The interval is long, because a query takes CPU time of the engine."""
    lags: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            with suppress(httpx.HTTPError):
                lags.append(system.lag())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield lags
    finally:
        done.set()
        thread.join()
