"""Carries batches to ingest over connections that are kept open, until they are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from tillstream.client.control import unverified_tls
from tillstream.client.messages import Answer, head, target
from tillstream.client.sender import Request, Sender
from tillstream.client.tally import Tally
from tillstream.errors import OperationalError
from tillstream.formats.envelope import MEDIA_TYPE
from tillstream.importing.batches import Batch
from tillstream.importing.destination import Destination
from tillstream.importing.worker import TICK_S

CONNECTIONS = 4
PATH = "/receipts"
TIMEOUT_S = 60.0
"""An answer that takes longer is not waited for; the batch is sent again."""

WAITING_S = 2.0
"""After so long without an answer somebody is told."""

_SILENT_HINT = "is `tillstream up` running? the same command goes on where it was"

# Where no receipt of a batch was taken, ingest answers with one of the latter: they are in quarantine.
_ACKNOWLEDGED = frozenset({202, 400, 422})


class IngestSilent(OperationalError):
    """Ingest acknowledged nothing for as long as it was waited for."""


class Rejected(Struct):
    """A line of a batch, by its index from 0, that is no receipt."""

    index: int
    errors: list[dict[str, str]]


class Taken(Struct):
    """What ingest made of a batch."""

    accepted: int
    rejected: list[Rejected] = []


class _Complaint(Struct):
    errors: list[dict[str, Any]] = []


class _Carried(Request):
    """A batch on its way, and whose it is."""

    __slots__ = ("batch", "owner")

    def __init__(self, data: bytes, batch: Batch, owner: object) -> None:
        super().__init__(data, len(batch.lines), 0)
        self.batch = batch
        self.owner = owner


class Uploader:
    """To an ingest; made and used on the event loop.

    `stop` ends every wait. `tell` is told why ingest takes nothing, once, and with an empty text that it does again.
    After `give_up_s` seconds without an acknowledgement it gives up; never, where that is None.
    """

    def __init__(
        self,
        destination: Destination,
        random: Random,
        stop: asyncio.Event,
        *,
        give_up_s: float | None,
        tell: Callable[[str], None],
    ) -> None:
        to = target(destination.url)
        self.stop = stop
        self._url = destination.url.rstrip("/") + PATH
        self._give_up_s = give_up_s
        self._tell = tell
        self._told = False
        self._head = head(to, PATH, MEDIA_TYPE, simulated=False, key=destination.key)
        self._moved = asyncio.Event()
        self._settled: list[tuple[object, Batch, Taken]] = []
        self._refused: OperationalError | None = None
        self._tally = Tally()
        tls = unverified_tls() if destination.same_machine and to.tls else None
        self._sender = Sender(to, CONNECTIONS, self._tally, random, self._answered, tls)

    @property
    def waiting(self) -> bool:
        """Whether ingest has taken nothing for a while."""
        return self._told

    async def post(self, batch: Batch, owner: object, turn: Callable[[], None] = lambda: None) -> bool:
        """Send it once a connection is free; False where it was told to stop before. `turn` is called meanwhile.

        Raises `IngestSilent`, and `OperationalError` where what answers is no ingest that takes receipts.
        """
        while not self._sender.free:
            self.check()
            turn()
            if self.stop.is_set():
                return False
            self._moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), TICK_S)
        body = b"\n".join(batch.lines)
        self._sender.submit(_Carried(self._head + b"%d\r\n\r\n%b" % (len(body), body), batch, owner))
        return True

    def collect(self, owner: object) -> list[tuple[Batch, Taken]]:
        """What was acknowledged to this owner since the last call. What belongs to one that gave up is dropped."""
        settled, self._settled = self._settled, []
        return [(batch, taken) for whose, batch, taken in settled if whose is owner]

    async def settled(self) -> bool:
        """Whether everything is acknowledged, after a moment at most. Raises what `post` raises."""
        settled = await self._sender.settled(TICK_S)
        self.check()
        return settled

    def check(self) -> None:
        """See to overdue answers, tell of a wait. Raises what `post` raises."""
        self._sender.drop_silent(TIMEOUT_S)
        if self._sender.failure is not None:
            raise self._sender.failure
        if self._refused is not None:
            raise self._refused
        stuck_s = self._sender.stuck_s()
        if self._give_up_s is not None and stuck_s > self._give_up_s:
            because = f"nothing was acknowledged for {self._give_up_s:g} s ({self._trouble()})"
            raise IngestSilent("send receipts to", self._url, because, _SILENT_HINT)
        if (stuck_s > WAITING_S) != self._told:
            self._told = not self._told
            self._tell(f"waiting for ingest at {self._url} ({self._trouble()})" if self._told else "")

    async def close(self) -> None:
        await self._sender.close()

    def _trouble(self) -> str:
        return self._tally.trouble or "no answer"

    def _answered(self, request: Request, answer: Answer) -> None:
        assert isinstance(request, _Carried)
        self._moved.set()
        self._tally.trouble = ""
        taken = _taken(answer) if answer.status in _ACKNOWLEDGED else None
        if taken is not None and taken.accepted + len(taken.rejected) == request.receipts:
            self._settled.append((request.owner, request.batch, taken))
        else:
            self._refused = self._refused or self._refusal(answer)

    def _refusal(self, answer: Answer) -> OperationalError:
        """What it is that answers so."""
        with suppress(msgspec.DecodeError):
            for error in msgspec.json.decode(answer.body, type=_Complaint).errors[:1]:
                because = f"it answered {answer.status}: {error.get('error', 'it refuses them')}"
                return OperationalError("send receipts to", self._url, because, str(error.get("hint", "")))
        because = f"it answered {answer.status}, and not as ingest does"
        return OperationalError("send receipts to", self._url, because, "name the address of ingest with --to")


def _taken(answer: Answer) -> Taken | None:
    try:
        return msgspec.json.decode(answer.body, type=Taken)
    except msgspec.DecodeError:
        return None
