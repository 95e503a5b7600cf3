"""Imports files: decodes each file, sends its receipts to ingest, and resumes an import that was interrupted."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import msgspec
import uvloop
from msgspec import Struct

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.formats.base import Decoder, Record, Skip
from tillstream.formats.registry import Formats
from tillstream.importing.batches import Batch, batches
from tillstream.importing.checkpoint import Checkpoint, Refusal, prune
from tillstream.importing.report import Outcome, Report, replacing
from tillstream.importing.source_file import CannotRead, SourceFile, UnknownFormat, display_name, open_file
from tillstream.importing.uploader import TICK_S, Acknowledged, BatchResult, Destination, Uploader
from tillstream.receipt.amounts import minor_unit, round_amount
from tillstream.receipt.model import DocumentTotal
from tillstream.receipt.validation import ReceiptError, Validator

if TYPE_CHECKING:
    from tillstream.importing.console import ProgressDisplay, Summary

SAVE_US = 500_000
"""The interval between two saves of the checkpoint. A crash loses at most the progress since the last save."""

DRAIN_US = 2_000_000
"""The maximum time that a stopped import waits for responses."""

PROGRESS_ITEMS = 1_000
"""The number of items between two progress reports of a dry run."""

OnProgress = Callable[[Checkpoint, int], None]
"""A callback that gets the checkpoint (stored progress) of a file, and the number of bytes read from the file."""

OnOutcome = Callable[[Outcome, Checkpoint], None]
"""A callback that gets the outcome of a file, and the checkpoint of the file, which contains the refusals."""

T = TypeVar("T")


async def run_in_thread(work: Callable[[], T], stop: asyncio.Event, on_tick: Callable[[], None]) -> T | None:
    """Call `work` in a thread, and return its result. Meanwhile, `on_tick` is called every `TICK_S` seconds.

    Returns None if `stop` is set before `work` returns. The thread is then abandoned. It is a daemon thread, so
    that the process can exit even if a read from a pipe blocks forever.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller gets every error
            future.set_exception(error)

    result = asyncio.wrap_future(future)
    Thread(target=run, name="import", daemon=True).start()
    try:
        while True:
            await asyncio.wait({result}, timeout=TICK_S)
            on_tick()
            if result.done():
                return result.result()
            if stop.is_set():
                return None
    finally:
        result.cancel()


class Transfer:
    """Sends the batches of one file to ingest, and adds acknowledged batches to the checkpoint."""

    def __init__(
        self,
        file: SourceFile,
        checkpoint: Checkpoint,
        uploader: Uploader,
        batches: Iterator[Batch],
        clock: Clock,
        on_progress: OnProgress,
    ) -> None:
        self._file = file
        self._checkpoint = checkpoint
        self._uploader = uploader
        self._batches = batches
        self._clock = clock
        self._on_progress = on_progress
        self._acknowledged: Acknowledged = {}
        self._saved_us = clock.now_us()

    async def run(self) -> bool:
        """Send all batches and wait until they are acknowledged. Returns False if `stop` ended this early.

        Raises `CannotRead`, and the errors of the uploader and the checkpoint.
        """
        stop = self._uploader.stop
        stopped_us: int | None = None
        try:
            complete = await self._send()
            while not await self._uploader.drained():
                self._update()
                if stop.is_set():
                    stopped_us = stopped_us or self._clock.now_us()
                    if self._uploader.waiting or self._clock.now_us() - stopped_us > DRAIN_US:
                        return False
            self._update()
            return complete
        finally:
            self._checkpoint.save()

    async def _send(self) -> bool:
        """Send all batches. Returns False if `stop` ended this early."""
        uploader = self._uploader
        while not uploader.stop.is_set():
            try:
                batch = await run_in_thread(lambda: next(self._batches, None), uploader.stop, self._update)
            except OSError as error:
                hint = "solve the problem and import it again; the import continues where it stopped"
                raise CannotRead("read", self._file.name, error.strerror or error, hint) from error
            if batch is None:
                break
            if not batch.lines:
                self._acknowledged[batch.first] = batch, BatchResult()
            elif not await uploader.post(batch, self._acknowledged, self._update):
                break
            self._update()
        return not uploader.stop.is_set()

    def _update(self) -> None:
        """Add acknowledged batches to the checkpoint. A batch waits until all batches before it are acknowledged.

        Also saves the checkpoint every `SAVE_US`, and reports the progress. Raises the errors of the uploader and the
        checkpoint.
        """
        while (found := self._acknowledged.pop(self._checkpoint.counts.done, None)) is not None:
            batch, result = found
            refusals = dict(batch.refusals)
            for rejected in result.rejected:
                index = batch.indexes[rejected.index]
                refusals.setdefault(index, Refusal.of(index, rejected.errors))
            in_order = [refusals[index] for index in sorted(refusals)]
            receipts = len(batch.lines) - len(in_order)
            self._checkpoint.add(batch.end, receipts=receipts, skipped=batch.skipped, refusals=in_order)
        now_us = self._clock.now_us()
        if not 0 <= now_us - self._saved_us < SAVE_US:
            self._saved_us = now_us
            self._checkpoint.save()
        self._on_progress(self._checkpoint, self._file.position)
        self._uploader.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Imports files into one ingest server.

    `state` is the directory of the checkpoints. `log_id` comes from the `Destination`. `channel` is `import` or
    `inbox`. Without a `decoder`, the format of each file is detected. With `restart`, each file is sent again from
    its beginning.
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
        """Send all items of a file, except those that ingest has acknowledged in an earlier import.

        Raises `CannotRead`, `UnknownFormat`, and the errors of the uploader and the checkpoint.
        """
        outcome = Outcome(file=display_name(path))
        opened = await run_in_thread(lambda: open_file(path, self.formats, self.decoder), uploader.stop, uploader.check)
        if opened is None:
            return outcome
        with closing(opened) as file, self._checkpoint(file) as checkpoint:
            if self.restart:
                checkpoint.reset()
            counts = checkpoint.counts
            outcome.file, outcome.format = file.name, file.decoder.title
            outcome.already = counts.finished
            outcome.resumed_at = 0 if outcome.already else counts.done
            try:
                if not outcome.already:
                    found = batches(file, self.settings, self.clock, self.channel, counts.done)
                    transfer = Transfer(file, checkpoint, uploader, found, self.clock, on_progress)
                    counts.finished = await transfer.run()
                    checkpoint.save()
            finally:
                outcome.update(counts)
            on_outcome(outcome, checkpoint)
        return outcome

    def _checkpoint(self, file: SourceFile) -> AbstractContextManager[Checkpoint]:
        if not file.identity:
            # A pipe cannot be read again, so the checkpoint is deleted at the end.
            return _temporary_checkpoint()
        return closing(Checkpoint(self.state, f"{self.log_id}\n{file.decoder.title}\n{file.identity}"))


