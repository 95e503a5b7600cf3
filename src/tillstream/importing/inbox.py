"""The inbox: takes each file that is put into a folder once it is complete, and files it away with a report."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random

import structlog

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.formats import registry
from tillstream.importing import checkpoint as ledgers
from tillstream.importing.checkpoint import Checkpoint
from tillstream.importing.destination import Destination, with_zones
from tillstream.importing.folder import DONE, FAILED, Folder, Seen, inbox_of, look
from tillstream.importing.outcome import Outcome, replacing, write
from tillstream.importing.source_file import UnknownFormat, shown
from tillstream.importing.taking import Taker
from tillstream.importing.uploader import Uploader

LOOK_S = 1.0
AGAIN_US = 10_000_000
"""After so long a file that could not be taken or moved is tried again."""

logger = structlog.get_logger()


class Inbox:
    """Watches a folder and takes what comes, until `stop`. `taker` keeps its state in the folder itself.

    Whatever ends it, at any point, nothing is lost and nothing counts twice: a file is moved once ingest has
    acknowledged all of it, and until then it is known how far that was.
    """

    def __init__(self, folder: Folder, taker: Taker, to: Destination, clock: Clock, stop: asyncio.Event) -> None:
        self._folder = folder
        self._taker = taker
        self._to = to
        self._clock = clock
        self._stop = stop
        self._troubles: dict[str, str] = {}
        self._again_us: dict[str, int] = {}

    async def run(self) -> None:
        """Look once a second, by polling: so it works on network drives too."""
        ledgers.prune(self._folder.state)
        while not self._stop.is_set():
            await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)

    async def look(self) -> None:
        """Take every file that is complete now."""
        where = str(self._folder.path)
        try:
            self._folder.prepare()
            complete = self._folder.complete(self._clock.now_us())
        except OSError as error:
            self._trouble(where, f"could not use the inbox {where}: {error.strerror or error}")
            return
        self._fine(where)
        self._forget_gone()
        for path in complete:
            if self._stop.is_set():
                return
            if self._again_us.get(path.name, 0) <= self._clock.now_us():
                await self._try(path)

    async def _try(self, path: Path) -> None:
        # A new one each time: what went wrong with one file, or with ingest then, is no matter of the next.
        courier = Uploader(self._to, Random(), self._stop, give_up_s=None, tell=self._tell)
        try:
            await self._take(path, courier)
        except (OperationalError, OSError) as error:
            because = str(error) if isinstance(error, OperationalError) else f"{path}: {error.strerror or error}"
            self._wait(path, because)
        except Exception as error:  # noqa: BLE001 - the format of another package may fail in any way
            self._wait(path, f"{path}: {error!r}", failed=True)
        else:
            self._fine(path.name)
        finally:
            await courier.close()

    async def _take(self, path: Path, courier: Uploader) -> None:
        before = look(path)
        if before is None:
            return

        def done(outcome: Outcome, ledger: Checkpoint) -> None:
            if outcome.finished:
                self._file_away(path, before, outcome, ledger)

        try:
            await self._taker.take(path, courier, lambda _ledger, _position: None, done)
        except UnknownFormat as error:
            problem = f"{error.because}; {error.hint}" if error.hint else error.because
            self._file_away(path, before, Outcome(file=shown(path), problem=problem), None)

    def _file_away(self, path: Path, before: Seen, outcome: Outcome, ledger: Checkpoint | None) -> None:
        """Report, then move, then forget: whatever comes between, the rest is done at the next look."""
        if look(path) != before:
            # Somebody goes on writing it. What is in it by then is sent again, and counts once.
            logger.warning("inbox file changed while it was read", file=path.name)
            self._folder.unsettle(path)
            return
        target = ledger.counts.target if ledger is not None else ""
        if not target or self._folder.taken(target):
            target = self._folder.free_name(path.name, failed=outcome.fruitless)
            if ledger is not None:
                ledger.counts.target = target
                ledger.save()
        where, _, name = target.partition("/")
        outcome.file = name
        with replacing(self._folder.report(where, name)) as file:
            write(file, outcome, ledger.refusals() if ledger is not None else ())
            file.write(b"\n")
        path.rename(self._folder.path / where / name)
        if ledger is not None:
            ledger.remove()
        if not before.is_still(look(self._folder.path / where / name)):
            logger.warning("inbox file was replaced while it was filed away", file=path.name)
            self._folder.take_back(target, path.name)
            return
        told = {"file": path.name, "to": target, "receipts": outcome.receipts, "refused": outcome.refused}
        say = logger.warning if where == FAILED else logger.info
        say("inbox file " + ("taken" if where == DONE else "failed"), **told, **_more(outcome))

    def _wait(self, path: Path, because: str, *, failed: bool = False) -> None:
        """Leave the file where it is, and take the others meanwhile."""
        self._trouble(path.name, because, failed=failed)
        self._again_us[path.name] = self._clock.now_us() + AGAIN_US

    def _trouble(self, what: str, because: str, *, failed: bool = False) -> None:
        """Say it once, until it is another trouble or over; where a program `failed`, with its traceback."""
        if self._troubles.get(what) != because:
            self._troubles[what] = because
            logger.warning("inbox has trouble", reason=because, again_s=AGAIN_US // 1_000_000, exc_info=failed)

    def _fine(self, what: str) -> None:
        self._again_us.pop(what, None)
        if self._troubles.pop(what, None) is not None:
            logger.info("inbox trouble is over", what=what)

    def _forget_gone(self) -> None:
        """Of what is not in the folder any more nothing needs to be known."""
        for name in [name for name in self._troubles if name != str(self._folder.path)]:
            if look(self._folder.path / name) is None:
                del self._troubles[name]
                self._again_us.pop(name, None)

    def _tell(self, trouble: str) -> None:
        if trouble:
            logger.warning("inbox waits", reason=trouble)
        else:
            logger.info("inbox goes on", reason="ingest takes receipts again")


async def serve(settings: Settings, to: Destination, clock: Clock, stop: asyncio.Event) -> None:
    """Take what comes into the inbox of the settings, until `stop`. Raises `SettingsError` and `FormatError`."""
    folder = inbox_of(settings)
    settings = with_zones(settings, clock)
    formats = registry.load(settings)
    taker = Taker(settings=settings, formats=formats, clock=clock, state=folder.state, mark=to.mark, entrance="inbox")
    await Inbox(folder, taker, to, clock, stop).run()


def _more(outcome: Outcome) -> dict[str, object]:
    more: dict[str, object] = {}
    if outcome.skipped:
        more["skipped"] = sum(outcome.skipped.values())
    if outcome.problem:
        more["reason"] = outcome.problem
    return more
