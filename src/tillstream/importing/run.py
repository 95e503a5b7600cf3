"""An import from its files to its summary, file by file."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import uvloop

from tillstream.errors import OperationalError
from tillstream.importing import checkpoint as ledgers
from tillstream.importing.checkpoint import Checkpoint
from tillstream.importing.console import FAULTS_SHOWN, Running, Summary
from tillstream.importing.destination import Destination
from tillstream.importing.dry_run import DryRun
from tillstream.importing.outcome import Outcome, Report, replacing
from tillstream.importing.source_file import CannotRead, UnknownFormat, open_file, shown
from tillstream.importing.taking import Taker
from tillstream.importing.uploader import Uploader


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be imported and how. `to` is None for a dry run."""

    paths: Sequence[Path]
    taker: Taker
    to: Destination | None
    give_up_s: float
    report: Path | None

    def run(self, running: Running, summary: Summary) -> bool:
        """Take every file; False where SIGINT or SIGTERM ended it before.

        A file that cannot be read or is of no known format is told of in the summary, and the others are taken.
        Raises `OperationalError` where nothing more can be taken; the summary and the report have what became of
        the files before.
        """
        with ExitStack() as ending:
            report = Report(ending.enter_context(replacing(self.report))) if self.report is not None else None
            entries = _Entries(summary, report)
            whole, problem = False, None
            try:
                if self.to is None:
                    whole = self._try_out(running, entries)
                else:
                    whole = uvloop.run(self._send(self.to, running, entries))
            except OperationalError as error:
                problem = error
            if report is not None:
                report.end(interrupted=not whole)
        if problem is not None:
            raise problem
        return whole

    def _try_out(self, running: Running, entries: _Entries) -> bool:
        taker = self.taker
        trial = DryRun(taker.settings, taker.clock)
        try:
            for path in self.paths:
                running.begin(path)
                try:
                    with (
                        closing(open_file(path, taker.formats, taker.wanted)) as file,
                        trial.of(file, running.show) as (outcome, ledger),
                    ):
                        entries.enter(outcome, ledger)
                except (CannotRead, UnknownFormat) as error:
                    entries.enter(_untaken(path, error))
        except KeyboardInterrupt:
            return False
        return True

    async def _send(self, to: Destination, running: Running, entries: _Entries) -> bool:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        ledgers.prune(self.taker.state)
        courier = Uploader(to, Random(), stop, give_up_s=self.give_up_s, tell=running.tell)
        try:
            for path in self.paths:
                if stop.is_set():
                    return False
                running.begin(path)
                try:
                    outcome = await self.taker.take(path, courier, running.show, entries.enter)
                except (CannotRead, UnknownFormat) as error:
                    entries.enter(_untaken(path, error))
                else:
                    if not outcome.finished:
                        return False
        finally:
            await courier.close()
        return True


class _Entries:
    """Enters each outcome where it belongs."""

    def __init__(self, summary: Summary, report: Report | None) -> None:
        self._summary = summary
        self._report = report

    def enter(self, outcome: Outcome, ledger: Checkpoint | None = None) -> None:
        refusals = ledgers.first(ledger.refusals(), FAULTS_SHOWN) if ledger is not None else ()
        self._summary.add(outcome, refusals)
        if self._report is not None:
            self._report.add(outcome, ledger.refusals() if ledger is not None else ())


def _untaken(path: Path, error: OperationalError) -> Outcome:
    return Outcome(file=shown(path), problem=f"{error.because}; {error.hint}" if error.hint else error.because)
