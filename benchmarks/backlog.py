"""Fill a log with receipts, and measure how fast the engine processes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from msgspec import Struct

from benchmarks.harness import BenchmarkError
from benchmarks.payload import Tills
from tillstream import composition
from tillstream.clock import SystemClock
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.engine.base import Step
from tillstream.log.base import Batch
from tillstream.receipt.validation import Validator
from tillstream.verification import rebuild

COMMIT = 256
"""Receipts per group commit. Ingest commits about as many under load from 256 connections."""


class Drain(Struct, frozen=True):
    """The result of processing a backlog. `cpu_s` is the CPU time of this process, including the client of the log."""

    receipts: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.receipts / self.seconds


def fill(data: Path, settings: Settings, count: int) -> None:
    """Append `count` receipts to the log, as ingest does."""
    tills, check, clock = Tills(), Validator(settings).check, SystemClock()
    log = composition.open_log(open_directory(data), settings, writer=True)
    try:
        for first in range(0, count, COMMIT):
            batch = Batch()
            for _ in range(min(COMMIT, count - first)):
                body = tills.receipt()
                batch.add(check(body, clock.now_us(), "json")[0], body)
            log.append(batch)
    finally:
        log.close()


def drain(data: Path, settings: Settings, count: int) -> Drain:
    """Process `count` receipts into a new database at full speed."""
    directory = open_directory(data)
    rebuild.discard(directory.database)
    stop, steps = Event(), list[Step]()

    def on_commit(step: Step) -> None:
        steps.append(step)
        if _receipts(steps) >= count:
            stop.set()

    with composition.open_read_side(directory, settings, SystemClock()) as reading:
        began, cpu_began = time.perf_counter(), time.process_time()
        reading.engine.run(stop, on_commit)
        done = Drain(_receipts(steps), time.perf_counter() - began, time.process_time() - cpu_began)
    if done.receipts != count:
        raise BenchmarkError(f"the engine found {done.receipts} receipts in a log of {count}")
    return done


def _receipts(steps: Sequence[Step]) -> int:
    return sum(step.receipts for step in steps)
