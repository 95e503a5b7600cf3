"""A minute at full speed with the engine folding beside ingest, then the books: all that was acknowledged counts."""

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
from benchmarks.contenders import Up, accepted, run_floor, up
from benchmarks.harness import Load, Plan, wait_until, wrk
from benchmarks.payload import today
from benchmarks.result import Figure, Result

TITLE = "ingest and engine together for a minute"
RATE_TARGET, LAG_TARGET_S = 0.35, 2.0
STRETCH = 0.5
SAMPLE_S = 5.0
CATCH_UP_S = 600.0


class Run(Struct, frozen=True):
    """One minute."""

    load: Load
    lag_s: float
    most_behind: int
    acknowledged: int
    stored: int
    stored_revenue: str
    recounted: int
    recounted_revenue: str

    @property
    def exact(self) -> bool:
        """Whether the database shows each acknowledged receipt once, to the cent."""
        same = self.acknowledged == self.stored == self.recounted
        return same and Decimal(self.stored_revenue) == Decimal(self.recounted_revenue)


def run(plan: Plan) -> Result:
    floors, runs = [], []
    for number in range(1, plan.rounds + 1):
        floors.append(run_floor(plan))
        with plan.scratch() as directory:
            runs.append(_minute(plan, directory))
        last = runs[-1]
        plan.say(
            f"  round {number}: floor {floors[-1].rate:,.0f}, sustained {last.load.rate:,.0f} receipts/s, lag at the "
            f"end {last.lag_s:.2f} s, at most {last.most_behind:,} behind, books {'agree' if last.exact else 'DIFFER'}"
        )
    lags = [each.lag_s for each in runs]
    ratio = statistics.median(each.load.rate / floor.rate for each, floor in zip(runs, floors, strict=True))
    return Result(
        bench="sustained",
        title=TITLE,
        figures=[
            Figure("floor", statistics.median(floor.rate for floor in floors), "/s"),
            Figure(f"acknowledged for {plan.long_s} s", statistics.median(each.load.rate for each in runs), "/s"),
            Figure("over the floor", ratio, "times", ">=", RATE_TARGET, f"stretch {STRETCH}"),
            Figure(
                "lag at the end, median", statistics.median(lags), "s", "<", LAG_TARGET_S, f"worst {max(lags):.2f} s"
            ),
            Figure("receipts acknowledged", sum(each.acknowledged for each in runs)),
            Figure("runs whose receipts and revenue agree", sum(each.exact for each in runs), "", "==", len(runs)),
        ],
        runs={"floor": floors, "sustained": runs},
    )


def _minute(plan: Plan, directory: Path) -> Run:
    days = {str(today())}
    with up(directory) as system:
        wrk(system.ingest, plan.warm_up_s)
        with _watching(system) as behind:
            load = wrk(system.ingest, plan.long_s)
        ended = time.monotonic()
        wait_until(lambda: system.lag() == 0, "the engine has caught up", CATCH_UP_S)
        lag_s = time.monotonic() - ended
        days.add(str(today()))
        acknowledged = accepted(system.ingest)
        stored, stored_revenue = system.sales(days)
    recounted, recounted_revenue = recount.receipts_and_revenue(directory / "data")
    return Run(
        load=load,
        lag_s=lag_s,
        most_behind=max(behind, default=0),
        acknowledged=acknowledged,
        stored=stored,
        stored_revenue=stored_revenue,
        recounted=recounted,
        recounted_revenue=str(recounted_revenue),
    )


@contextmanager
def _watching(system: Up) -> Iterator[list[int]]:
    """How many records the engine is behind, now and then: asking costs the engine a little."""
    behind: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_S):
            with suppress(httpx.HTTPError):
                behind.append(system.lag())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield behind
    finally:
        done.set()
        thread.join()
