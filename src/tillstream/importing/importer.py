"""Imports files: decodes each one, sends it to ingest, and resumes where an earlier import stopped."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
import uvloop
from msgspec import Struct

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.formats.base import Decoder, Record, Skip
from tillstream.formats.registry import Formats
from tillstream.importing.batches import Batch, batches, location
from tillstream.importing.checkpoint import Checkpoint, Refusal, prune
from tillstream.importing.report import Outcome, Report, replacing
from tillstream.importing.source_file import CannotRead, SourceFile, UnknownFormat, display_name, open_file
from tillstream.importing.uploader import BatchResult, Destination, Uploader
from tillstream.importing.worker_thread import Stopped, run_in_thread
from tillstream.receipt.amounts import minor_unit, round_amount
from tillstream.receipt.validation import ReceiptError, Validator

if TYPE_CHECKING:
    from tillstream.importing.console import ProgressDisplay, Summary

SAVE_US = 500_000
"""Interval of saving the checkpoint. A crash repeats the work of at most this time."""

DRAIN_US = 2_000_000
"""Longest wait for responses after the import was stopped."""

PROGRESS_ITEMS = 1_000
"""Number of items between two progress reports of a dry run."""

OnProgress = Callable[[Checkpoint, int], None]
"""Gets the checkpoint of the current file and the number of bytes read."""

OnOutcome = Callable[[Outcome, Checkpoint], None]
"""Gets the outcome of a file while its checkpoint with the refusals is open."""


class Transfer:
    """Sends one open file to ingest and records the acknowledged items in its checkpoint."""

    def __init__(
        self,
        file: SourceFile,
        checkpoint: Checkpoint,
        uploader: Uploader,
        settings: Settings,
        clock: Clock,
        channel: str,
    ) -> None:
        self._file = file
        self._checkpoint = checkpoint
        self._uploader = uploader
        self._clock = clock
        self._batches = batches(file, settings, clock, channel, checkpoint.counts.done)
        self._acknowledged: dict[int, tuple[Batch, BatchResult]] = {}
        self._saved_us = clock.now_us()

    async def run(self, on_progress: OnProgress) -> bool:
        """Send the file. Returns False if the uploader's `stop` ended the transfer early.

        Raises `CannotRead`, and the errors of the uploader and the checkpoint.
        """
        try:
            complete = await self._send(on_progress)
            stopped_us: int | None = None
            while not await self._uploader.drained():
                self._record(on_progress)
                if self._uploader.stop.is_set():
                    stopped_us = stopped_us or self._clock.now_us()
                    if self._uploader.waiting or self._clock.now_us() - stopped_us > DRAIN_US:
                        return False
            self._record(on_progress)
            return complete
        finally:
            self._checkpoint.save()

    async def _send(self, on_progress: OnProgress) -> bool:
        """Send all batches. Returns False if the transfer was stopped."""
        while not self._uploader.stop.is_set():
            batch = await self._next(on_progress)
            if batch is None:
                return not self._uploader.stop.is_set()
            if not batch.lines:
                self._acknowledged[batch.first] = batch, BatchResult(0)
            elif not await self._uploader.post(batch, self, lambda: self._record(on_progress)):
                return False
            self._record(on_progress)
        return False

    async def _next(self, on_progress: OnProgress) -> Batch | None:
        """The next batch; None at the end of the file or after a stop."""

        def on_tick() -> None:
            self._uploader.check()
            self._record(on_progress)

        try:
            return await run_in_thread(lambda: next(self._batches, None), self._uploader.stop, on_tick)
        except Stopped:
            return None
        except OSError as error:
            hint = "fix that, and import it again: it continues where it stopped"
            raise CannotRead("read", self._file.name, error.strerror or error, hint) from error

    def _record(self, on_progress: OnProgress) -> None:
        """Add acknowledged batches to the checkpoint, in order and without gaps."""
        for batch, result in self._uploader.collect(self):
            self._acknowledged[batch.first] = batch, result
        done = self._checkpoint.counts.done
        for first in sorted(self._acknowledged):
            batch, result = self._acknowledged[first]
            if batch.end <= done:
                del self._acknowledged[first]
            elif first == done:
                del self._acknowledged[first]
                self._add(batch, result)
                done = batch.end
        now_us = self._clock.now_us()
        if not 0 <= now_us - self._saved_us < SAVE_US:
            self._saved_us = now_us
            self._checkpoint.save()
        on_progress(self._checkpoint, self._file.position)

    def _add(self, batch: Batch, result: BatchResult) -> None:
        refusals = dict(batch.refusals)
        for rejected in result.rejected:
            index = batch.indexes[rejected.index]
            refusals.setdefault(index, Refusal(index, location(index), rejected.errors))
        in_order = [refusals[index] for index in sorted(refusals)]
        receipts = len(batch.lines) - len(in_order)
        self._checkpoint.add(batch.end, receipts, len(in_order), Counter(batch.skipped), in_order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Imports files into one ingest.

    `state` is the directory of the checkpoints, and `log_id` identifies the log of ingest. `channel` is the second part
    of the receipts' source. Without a `decoder` the format of each file is detected.
    """

    settings: Settings
    formats: Formats
    clock: Clock
    state: Path
    log_id: str
    channel: str
    decoder: Decoder | None = None
    restart: bool = False

    async def import_file(
        self, path: Path, uploader: Uploader, on_progress: OnProgress, on_outcome: OnOutcome
    ) -> Outcome:
        """Send the items that ingest has not acknowledged yet.

        Raises `CannotRead`, `UnknownFormat`, and the errors of the uploader and the checkpoint.
        """
        outcome = Outcome(file=display_name(path))
        try:
            opened = await run_in_thread(
                lambda: open_file(path, self.formats, self.decoder), uploader.stop, uploader.check
            )
        except Stopped:
            return outcome
        with closing(opened) as file, self._checkpoint(file) as checkpoint:
            if self.restart:
                checkpoint.reset()
            outcome.file, outcome.format = file.name, file.decoder.title
            outcome.already = checkpoint.counts.finished
            outcome.resumed_at = 0 if outcome.already else checkpoint.resumed_at
            try:
                if not outcome.already:
                    transfer = Transfer(file, checkpoint, uploader, self.settings, self.clock, self.channel)
                    checkpoint.counts.finished = await transfer.run(on_progress)
                    checkpoint.save()
            finally:
                outcome.update(checkpoint.counts)
            on_outcome(outcome, checkpoint)
        return outcome

    def _checkpoint(self, file: SourceFile) -> AbstractContextManager[Checkpoint]:
        if not file.identity:
            # The content of a pipe cannot be read a second time.
            return _temporary_checkpoint()
        return closing(Checkpoint(self.state, f"{self.log_id}\n{file.decoder.title}\n{file.identity}"))


