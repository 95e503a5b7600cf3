"""Takes one file from its path to its outcome, going on where an earlier import of it was interrupted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.formats.base import Decoder
from tillstream.formats.registry import Formats
from tillstream.importing.checkpoint import Checkpoint
from tillstream.importing.outcome import Outcome
from tillstream.importing.source_file import SourceFile, open_file, shown
from tillstream.importing.transfer import Show, Transfer
from tillstream.importing.uploader import Uploader
from tillstream.importing.worker import Stopped, apart

Done = Callable[[Outcome, Checkpoint], None]
"""Told of the outcome while the ledger with its refusals is still open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Takes files into one ingest. `state` is where ledgers are kept, `mark` tells ingest's log from others."""

    settings: Settings
    formats: Formats
    clock: Clock
    state: Path
    mark: str
    entrance: str
    wanted: Decoder | None = None
    restart: bool = False

    async def take(self, path: Path, courier: Uploader, show: Show, done: Done) -> Outcome:
        """Send what ingest doesn't have yet.

        Raises `CannotRead`, `UnknownFormat`, and what the courier and the ledger raise.
        """
        outcome = Outcome(file=shown(path))
        try:
            found = await apart(lambda: open_file(path, self.formats, self.wanted), courier.stop, courier.check)
        except Stopped:
            return outcome
        with closing(found) as file, self._ledger(file) as ledger:
            if self.restart:
                ledger.forget()
            outcome.file, outcome.format = file.name, file.decoder.title
            outcome.already = ledger.counts.finished
            outcome.resumed_at = 0 if outcome.already else ledger.resumed
            try:
                if not outcome.already:
                    transfer = Transfer(file, ledger, courier, self.settings, self.clock, self.entrance)
                    ledger.counts.finished = await transfer.run(show)
                    ledger.save()
            finally:
                outcome.enter(ledger.counts)
            done(outcome, ledger)
        return outcome

    @contextmanager
    def _ledger(self, file: SourceFile) -> Iterator[Checkpoint]:
        if file.identity:
            key = f"{self.mark}\n{file.decoder.title}\n{file.identity}"
            with closing(Checkpoint(self.state, key)) as ledger:
                yield ledger
            return
        # What came through a pipe does not come again.
        with (
            tempfile.TemporaryDirectory(prefix="tillstream-") as gone,
            closing(Checkpoint(Path(gone), "pipe")) as ledger,
        ):
            yield ledger
