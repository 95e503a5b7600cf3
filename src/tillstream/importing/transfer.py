"""One file on its way: decoded in a thread of its own, carried to ingest, and noted as far as it is acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.importing.batches import Batch, batches, place
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.source_file import CannotRead, SourceFile
from tillstream.importing.uploader import Taken, Uploader
from tillstream.importing.worker import Stopped, apart

SAVE_US = 500_000
"""So much work at most is done again after a crash."""

DRAIN_US = 2_000_000
"""How long answers are waited for once it was told to stop."""

Show = Callable[[Checkpoint, int], None]
"""Told now and then what became of the file so far, and how many bytes of it were read."""


class Transfer:
    """From an opened file to its ledger, through a courier. `entrance` is the second part of the receipts' source."""

    def __init__(
        self, opened: SourceFile, ledger: Checkpoint, courier: Uploader, settings: Settings, clock: Clock, entrance: str
    ) -> None:
        self._opened = opened
        self._ledger = ledger
        self._courier = courier
        self._clock = clock
        self._batches = batches(opened, settings, clock, entrance, ledger.counts.done)
        self._waiting: dict[int, tuple[Batch, Taken]] = {}
        self._saved_us = clock.now_us()

    async def run(self, show: Show) -> bool:
        """Take the whole file; False where the courier's `stop` ended it before. Either way it is noted how far.

        Raises `CannotRead`, and what the courier and the ledger raise.
        """
        try:
            ended = await self._send(show)
            stopped_us: int | None = None
            while not await self._courier.settled():
                self._note(show)
                if self._courier.stop.is_set():
                    stopped_us = stopped_us or self._clock.now_us()
                    if self._courier.waiting or self._clock.now_us() - stopped_us > DRAIN_US:
                        return False
            self._note(show)
            return ended
        finally:
            self._ledger.save()

    async def _send(self, show: Show) -> bool:
        """Post batch by batch; False where it was told to stop."""
        while not self._courier.stop.is_set():
            batch = await self._next(show)
            if batch is None:
                return not self._courier.stop.is_set()
            if not batch.lines:
                self._waiting[batch.first] = batch, Taken(0)
            elif not await self._courier.post(batch, self, lambda: self._note(show)):
                return False
            self._note(show)
        return False

    async def _next(self, show: Show) -> Batch | None:
        """The next batch; None at the end, or where it was told to stop while it waited for the file."""

        def turn() -> None:
            self._courier.check()
            self._note(show)

        try:
            return await apart(lambda: next(self._batches, None), self._courier.stop, turn)
        except Stopped:
            return None
        except OSError as error:
            hint = "mend that, and import it again: it goes on where it was"
            raise CannotRead("read", self._opened.name, error.strerror or error, hint) from error

    def _note(self, show: Show) -> None:
        """Enter what was acknowledged into the ledger, without gaps and in order."""
        for batch, taken in self._courier.collect(self):
            self._waiting[batch.first] = batch, taken
        done = self._ledger.counts.done
        for first in sorted(self._waiting):
            batch, taken = self._waiting[first]
            if batch.end <= done:
                del self._waiting[first]
            elif first == done:
                del self._waiting[first]
                self._enter(batch, taken)
                done = batch.end
        now_us = self._clock.now_us()
        if not 0 <= now_us - self._saved_us < SAVE_US:
            self._saved_us = now_us
            self._ledger.save()
        show(self._ledger, self._opened.position)

    def _enter(self, batch: Batch, taken: Taken) -> None:
        refusals = dict(batch.told)
        for rejected in taken.rejected:
            index = batch.places[rejected.index]
            refusals.setdefault(index, Refusal(index, place(index), rejected.errors))
        in_order = [refusals[index] for index in sorted(refusals)]
        receipts = len(batch.lines) - len(in_order)
        self._ledger.add(batch.end, receipts, len(in_order), Counter(batch.skipped), in_order)
