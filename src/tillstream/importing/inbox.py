"""The inbox: imports each complete file in a folder, then moves the file to a subfolder and writes a report."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from itertools import chain, count
from logging import INFO, WARNING
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
"""The time without a change after which a file counts as complete."""

SCAN_INTERVAL_S = 1.0
RETRY_US = 10_000_000
"""The pause after a failed attempt to import a file."""

DONE, FAILED, STATE = "done", "failed", ".tillstream"

logger = structlog.get_logger()


class Fingerprint(NamedTuple):
    """Identifies the content of a file. It changes when the file is written, or replaced by another file."""

    inode: int
    size: int
    mtime_ns: int


def fingerprint(path: Path) -> Fingerprint | None:
    """Return the fingerprint of a file, or None if the file does not exist."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Fingerprint(status.st_ino, status.st_size, status.st_mtime_ns)


class Folder:
    """The folder of an inbox. A target is a path in this folder to which a file is moved: `done/monday.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / STATE
        """The directory of the checkpoints."""
        self._stable_since_us: dict[tuple[str, Fingerprint | None], int] = {}

    def prepare(self) -> None:
        """Create the folder and its subfolders if they do not exist. Raises `OSError`."""
        for path in (self.path, self.path / DONE, self.path / FAILED):
            path.mkdir(exist_ok=True)

    def complete_files(self, now_us: int) -> list[Path]:
        """Scan the folder. Returns the files that have not changed for `STABLE_US`, oldest first. Raises `OSError`."""
        before, self._stable_since_us = self._stable_since_us, {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if not is_ignored(entry.name) and entry.is_file(follow_symlinks=False):
                    file = entry.name, fingerprint(Path(entry.path))
                    # If the clock was set back, the stored time may be in the future. Then, the wait begins now.
                    self._stable_since_us[file] = min(now_us, before.get(file, now_us))
        complete = [
            (found.mtime_ns, name)
            for (name, found), since_us in self._stable_since_us.items()
            if found is not None and now_us - since_us >= STABLE_US
        ]
        return [self.path / name for _, name in sorted(complete)]

    def free_target(self, name: str, *, failed: bool) -> str:
        """Return an unused target for a file, for example `done/monday (2).json`."""
        return self._free(f"{FAILED if failed else DONE}/", printable(name))

    def restore(self, target: str, name: str) -> None:
        """Move a file back into the inbox, and delete its report."""
        (self.path / target).rename(self.path / self._free("", name))
        self.report(target).unlink()

    def exists(self, target: str) -> bool:
        return os.path.lexists(self.path / target)

    def report(self, target: str) -> Path:
        """Return the path of the report about the file that is moved to `target`."""
        return self.path / f"{target}{REPORT_SUFFIX}"

    def _free(self, prefix: str, name: str) -> str:
        """Return a target at which there is neither a file nor a report. Adds a number to the name if necessary."""
        path = Path(name)
        suffix = "".join(path.suffixes[-2:]) if path.suffix.lower() in (".gz", ".zst") else path.suffix
        stem = name.removesuffix(suffix)
        names = chain([name], (f"{stem} ({number}){suffix}" for number in count(2)))
        targets = (f"{prefix}{candidate}" for candidate in names)
        return next(target for target in targets if not self.exists(target) and not self.report(target).exists())


def inbox_folder(settings: Settings) -> Folder:
    """Return the folder in the setting `inbox`. Raises `SettingsError` if it is a file, or the data directory."""
    path = Path(settings.inbox)
    because = ""
    if path.exists() and not path.is_dir():
        because = "it is a file"
    elif path.resolve() == settings.data_path.resolve():
        because = "it is the data directory"
    if because:
        raise SettingsError("use the setting", f"inbox ({path})", because, "name another folder")
    return Folder(path)


class Inbox:
    """Imports the files of a folder until `stop` is set.

    A file is moved after ingest has acknowledged all its items. Until then, a checkpoint stores the progress of the
    import. After a crash at any point, no receipt is lost or counted twice.
    """

    def __init__(
        self, folder: Folder, importer: Importer, destination: Destination, clock: Clock, stop: asyncio.Event
    ) -> None:
        self._folder = folder
        self._importer = importer
        self._destination = destination
        self._clock = clock
        self._stop = stop
        # The last problem and the time of the next attempt, by file name. The key of the folder itself is its path.
        self._problems: dict[str, tuple[str, int]] = {}

    async def run(self) -> None:
        """Scan the folder every `SCAN_INTERVAL_S` seconds. This finds new files on every kind of network drive."""
        prune(self._folder.state)
        while not self._stop.is_set():
            await self.scan()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), SCAN_INTERVAL_S)

    async def scan(self) -> None:
        """Import all complete files. After a failed attempt, a file is left out for `RETRY_US`."""
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
        # Each attempt has its own uploader, because an uploader cannot be used after an error.
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
        """Write the report, move the file, and delete the checkpoint.

        If the process crashes before the file is moved, the first scan after the restart repeats these steps.
        """
        folder = self._folder
        if fingerprint(path) != before:
            # A later scan imports the changed file. Receipts that are in both versions of the file are counted once.
            logger.warning("inbox.file_changed", file=path.name)
            return
        target = checkpoint.counts.target if checkpoint is not None else ""
        if not target or folder.exists(target):
            target = folder.free_target(path.name, failed=outcome.failed)
            if checkpoint is not None:
                checkpoint.counts.target = target
                checkpoint.save()
        outcome.file = Path(target).name
        with replacing(folder.report(target)) as file:
            write(file, outcome, checkpoint.refusals() if checkpoint is not None else ())
            file.write(b"\n")
        path.rename(folder.path / target)
        if checkpoint is not None:
            checkpoint.remove()
        moved = fingerprint(folder.path / target)
        # Another program may have replaced the file just before the move. The inode is not compared, because a move
        # changes it on some network drives.
        if moved is not None and moved[1:] != before[1:]:
            logger.warning("inbox.file_replaced", file=path.name)
            folder.restore(target, path.name)
            return
        _log_outcome(path.name, target, outcome)

    def _report_problem(self, name: str, reason: str, *, traceback: bool = False) -> None:
        """Log a problem with a file or the folder once, even if it repeats. Delays the next attempt."""
        if self._problems.get(name, ("", 0))[0] != reason:
            logger.warning("inbox.problem", reason=reason, retry_s=RETRY_US // 1_000_000, exc_info=traceback)
        self._problems[name] = reason, self._clock.now_us() + RETRY_US

    def _resolve_problem(self, name: str) -> None:
        if self._problems.pop(name, None) is not None:
            logger.info("inbox.problem_resolved", file=name)


async def serve(settings: Settings, destination: Destination, clock: Clock, stop: asyncio.Event) -> None:
    """Run the inbox until `stop` is set. Raises `SettingsError` and `FormatError`."""
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
    optional = {"skipped": sum(outcome.skipped.values()), "reason": outcome.problem}
    fields = {field: value for field, value in optional.items() if value}
    level, event = (INFO, "inbox.file_imported") if target.startswith(f"{DONE}/") else (WARNING, "inbox.file_failed")
    logger.log(level, event, file=name, to=target, receipts=outcome.receipts, refused=outcome.refused, **fields)
