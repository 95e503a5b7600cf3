"""The inbox: a folder whose files are imported once they are complete, and then moved away with a report."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import structlog

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError, SettingsError
from tillstream.formats import registry
from tillstream.importing.checkpoint import Checkpoint, prune
from tillstream.importing.importer import Importer, failed_outcome
from tillstream.importing.report import Outcome, replacing, write
from tillstream.importing.source_file import REPORT_SUFFIX, UnknownFormat, is_ignored, printable
from tillstream.importing.uploader import Destination, Uploader, with_time_zones

STABLE_US = 2_000_000
"""Time without a change after which a file is complete."""

SCAN_INTERVAL_S = 1.0
RETRY_US = 10_000_000
"""Pause before a file that could not be imported or moved is tried again."""

DONE, FAILED, STATE = "done", "failed", ".tillstream"

logger = structlog.get_logger()


class Fingerprint(NamedTuple):
    """Changes when a file is written, or replaced by another one."""

    inode: int
    size: int
    mtime_ns: int

    def matches(self, moved: Fingerprint | None) -> bool:
        """Whether this is the file after its move, for which some network drives give another inode."""
        return moved is None or (moved.size, moved.mtime_ns) == (self.size, self.mtime_ns)


class Folder:
    """The files of an inbox. What earlier scans found is held in memory only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._scanned: dict[str, tuple[Fingerprint, int]] = {}

    @property
    def state(self) -> Path:
        """The directory of the checkpoints."""
        return self.path / STATE

    def prepare(self) -> None:
        """Create missing folders. Raises `OSError`."""
        for path in (self.path, self.path / DONE, self.path / FAILED):
            path.mkdir(exist_ok=True)

    def complete_files(self, now_us: int) -> list[Path]:
        """Scan the folder. Returns the files that were stable for `STABLE_US`, oldest first. Raises `OSError`."""
        before, self._scanned = self._scanned, {}
        complete: list[tuple[int, str]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if is_ignored(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                current = fingerprint(Path(entry.path))
                if current is None:
                    continue
                previous, since_us = before.get(entry.name, (current, now_us))
                if previous != current or since_us > now_us:
                    since_us = now_us
                self._scanned[entry.name] = current, since_us
                if now_us - since_us >= STABLE_US:
                    complete.append((current.mtime_ns, entry.name))
        return [self.path / name for _, name in sorted(complete)]

    def restart_wait(self, path: Path) -> None:
        """Wait again until the file is stable."""
        self._scanned.pop(path.name, None)

    def free_target(self, name: str, *, failed: bool) -> str:
        """A free path in the inbox for a file of that name, such as `done/monday (2).json`."""
        folder = FAILED if failed else DONE
        return f"{folder}/{self._free_name(folder, printable(name))}"

    def restore(self, target: str, name: str) -> None:
        """Move a file back into the inbox, and delete its report."""
        folder, _, moved = target.partition("/")
        (self.path / target).rename(self.path / self._free_name(".", name))
        self.report(folder, moved).unlink()

    def exists(self, target: str) -> bool:
        return os.path.lexists(self.path / target)

    def report(self, folder: str, name: str) -> Path:
        """The path of the report on a file."""
        return self.path / folder / f"{name}{REPORT_SUFFIX}"

    def _free_name(self, folder: str, name: str) -> str:
        stem, suffix = _split(name)
        number, candidate = 1, name
        while any(os.path.lexists(path) for path in (self.path / folder / candidate, self.report(folder, candidate))):
            number += 1
            candidate = f"{stem} ({number}){suffix}"
        return candidate


def inbox_folder(settings: Settings) -> Folder:
    """The folder of the setting `inbox`, which need not exist yet. Raises `SettingsError` if it cannot be an inbox."""
    path = Path(settings.inbox)
    because = ""
    if path.exists() and not path.is_dir():
        because = "it is a file"
    elif path.resolve() == settings.data_path.resolve():
        because = "it is the data directory"
    if because:
        raise SettingsError("use the setting", f"inbox ({path})", because, "name a folder of its own")
    return Folder(path)


def fingerprint(path: Path) -> Fingerprint | None:
    """The current fingerprint of a file; None if the file is gone."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Fingerprint(status.st_ino, status.st_size, status.st_mtime_ns)


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix, such as `monday` and `.json.gz`."""
    path = Path(name)
    suffixes = "".join(path.suffixes[-2:]) if path.suffix.lower() in (".gz", ".zst") else path.suffix
    return name.removesuffix(suffixes), suffixes


class Inbox:
    """Imports the files of a folder until `stop` is set. The `importer` keeps its checkpoints in the folder.

    A file is moved after ingest has acknowledged all of it. Until then its checkpoint holds the progress, so that after
    a crash at any point no receipt is lost or counted twice.
    """

    def __init__(
        self, folder: Folder, importer: Importer, destination: Destination, clock: Clock, stop: asyncio.Event
    ) -> None:
        self._folder = folder
        self._importer = importer
        self._destination = destination
        self._clock = clock
        self._stop = stop
        # The last problem of each file, and the time at which the file is tried again.
        self._problems: dict[str, tuple[str, int]] = {}

    async def run(self) -> None:
        """Scan the folder every `SCAN_INTERVAL_S`. Polling also works on network drives."""
        prune(self._folder.state)
        while not self._stop.is_set():
            await self.scan()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), SCAN_INTERVAL_S)

    async def scan(self) -> None:
        """Import every complete file."""
        path = str(self._folder.path)
        try:
            self._folder.prepare()
            complete = self._folder.complete_files(self._clock.now_us())
        except OSError as error:
            self._report_problem(path, f"could not use the inbox {path}: {error.strerror or error}")
            return
        self._resolve_problem(path)
        for name in [*self._problems]:
            if fingerprint(self._folder.path / name) is None:
                del self._problems[name]
        for file in complete:
            if self._stop.is_set():
                return
            _, retry_us = self._problems.get(file.name, ("", 0))
            if retry_us <= self._clock.now_us():
                await self._try(file)

    async def _try(self, path: Path) -> None:
        # Each attempt has its own uploader, because an uploader keeps its first error.
        uploader = Uploader(self._destination, Random(), self._stop, give_up_s=None, notify=_log_waiting)
        try:
            await self._import(path, uploader)
        except OperationalError as error:
            self._report_problem(path.name, str(error))
        except OSError as error:
            self._report_problem(path.name, f"{path}: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001 - a format of another package may raise anything
            self._report_problem(path.name, f"{path}: {error!r}", traceback=True)
        else:
            self._resolve_problem(path.name)
        finally:
            uploader.close()

    async def _import(self, path: Path, uploader: Uploader) -> None:
        before = fingerprint(path)
        if before is None:
            return

        def on_outcome(outcome: Outcome, checkpoint: Checkpoint) -> None:
            if outcome.finished:
                self._move_away(path, before, outcome, checkpoint)

        try:
            await self._importer.import_file(path, uploader, lambda _checkpoint, _position: None, on_outcome)
        except UnknownFormat as error:
            self._move_away(path, before, failed_outcome(path, error), None)

    def _move_away(self, path: Path, before: Fingerprint, outcome: Outcome, checkpoint: Checkpoint | None) -> None:
        """Write the report, move the file, and remove the checkpoint. After a crash the next scan does the rest."""
        if fingerprint(path) != before:
            # The next import sends the changed file again. Receipts that it already had count once.
            logger.warning("inbox.file_changed", file=path.name)
            self._folder.restart_wait(path)
            return
        target = checkpoint.counts.target if checkpoint is not None else ""
        if not target or self._folder.exists(target):
            target = self._folder.free_target(path.name, failed=outcome.failed)
            if checkpoint is not None:
                checkpoint.counts.target = target
                checkpoint.save()
        folder, _, name = target.partition("/")
        outcome.file = name
        with replacing(self._folder.report(folder, name)) as file:
            write(file, outcome, checkpoint.refusals() if checkpoint is not None else ())
            file.write(b"\n")
        path.rename(self._folder.path / target)
        if checkpoint is not None:
            checkpoint.remove()
        if not before.matches(fingerprint(self._folder.path / target)):
            logger.warning("inbox.file_replaced", file=path.name)
            self._folder.restore(target, path.name)
            return
        _log_outcome(path.name, target, outcome)

    def _report_problem(self, name: str, reason: str, *, traceback: bool = False) -> None:
        """Log the problem of a file, unless it is the same as before. The file is tried again after `RETRY_US`."""
        if self._problems.get(name, ("", 0))[0] != reason:
            logger.warning("inbox.problem", reason=reason, retry_s=RETRY_US // 1_000_000, exc_info=traceback)
        self._problems[name] = reason, self._clock.now_us() + RETRY_US

    def _resolve_problem(self, name: str) -> None:
        if self._problems.pop(name, None) is not None:
            logger.info("inbox.problem_resolved", file=name)


async def serve(settings: Settings, destination: Destination, clock: Clock, stop: asyncio.Event) -> None:
    """Run the inbox of the settings until `stop` is set. Raises `SettingsError` and `FormatError`."""
    folder = inbox_folder(settings)
    settings = with_time_zones(settings, clock)
    importer = Importer(
        settings=settings,
        formats=registry.load(settings),
        clock=clock,
        state=folder.state,
        log_id=destination.log_id,
        channel="inbox",
    )
    await Inbox(folder, importer, destination, clock, stop).run()


def _log_waiting(reason: str) -> None:
    if reason:
        logger.warning("inbox.waiting", reason=reason)
    else:
        logger.info("inbox.resumed")


def _log_outcome(name: str, target: str, outcome: Outcome) -> None:
    fields: dict[str, object] = {"receipts": outcome.receipts, "refused": outcome.refused}
    if outcome.skipped:
        fields["skipped"] = sum(outcome.skipped.values())
    if outcome.problem:
        fields["reason"] = outcome.problem
    if target.startswith(f"{DONE}/"):
        logger.info("inbox.file_imported", file=name, to=target, **fields)
    else:
        logger.warning("inbox.file_failed", file=name, to=target, **fields)
