"""Sends batches to ingest over persistent connections until ingest acknowledges them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from tillstream.access import machine_token
from tillstream.access.keys import KEY
from tillstream.client.control import unverified_tls
from tillstream.client.messages import Answer, head, target
from tillstream.client.sender import Request, Sender
from tillstream.client.tally import Tally
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.data_directory import FORMAT_FILE, DataDirectory, Kind
from tillstream.config.settings import Settings, default
from tillstream.errors import OperationalError
from tillstream.formats.envelope import MEDIA_TYPE
from tillstream.importing.batches import Batch
from tillstream.importing.worker_thread import TICK_S
from tillstream.stores.repository import settings_in_force

CONNECTIONS = 4
PATH = "/receipts"
TIMEOUT_S = 60.0
"""Longest wait for a response. The batch is then sent again."""

WAITING_S = 2.0
"""Time without a response after which the user is notified."""

_TIMEOUT_HINT = "is `tillstream up` running? the same command continues where it stopped"

# Ingest answers 400 or 422 if it accepted no receipt of a batch. They are in quarantine then.
_ACKNOWLEDGED = frozenset({202, 400, 422})


class IngestTimeout(OperationalError):
    """Ingest acknowledged nothing within the time limit."""


class Rejected(Struct):
    """A line of a batch that is not a receipt, by its index from 0."""

    index: int
    errors: list[dict[str, str]]


class BatchResult(Struct):
    """The response of ingest to a batch."""

    accepted: int
    rejected: list[Rejected] = []


class _ErrorResponse(Struct):
    errors: list[dict[str, Any]] = []


class Destination(NamedTuple):
    """The ingest that receives the receipts.

    `log_id` identifies its log and the key, because a checkpoint is valid only for both. `key` is sent with every
    batch. For an ingest on the `same_machine` the certificate is not verified.
    """

    url: str
    log_id: str = ""
    key: str = ""
    same_machine: bool = False


def find_destination(settings: Settings, url: str = "", key: str = "") -> Destination:
    """The ingest at `url`, or else the one that runs on the data directory, or else the address in the settings.

    The machine's token is the key for an ingest that runs on the data directory. No other address gets it, because
    any program of this machine may listen there.
    """
    key_id = f" key {found[1]}" if (found := KEY.fullmatch(key)) else ""
    if url:
        return Destination(url.rstrip("/"), url.rstrip("/") + key_id, key)
    directory = DataDirectory(settings.data_path, Kind.REAL)
    try:
        holder = directory.holder("ingest")
    except OSError:
        holder = None
    if holder is not None and holder.address:
        key = key or machine_token.read(directory)
        return Destination(holder.address, (log_id(settings) or holder.address) + key_id, key, same_machine=True)
    url = ports.address(settings.host, settings.ingest_port or default("ingest_port"), tls=settings.tls)
    return Destination(url, url + key_id, key)


def log_id(settings: Settings) -> str:
    """Identifies the log of the data directory, also after the directory was replaced; empty if there is none."""
    try:
        status = (settings.data_path / FORMAT_FILE).stat()
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}"


def with_time_zones(settings: Settings, clock: Clock) -> Settings:
    """The settings with the time zones from the store list of the data directory, if there is one."""
    if not (settings.data_path / FORMAT_FILE).exists():
        return settings
    return settings_in_force(DataDirectory(settings.data_path, Kind.REAL), settings, clock)[0]


class _BatchRequest(Request):
    """A batch in flight, and the object that sent it."""

    __slots__ = ("batch", "owner")

    def __init__(self, data: bytes, batch: Batch, owner: object) -> None:
        super().__init__(data, len(batch.lines), 0)
        self.batch = batch
        self.owner = owner


class Uploader:
    """Sends batches to one ingest. It is created and used on the event loop.

    `stop` ends every wait. `notify` gets the reason when ingest stops responding, and an empty text when it responds
    again. After `give_up_s` seconds without an acknowledgement the uploader gives up; None sets no limit.
    """

    def __init__(
        self,
        destination: Destination,
        random: Random,
        stop: asyncio.Event,
        *,
        give_up_s: float | None,
        notify: Callable[[str], None],
    ) -> None:
        to = target(destination.url)
        self.stop = stop
        self._url = destination.url.rstrip("/") + PATH
        self._give_up_s = give_up_s
        self._notify = notify
        self._waiting = False
        self._head = head(to, PATH, MEDIA_TYPE, simulated=False, key=destination.key)
        self._responded = asyncio.Event()
        self._results: list[tuple[object, Batch, BatchResult]] = []
        self._error: OperationalError | None = None
        self._tally = Tally()
        tls = unverified_tls() if destination.same_machine and to.tls else None
        self._sender = Sender(to, CONNECTIONS, self._tally, random, self._on_answer, tls)

    @property
    def waiting(self) -> bool:
        """Whether ingest has not responded for `WAITING_S`."""
        return self._waiting

    async def post(self, batch: Batch, owner: object, on_tick: Callable[[], None] = lambda: None) -> bool:
        """Send the batch on a free connection. Returns False if `stop` was set before one was free.

        Calls `on_tick` while it waits. Raises `IngestTimeout`, and `OperationalError` if the server is not an ingest
        that accepts receipts.
        """
        while not self._sender.free:
            self.check()
            on_tick()
            if self.stop.is_set():
                return False
            self._responded.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._responded.wait(), TICK_S)
        body = b"\n".join(batch.lines)
        self._sender.submit(_BatchRequest(self._head + b"%d\r\n\r\n%b" % (len(body), body), batch, owner))
        return True

    def collect(self, owner: object) -> list[tuple[Batch, BatchResult]]:
        """The owner's batches that were acknowledged since the last call. Results of other owners are dropped."""
        results, self._results = self._results, []
        return [(batch, result) for sender, batch, result in results if sender is owner]

    async def drained(self) -> bool:
        """Wait up to `TICK_S` and return whether every batch is acknowledged. Raises the errors of `post`."""
        drained = await self._sender.drained(TICK_S)
        self.check()
        return drained

    def check(self) -> None:
        """Send overdue batches again, and notify about waits. Raises the errors of `post`."""
        self._sender.drop_silent(TIMEOUT_S)
        if self._sender.failure is not None:
            raise self._sender.failure
        if self._error is not None:
            raise self._error
        stuck_s = self._sender.stuck_s()
        reason = self._tally.problem or "no response"
        if self._give_up_s is not None and stuck_s > self._give_up_s:
            because = f"nothing was acknowledged for {self._give_up_s:g} s ({reason})"
            raise IngestTimeout("send receipts to", self._url, because, _TIMEOUT_HINT)
        if (stuck_s > WAITING_S) != self._waiting:
            self._waiting = not self._waiting
            self._notify(f"waiting for ingest at {self._url} ({reason})" if self._waiting else "")

    async def close(self) -> None:
        await self._sender.close()

    def _on_answer(self, request: Request, answer: Answer) -> None:
        assert isinstance(request, _BatchRequest)
        self._responded.set()
        self._tally.problem = ""
        result = _result(answer) if answer.status in _ACKNOWLEDGED else None
        if result is not None and result.accepted + len(result.rejected) == request.receipts:
            self._results.append((request.owner, request.batch, result))
        else:
            self._error = self._error or self._unexpected(answer)

    def _unexpected(self, answer: Answer) -> OperationalError:
        """The error for a response that acknowledges nothing."""
        with suppress(msgspec.DecodeError):
            for error in msgspec.json.decode(answer.body, type=_ErrorResponse).errors[:1]:
                because = f"it answered {answer.status}: {error.get('error', 'it refuses them')}"
                return OperationalError("send receipts to", self._url, because, str(error.get("hint", "")))
        because = f"it answered {answer.status}, which is not a response of ingest"
        return OperationalError("send receipts to", self._url, because, "name the address of ingest with --to")


def _result(answer: Answer) -> BatchResult | None:
    try:
        return msgspec.json.decode(answer.body, type=BatchResult)
    except msgspec.DecodeError:
        return None
