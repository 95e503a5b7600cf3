"""The log on RabbitMQ compared with the log in SQLite: the rates of ingest and of the engine, and the delays."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import msgspec
import psutil

from benchmarks import gentle
from benchmarks.backlog import Drain, drain, fill
from benchmarks.client import sell
from benchmarks.contenders import ingest, load_ingest, up
from benchmarks.harness import (
    CONNECTIONS,
    BenchmarkError,
    Load,
    Plan,
    cpu_s,
    interleaved,
    median_rate,
    median_ratio,
    percentiles,
)
from benchmarks.result import Figure, Result
from benchmarks.single import latency
from tests.support.ingest import accepted_receipts
from tests.support.rabbitmq import Node, missing
from tillstream.config.settings import Settings

TITLE = "the log on RabbitMQ, compared with SQLite"
INGEST_TARGET, ENGINE_TARGET, DELAY_TARGET_MS = 0.3, 0.2, 1_000.0
SQLITE, ONE_READER = "SQLite", "RabbitMQ, one reader"
BACKLOG, QUICK_BACKLOG = 300_000, 60_000


class Cost(NamedTuple):
    """The CPU time per receipt in microseconds."""

    ingest: float
    broker: float


def run(plan: Plan) -> Result:
    if reason := missing():
        raise BenchmarkError(reason)
    result = Result(bench="rabbitmq", title=TITLE)
    with plan.scratch() as directory:
        node = Node(directory / "node")
        node.start()
        try:
            result.runs["rabbitmq"] = node.control("version").strip()
            _measure_ingest(plan, node, result)
            _measure_engine(plan, node, result)
            _measure_delays(plan, node, result)
        finally:
            node.discard()
    return result


@contextmanager
def _broker(node: Node) -> Iterator[dict[str, str]]:
    """Settings for a log in a new virtual host, which is deleted when the block ends."""
    vhost = node.fresh_vhost()
    try:
        yield {"log": "rabbitmq", "rabbitmq_url": node.url(vhost)}
    finally:
        node.control("delete_vhost", vhost)


def _measure_ingest(plan: Plan, node: Node, result: Result) -> None:
    costs: dict[str, list[Cost]] = {"sqlite": [], "one": [], "two": []}

    def with_sqlite() -> Load:
        return _run_ingests(plan, node, {}, 1, costs["sqlite"])

    def with_rabbitmq(name: str, processes: int) -> Load:
        with _broker(node) as settings:
            return _run_ingests(plan, node, settings, processes, costs[name])

    loads = interleaved(
        plan,
        {"sqlite": with_sqlite, "one": partial(with_rabbitmq, "one", 1), "two": partial(with_rabbitmq, "two", 2)},
    )
    sqlite, one, two = loads["sqlite"], loads["one"], loads["two"]
    notes = {name: f"{latency(loads[name])}; {_cpu_note(found)}" for name, found in costs.items()}
    result.runs |= {"ingest": loads, "ingest_cost": costs}
    result.figures += [
        Figure("ingest with SQLite", median_rate(sqlite), "/s", note=notes["sqlite"]),
        Figure("ingest with RabbitMQ", median_rate(one), "/s", note=notes["one"]),
        Figure("ingest: RabbitMQ / SQLite", median_ratio(one, sqlite), "times", ">=", INGEST_TARGET),
        Figure("two ingests with RabbitMQ", median_rate(two), "/s", note=notes["two"]),
        Figure("two ingests / one", median_ratio(two, one), "times"),
    ]


def _run_ingests(plan: Plan, node: Node, settings: dict[str, str], processes: int, costs: list[Cost]) -> Load:
    """Measure concurrent ingest processes, which share the connections equally, and add their cost to `costs`."""
    with ExitStack() as stack, ThreadPoolExecutor(processes) as pool:
        urls = [stack.enter_context(ingest(stack.enter_context(plan.scratch()), **settings)) for _ in range(processes)]
        parts = [part for part in psutil.Process().children() if "ingest" in part.cmdline()]
        before, broker_before = _cpu_s(parts), node.cpu_s()
        loads = list(pool.map(lambda url: load_ingest(plan, url, connections=CONNECTIONS // processes), urls))
        microseconds = 1e6 / sum(map(accepted_receipts, urls))
        broker_us = (node.cpu_s() - broker_before) * microseconds if settings else 0.0
        costs.append(Cost((_cpu_s(parts) - before) * microseconds, broker_us))
    return Load(
        receipts=sum(each.receipts for each in loads),
        seconds=max(each.seconds for each in loads),
        rate=sum(each.rate for each in loads),
        p50_ms=max(each.p50_ms for each in loads),
        p99_ms=max(each.p99_ms for each in loads),
        max_ms=max(each.max_ms for each in loads),
        errors=sum(each.errors for each in loads),
        timeouts=sum(each.timeouts for each in loads),
    )


def _cpu_s(parts: Sequence[psutil.Process]) -> float:
    return sum(map(cpu_s, parts))


def _cpu_note(costs: Sequence[Cost]) -> str:
    ingest_us, broker_us = (statistics.median(values) for values in zip(*costs, strict=True))
    return f"{ingest_us:.0f} µs of CPU per receipt" + (f" and {broker_us:.0f} µs in the broker" if broker_us else "")


def _measure_engine(plan: Plan, node: Node, result: Result) -> None:
    count = QUICK_BACKLOG if plan.quick else BACKLOG
    with plan.scratch() as directory, _broker(node) as settings:
        sqlite = Settings()
        one = msgspec.structs.replace(sqlite, **settings)
        many = msgspec.structs.replace(one, rabbitmq_readers=one.rabbitmq_partitions)
        backlogs = {
            SQLITE: (directory / "sqlite", sqlite),
            ONE_READER: (directory / "rabbitmq", one),
            f"RabbitMQ, {many.rabbitmq_readers} readers": (directory / "rabbitmq", many),
        }
        for name in (SQLITE, ONE_READER):
            fill(*backlogs[name], count)
        drains: dict[str, list[Drain]] = {name: [] for name in backlogs}
        for number in range(1, plan.rounds + 1):
            for name, (data, each) in backlogs.items():
                done = drain(data, each, count)
                drains[name].append(done)
                plan.log(
                    f"  round {number}: engine on a backlog in {name}: {done.rate:,.0f} receipts/s, {_cost([done])}"
                )
    result.runs["backlog"] = drains
    for name, found in drains.items():
        rate = statistics.median(each.rate for each in found)
        result.figures.append(Figure(f"engine on a backlog in {name}", rate, "/s", note=_cost(found)))
        if name != SQLITE:
            pairs = zip(found, drains[SQLITE], strict=True)
            ratio = statistics.median(rabbitmq.rate / sqlite.rate for rabbitmq, sqlite in pairs)
            target = (">=", ENGINE_TARGET) if name == ONE_READER else (None, None)
            result.figures.append(Figure(f"engine: {name} / SQLite", ratio, "times", *target))


def _cost(drains: Sequence[Drain]) -> str:
    cost_us = statistics.median(each.cpu_s / each.receipts for each in drains) * 1e6
    return f"{cost_us:.0f} µs of CPU per receipt"


def _measure_delays(plan: Plan, node: Node, result: Result) -> None:
    with plan.scratch() as directory, _broker(node) as settings, up(directory, **settings) as system:
        asyncio.run(sell(system.ingest, gentle.RATE, gentle.WARM_UP_S, seed=1))
        before = gentle.recorded_delays(system)
        measured_ms = asyncio.run(gentle.measure_delays_ms(system, plan.long_run_s))
        recorded_ms = gentle.percentile_ms(gentle.recorded_delays(system) - before)
    result.runs["measured_delay_ms"] = percentiles(measured_ms)
    result.figures += gentle.delay_figures(measured_ms, recorded_ms, DELAY_TARGET_MS)
