"""The log on RabbitMQ beside the log in SQLite: ingest, two ingests, the engine on a backlog, and how soon all is seen."""

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
from benchmarks.contenders import accepted, counted, ingest, up
from benchmarks.harness import CONNECTIONS, CannotRun, Load, Plan, interleaved, median_rate, median_ratio, percentile
from benchmarks.result import Figure, Result
from benchmarks.single import latency
from tests.support.rabbitmq import Node, missing
from tillstream.config.settings import Settings

TITLE = "the log on RabbitMQ beside SQLite"
INGEST_TARGET, ENGINE_TARGET, DELAY_TARGET_MS = 0.3, 0.2, 1_000.0
EMBEDDED, ONE_READER = "SQLite", "RabbitMQ, one reader"
BACKLOG, QUICK_BACKLOG = 300_000, 60_000


class Cost(NamedTuple):
    """Microseconds of processor time a receipt."""

    ingest: float
    broker: float


def run(plan: Plan) -> Result:
    if reason := missing():
        raise CannotRun(reason)
    result = Result(bench="rabbitmq", title=TITLE)
    with plan.scratch() as directory:
        node = Node(directory / "node")
        node.start()
        try:
            result.runs["rabbitmq"] = node.control("version").strip()
            _many_doors(plan, node, result)
            _one_road(plan, node, result)
            _seen(plan, node, result)
        finally:
            node.discard()
    return result


@contextmanager
def _broker(node: Node) -> Iterator[dict[str, str]]:
    """Settings of a log that stands in a virtual host of its own, which goes with the block."""
    vhost = node.fresh_vhost()
    try:
        yield {"log": "rabbitmq", "rabbitmq_url": node.url(vhost)}
    finally:
        node.control("delete_vhost", vhost)


def _many_doors(plan: Plan, node: Node, result: Result) -> None:
    costs: dict[str, list[Cost]] = {"sqlite": [], "one": [], "two": []}

    def over_sqlite() -> Load:
        return _take(plan, node, {}, 1, costs["sqlite"])

    def over_rabbitmq(name: str, processes: int) -> Load:
        with _broker(node) as settings:
            return _take(plan, node, settings, processes, costs[name])

    loads = interleaved(
        plan,
        {"sqlite": over_sqlite, "one": partial(over_rabbitmq, "one", 1), "two": partial(over_rabbitmq, "two", 2)},
    )
    sqlite, one, two = loads["sqlite"], loads["one"], loads["two"]
    notes = {name: f"{latency(loads[name])}; {_shares(found)}" for name, found in costs.items()}
    result.runs |= {"ingest": loads, "ingest_cost": costs}
    result.figures += [
        Figure("ingest over SQLite", median_rate(sqlite), "/s", note=notes["sqlite"]),
        Figure("ingest over RabbitMQ", median_rate(one), "/s", note=notes["one"]),
        Figure("ingest: RabbitMQ over SQLite", median_ratio(one, sqlite), "times", ">=", INGEST_TARGET),
        Figure("two ingests over RabbitMQ", median_rate(two), "/s", note=notes["two"]),
        Figure("two ingests over one", median_ratio(two, one), "times"),
    ]