@contextmanager
def _temporary_checkpoint() -> Iterator[Checkpoint]:
    with (
        tempfile.TemporaryDirectory(prefix="tillstream-") as directory,
        closing(Checkpoint(Path(directory), "")) as checkpoint,
    ):
        yield checkpoint


class _Receipt(Struct):
    documentTotal: DocumentTotal  # noqa: N815 - the name in the canonical receipt


_decode_total = msgspec.json.Decoder(_Receipt).decode


def dry_run(
    file: SourceFile, checkpoint: Checkpoint, settings: Settings, clock: Clock, on_progress: OnProgress
) -> Outcome:
    """Decode and validate a file as ingest would, but send nothing.

    Adds the refusals to the checkpoint. The outcome contains the sum of the gross totals. Raises `CannotRead`.
    """
    outcome = Outcome(file=file.name, format=file.decoder.title)
    validator, unit = Validator(settings), minor_unit(settings.currency)
    total = 0 * unit
    try:
        for index, item in enumerate(file.items()):
            if index % PROGRESS_ITEMS == 0:
                on_progress(checkpoint, file.position)
            if isinstance(item, Skip):
                checkpoint.add(index + 1, skipped={item.kind: 1})
                continue
            where = ""
            try:
                if not isinstance(item, Record):
                    where = item.where
                    raise ReceiptError(item.faults, parseable=False)
                validator.check(item.body, clock.now_us(), f"{file.decoder.name}/import", item.day)
                total += round_amount(_decode_total(item.body).documentTotal.grossTotal, unit)
                checkpoint.add(index + 1, receipts=1)
            except ReceiptError as error:
                checkpoint.add(index + 1, refusals=[Refusal.of(index, error.faults, where)])
    except OSError as error:
        raise CannotRead("read", file.name, error.strerror or error, "solve the problem and try again") from error
    checkpoint.counts.finished = True
    outcome.update(checkpoint.counts)
    outcome.total = f"{total} {settings.currency}"
    return outcome


@dataclass(frozen=True, slots=True)
class ImportRun:
    """An import of several files. Without a `destination` it is a dry run."""

    paths: Sequence[Path]
    importer: Importer
    destination: Destination | None
    give_up_s: float
    report: Path | None

    def run(self, display: ProgressDisplay, summary: Summary) -> bool:
        """Import all files. Returns False if SIGINT or SIGTERM interrupted the run.

        If a file is unreadable or has an unknown format, the summary shows this and the run continues. Raises
        `OperationalError` if the run cannot continue. Then, the summary and the report contain only the earlier files.
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
        try:
            for path in self.paths:
                display.begin(path)
                try:
                    with (
                        closing(open_file(path, importer.formats, importer.decoder)) as file,
                        _temporary_checkpoint() as checkpoint,
                    ):
                        add(dry_run(file, checkpoint, importer.settings, importer.clock, display.show), checkpoint)
                except (CannotRead, UnknownFormat) as error:
                    add(failed_outcome(path, error))
        except KeyboardInterrupt:
            return False
        return True

    async def _send(self, destination: Destination, display: ProgressDisplay, add: Callable[..., None]) -> bool:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        prune(self.importer.state)
        uploader = Uploader(destination, Random(), stop, give_up_s=self.give_up_s, notify=display.notify)
        with closing(uploader):
            for path in self.paths:
                display.begin(path)
                try:
                    outcome = await self.importer.import_file(path, uploader, display.show, add)
                except (CannotRead, UnknownFormat) as error:
                    add(failed_outcome(path, error))
                else:
                    if not outcome.finished:
                        return False
        return True


def failed_outcome(path: Path, error: OperationalError) -> Outcome:
    """Return the outcome of a file that cannot be imported."""
    problem = f"{error.because}; {error.hint}" if error.hint else error.because
    return Outcome(file=display_name(path), problem=problem)