@contextmanager
def _temporary_checkpoint() -> Iterator[Checkpoint]:
    with (
        tempfile.TemporaryDirectory(prefix="tillstream-") as directory,
        closing(Checkpoint(Path(directory), "")) as checkpoint,
    ):
        yield checkpoint


class _DocumentTotal(Struct):
    grossTotal: msgspec.Raw  # noqa: N815 - the name in the canonical receipt


class _Receipt(Struct):
    documentTotal: _DocumentTotal  # noqa: N815 - the name in the canonical receipt


class DryRun:
    """Decodes and validates files like ingest, and sends nothing."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._validator = Validator(settings)
        self._decode = msgspec.json.Decoder(_Receipt).decode
        self._unit = minor_unit(settings.currency)

    @contextmanager
    def run(self, file: SourceFile, on_progress: OnProgress) -> Iterator[tuple[Outcome, Checkpoint]]:
        """The outcome with the sum of the gross totals, and a checkpoint with the refusals. Raises `CannotRead`."""
        outcome = Outcome(file=file.name, format=file.decoder.title)
        with _temporary_checkpoint() as checkpoint:
            try:
                total = self._validate(file, checkpoint, on_progress)
            except OSError as error:
                raise CannotRead("read", file.name, error.strerror or error, "fix that, and try again") from error
            checkpoint.counts.finished = True
            outcome.update(checkpoint.counts)
            outcome.total = f"{total} {self._settings.currency}"
            yield outcome, checkpoint

    def _validate(self, file: SourceFile, checkpoint: Checkpoint, on_progress: OnProgress) -> Decimal:
        total = 0 * self._unit
        source = f"{file.decoder.name}/import"
        for index, item in enumerate(file.items()):
            if index % PROGRESS_ITEMS == 0:
                on_progress(checkpoint, file.position)
            if isinstance(item, Skip):
                checkpoint.add(index + 1, 0, 0, {item.kind: 1}, ())
                continue
            try:
                if not isinstance(item, Record):
                    raise ReceiptError(item.faults, parseable=False)
                self._validator.check(item.body, self._clock.now_us(), source, item.day)
                total += self._gross_total(item.body)
                checkpoint.add(index + 1, 1, 0, {}, ())
            except ReceiptError as error:
                where = "" if isinstance(item, Record) else item.where
                refusal = Refusal(index, where or location(index), [fault.as_dict() for fault in error.faults])
                checkpoint.add(index + 1, 0, 1, {}, [refusal])
        return total

    def _gross_total(self, body: bytes) -> Decimal:
        """The gross total, rounded like in the engine."""
        text = bytes(self._decode(body).documentTotal.grossTotal)
        try:
            amount = Decimal(text.decode())
        except InvalidOperation:
            amount = Decimal(msgspec.json.decode(text, type=str).strip())
        return round_amount(amount, self._unit)


@dataclass(frozen=True, slots=True)
class ImportRun:
    """An import of several files. Without a `destination` it is a dry run."""

    paths: Sequence[Path]
    importer: Importer
    destination: Destination | None
    give_up_s: float
    report: Path | None

    def run(self, display: ProgressDisplay, summary: Summary) -> bool:
        """Import every file. Returns False if SIGINT or SIGTERM interrupted the run.

        A file that is unreadable or of an unknown format is a problem in the summary. Raises `OperationalError` if the
        run cannot continue; the summary and the report then have the files before.
        """
        with ExitStack() as stack:
            report = Report(stack.enter_context(replacing(self.report))) if self.report is not None else None

            def add(outcome: Outcome, checkpoint: Checkpoint | None = None) -> None:
                for each in (summary, report):
                    if each is not None:
                        each.add(outcome, checkpoint.refusals() if checkpoint is not None else ())

            complete, problem = False, None
            try:
                if self.destination is None:
                    complete = self._dry_run(display, add)
                else:
                    complete = uvloop.run(self._send(self.destination, display, add))
            except OperationalError as error:
                problem = error
            if report is not None:
                report.end(interrupted=not complete)
        if problem is not None:
            raise problem
        return complete

    def _dry_run(self, display: ProgressDisplay, add: Callable[..., None]) -> bool:
        importer = self.importer
        dry_run = DryRun(importer.settings, importer.clock)
        try:
            for path in self.paths:
                display.begin(path)
                try:
                    with (
                        closing(open_file(path, importer.formats, importer.decoder)) as file,
                        dry_run.run(file, display.show) as (outcome, checkpoint),
                    ):
                        add(outcome, checkpoint)
                except (CannotRead, UnknownFormat) as error:
                    add(failed_outcome(path, error))
        except KeyboardInterrupt:
            return False
        return True

    async def _send(self, destination: Destination, display: ProgressDisplay, add: Callable[..., None]) -> bool:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        prune(self.importer.state)
        uploader = Uploader(destination, Random(), stop, give_up_s=self.give_up_s, notify=display.notify)
        try:
            for path in self.paths:
                if stop.is_set():
                    return False
                display.begin(path)
                try:
                    outcome = await self.importer.import_file(path, uploader, display.show, add)
                except (CannotRead, UnknownFormat) as error:
                    add(failed_outcome(path, error))
                else:
                    if not outcome.finished:
                        return False
        finally:
            await uploader.close()
        return True


def failed_outcome(path: Path, error: OperationalError) -> Outcome:
    """The outcome of a file that cannot be imported."""
    return Outcome(
        file=display_name(path), problem=f"{error.because}; {error.hint}" if error.hint else f"{error.because}"
    )