def _take(plan: Plan, node: Node, settings: dict[str, str], processes: int, costs: list[Cost]) -> Load:
    """What so many processes of ingest take at a time, each its share of the connections; adds what it cost."""
    with ExitStack() as stack, ThreadPoolExecutor(processes) as pool:
        urls = [stack.enter_context(ingest(stack.enter_context(plan.scratch()), **settings)) for _ in range(processes)]
        parts = [part for part in psutil.Process().children() if "ingest" in part.cmdline()]
        before, broker_before = _cpu_s(parts), node.cpu_s()
        loads = list(pool.map(lambda url: counted(plan, url, connections=CONNECTIONS // processes), urls))
        microseconds = 1e6 / sum(accepted(url) for url in urls)
        broker_us = (node.cpu_s() - broker_before) * microseconds if settings else 0.0
        costs.append(Cost((_cpu_s(parts) - before) * microseconds, broker_us))
    return Load(
        receipts=sum(each.receipts for each in loads),
        seconds=max(each.seconds for each in loads),
        rate=sum(each.rate for each in loads),
        p50_ms=max(each.p50_ms for each in loads),
        p99_ms=max(each.p99_ms for each in loads),
        max_ms=max(each.max_ms for each in loads),
        broken=sum(each.broken for each in loads),
        timeouts=sum(each.timeouts for each in loads),
    )


def _cpu_s(parts: Sequence[psutil.Process]) -> float:
    return sum(sum(part.cpu_times()[:2]) for part in parts)


def _shares(costs: Sequence[Cost]) -> str:
    ours, brokers = (statistics.median(values) for values in zip(*costs, strict=True))
    return f"{ours:.0f} µs of CPU a receipt" + (f", the broker's {brokers:.0f}" if brokers else "")


def _one_road(plan: Plan, node: Node, result: Result) -> None:
    count = QUICK_BACKLOG if plan.quick else BACKLOG
    with plan.scratch() as directory, _broker(node) as settings:
        embedded = Settings()
        one = msgspec.structs.replace(embedded, **settings)
        many = msgspec.structs.replace(one, rabbitmq_readers=one.rabbitmq_partitions)
        backlogs = {
            EMBEDDED: (directory / "sqlite", embedded),
            ONE_READER: (directory / "rabbitmq", one),
            f"RabbitMQ, {many.rabbitmq_readers} readers": (directory / "rabbitmq", many),
        }
        for name in (EMBEDDED, ONE_READER):
            fill(*backlogs[name], count)
        drains: dict[str, list[Drain]] = {name: [] for name in backlogs}
        for number in range(1, plan.rounds + 1):
            for name, (data, each) in backlogs.items():
                done = drain(data, each, count)
                drains[name].append(done)
                plan.say(
                    f"  round {number}: engine on a backlog in {name}: {done.rate:,.0f} receipts/s, {_cost([done])}"
                )
    result.runs["backlog"] = drains
    for name, found in drains.items():
        rate = statistics.median(each.rate for each in found)
        result.figures.append(Figure(f"engine on a backlog in {name}", rate, "/s", note=_cost(found)))
        if name != EMBEDDED:
            pairs = zip(found, drains[EMBEDDED], strict=True)
            ratio = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
            wanted = (">=", ENGINE_TARGET) if name == ONE_READER else (None, None)
            result.figures.append(Figure("that over SQLite", ratio, "times", *wanted))


def _cost(drains: Sequence[Drain]) -> str:
    cost_us = statistics.median(each.cpu_s / each.receipts for each in drains) * 1e6
    return f"{cost_us:.0f} µs of CPU a receipt"


def _seen(plan: Plan, node: Node, result: Result) -> None:
    with plan.scratch() as directory, _broker(node) as settings, up(directory, **settings) as system:
        asyncio.run(sell(system.ingest, gentle.RATE, gentle.SETTLE_S, seed=1))
        before = gentle.buckets(system)
        outside = asyncio.run(gentle.watched(system, plan.long_s))
        own_ms = gentle.percentile_ms(gentle.buckets(system) - before)
    p50, p99 = percentile(outside, 50), percentile(outside, 99)
    note = f"{gentle.RATE:g} receipts/s, p50 {p50:.0f} ms"
    result.runs["outside_ms"] = {str(p): percentile(outside, p) for p in (50, 90, 99, 100)}
    result.figures += [
        Figure("sent to visible p99, from outside", p99, "ms", "<", DELAY_TARGET_MS, note),
        Figure("received to visible p99, own figure", own_ms, "ms", "<", DELAY_TARGET_MS, gentle.OWN_NOTE),
    ]
