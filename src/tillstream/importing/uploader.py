"""Finds the ingest server for an import, and sends each batch to it until ingest acknowledges the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import NamedTuple

import msgspec
from msgspec import Struct

from tillstream.access import machine_token
from tillstream.access.keys import KEY
from tillstream.client.sender import Request, Response, Sender, Tally, Target
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.data_directory import FORMAT_FILE, DataDirectory, Kind
from tillstream.config.settings import Settings, default
from tillstream.errors import OperationalError
from tillstream.formats.envelope import MEDIA_TYPE
from tillstream.importing.batches import Batch
from tillstream.receipt.model import Fault
from tillstream.stores.repository import settings_in_force

TICK_S = 0.1
"""The interval between two checks while the import waits for a file or for ingest."""

CONNECTIONS = 4
PATH = "/receipts"
TIMEOUT_S = 60.0
"""The maximum time for a response. After this time, the batch is sent again."""

WAITING_S = 2.0
"""The time without a response after which the user is notified."""

_TIMEOUT_HINT = "is `tillstream up` running? the same command continues where it stopped"

# A 400 or 422 also acknowledges a batch: ingest has accepted none of the receipts, but has quarantined them.
_ACKNOWLEDGED = frozenset({202, 400, 422})


class Rejected(Struct):
    """A line that ingest has rejected. The first line of a batch has `index` 0."""

    index: int
    errors: list[Fault]


class BatchResult(Struct):
    """The response of ingest to a batch. If ingest has accepted none of its receipts, `errors` says why."""

    accepted: int = 0
    rejected: list[Rejected] = []
    errors: list[Fault] = []


Acknowledged = dict[int, tuple[Batch, BatchResult]]
"""The acknowledged batches of one file with their results. The key is the index of the first item in the batch."""


class Destination(NamedTuple):
    """The address of an ingest server, and the API key for it.

    `log_id` identifies the key, and the log in which ingest stores receipts. A checkpoint is valid only for one
    `log_id`, so an import to another log or with another key sends the whole file again. With `same_machine`, the
    certificate is not verified.
    """

    url: str
    log_id: str = ""
    key: str = ""
    same_machine: bool = False


def find_destination(settings: Settings, url: str = "", key: str = "") -> Destination:
    """Return the destination `url`. Without `url`, return the ingest server of the data directory.

    If that server is not running, return the address in the settings. Without `key`, the running server of the data
    directory gets the machine token, a secret from this directory. No other address gets the token, because another
    program may be listening there.
    """
    key_id = f" key {found[1]}" if (found := KEY.fullmatch(key)) else ""
    if url:
        return Destination(url.rstrip("/"), url.rstrip("/") + key_id, key)
    directory, holder = DataDirectory(settings.data_path, Kind.REAL), None
    with suppress(OSError):
        holder = directory.holder("ingest")
    if holder is not None and holder.address:
        key = key or machine_token.read(directory)
        return Destination(holder.address, log_id(settings) + key_id, key, same_machine=True)
    url = ports.address(settings.host, settings.ingest_port or default("ingest_port"), tls=settings.tls)
    return Destination(url, url + key_id, key)


def log_id(settings: Settings) -> str:
    """Return an identifier of the log in the data directory, or an empty string if the directory has no log.

    If another data directory takes the place of this one, the identifier changes.
    """
    try:
        status = (settings.data_path / FORMAT_FILE).stat()
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}"


def with_time_zones(settings: Settings, clock: Clock) -> Settings:
    """Return the settings, with the time zones from the store list if the data directory has one."""
    if not (settings.data_path / FORMAT_FILE).exists():
        return settings
    return settings_in_force(DataDirectory(settings.data_path, Kind.REAL), settings, clock)[0]


class Uploader:
    """Sends batches to one ingest server. Only the event loop may create and use it.

    `stop` ends every wait. `notify` is called with the reason when ingest stops responding, and with an empty string
    when ingest responds again. `give_up_s` is the maximum time without an acknowledgement; None sets no limit.
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
        target = Target.parse(destination.url)
        self.stop = stop
        self.waiting = False
        """Whether ingest has not responded for `WAITING_S` seconds."""
        self._url = destination.url.rstrip("/") + PATH
        self._give_up_s = give_up_s
        self._notify = notify
        self._head = target.head(PATH, MEDIA_TYPE, key=destination.key)
        self._responded = asyncio.Event()
        self._error: OperationalError | None = None
        self._tally = Tally()
        self._sender = Sender(target, CONNECTIONS, self._tally, random, same_machine=destination.same_machine)

    async def post(self, batch: Batch, acknowledged: Acknowledged, on_tick: Callable[[], None] = lambda: None) -> bool:
        """Send the batch as soon as a connection is idle. Returns False if `stop` is set before a connection is idle.

        When ingest acknowledges the batch, `acknowledged` gets the batch and its result. `on_tick` is called every
        `TICK_S` seconds while no connection is idle. Raises
        `OperationalError` if nothing is acknowledged for `give_up_s`, if ingest does not accept receipts from this
        client, or if the server is not ingest.
        """
        while not self._sender.idle:
            self.check()
            on_tick()
            if self.stop.is_set():
                return False
            self._responded.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._responded.wait(), TICK_S)
        on_response = partial(self._on_response, batch, acknowledged)
        body = b"\n".join(batch.lines)
        self._sender.submit(Request(self._head, body, len(batch.lines), on_response=on_response))
        return True

    async def drained(self) -> bool:
        """Wait up to `TICK_S` seconds. Returns whether all batches are acknowledged. Raises the errors of `post`."""
        drained = await self._sender.drained(TICK_S)
        self.check()
        return drained

    def check(self) -> None:
        """Resend each batch whose response is overdue, and call `notify` if necessary. Raises the errors of `post`."""
        self._sender.drop_silent(TIMEOUT_S)
        if self._sender.failure is not None:
            raise self._sender.failure
        if self._error is not None:
            raise self._error
        stuck_s = self._sender.stuck_s()
        reason = self._tally.problem or "no response"
        if self._give_up_s is not None and stuck_s > self._give_up_s:
            because = f"nothing was acknowledged for {self._give_up_s:g} s ({reason})"
            raise OperationalError("send receipts to", self._url, because, _TIMEOUT_HINT)
        if (stuck_s > WAITING_S) != self.waiting:
            self.waiting = not self.waiting
            self._notify(f"waiting for ingest at {self._url} ({reason})" if self.waiting else "")

    def close(self) -> None:
        self._sender.close()

    def _on_response(self, batch: Batch, acknowledged: Acknowledged, response: Response) -> None:
        self._responded.set()
        self._tally.problem = ""
        result = BatchResult()
        with suppress(msgspec.DecodeError):
            result = msgspec.json.decode(response.body, type=BatchResult)
        if response.status in _ACKNOWLEDGED and result.accepted + len(result.rejected) == len(batch.lines):
            acknowledged[batch.first] = batch, result
        elif self._error is None:
            because, hint = "the response is not from an ingest", "name the address of ingest with --to"
            if result.errors:
                because, hint = result.errors[0].error, result.errors[0].hint
            self._error = OperationalError(
                "send receipts to", self._url, f"it answered {response.status}: {because}", hint
            )
