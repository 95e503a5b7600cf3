"""What one request brings, sorted: receipts for the log, what is refused, and what is skipped."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from tillstream import compression
from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable
from tillstream.formats.registry import Formats
from tillstream.http.messages import Response
from tillstream.ingest import responses
from tillstream.ingest.auth import Stores
from tillstream.ingest.responses import Refused
from tillstream.log.base import Batch
from tillstream.receipt.model import HEAD_COLUMNS, REPLAY, Fault
from tillstream.receipt.validation import ReceiptError, Validator

AT_ONCE_BYTES = 64 * 1024
"""Up to here a payload is looked at on the event loop: whatever it is, that takes some 20 ms."""

# Of each receipt in a batch; alone it is told more of its faults.
_FAULTS_TOLD = 20
# Of a batch; behind so many, of each receipt one.
_FAULTS_OF_ALL = 2_000

_ZIP = b"PK\x03\x04"

T = TypeVar("T")


@dataclass(slots=True)
class Sorted:
    """What one request had: records for the log, refusals among them, and the answer once they are durable."""

    batch: Batch = field(default_factory=Batch)
    rejected: list[tuple[int, Sequence[Fault]]] = field(default_factory=list)
    """By their place in the request."""
    skipped: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    foreign: int = 0
    """How many of the rejected ones are of stores that the key is not for; no record is made of them."""
    parseable: bool = False
    faults: int = 0
    empty: ReceiptError | None = None
    """What to say where there was nothing in it."""
    answer: Response | None = None


class Single(NamedTuple):
    """The only receipt of a request, looked at: what its log's head, key and business day are, or why it is none."""

    decoded: Decoded
    source: str
    checked: tuple[bytes, str, str] | None = None
    error: ReceiptError | None = None


class Sorter:
    """Decodes and checks, in one thread at a time: its decoders remember what they saw."""

    def __init__(self, settings: Settings, formats: Formats) -> None:
        self.validator = Validator(settings)
        self.stopping = False
        """Set from any thread, it ends what is under way."""
        self._settings = settings
        self._formats = formats

    def like(self, decoder: Decoder) -> Decoder:
        """This sorter's own decoder of the same format."""
        return self._formats.counterpart(decoder)

    def one(self, decoder: Decoder, payload: bytes, source: str, received_us: int) -> Single:
        """The only receipt of the payload; `decoder` is this sorter's own."""
        decoded = decoder.one(payload)
        if isinstance(decoded, Skip):
            return Single(decoded, source)
        source = decoded.source or source
        try:
            if isinstance(decoded, Unreadable):
                raise ReceiptError(decoded.faults, parseable=True)
            return Single(decoded, source, self.validator.check(decoded.body, received_us, source, decoded.day))
        except ReceiptError as error:
            return Single(decoded, source, error=self.advised(error, decoder, payload))

    def all(self, decoder: Decoder, payload: bytes, source: str, received_us: int, stores: Stores = None) -> Sorted:
        """Everything of the payload, for these stores; `decoder` may be another sorter's. Raises `Refused`."""
        decoder = self._formats.counterpart(decoder)
        found, only = Sorted(), None
        limit, check, add = self._settings.batch_limit_receipts, self.validator.check, found.batch.add
        for index, decoded in enumerate(decoder.decode(io.BytesIO(payload))):
            if index >= limit:
                raise Refused(responses.too_many(limit))
            if self.stopping:
                raise Refused(responses.unavailable("ingest is stopping"))
            only = None if index else decoded
            if isinstance(decoded, Skip):
                found.skipped[decoded.kind] += 1
                continue
            own = decoded.source or source
            try:
                if isinstance(decoded, Unreadable):
                    raise ReceiptError(decoded.faults, parseable=False)
                head, _, _ = check(decoded.body, received_us, own, decoded.day)
                found.parseable = True
                if stores is not None and (store := store_of(head)) not in stores:
                    found.foreign += 1
                    found.rejected.append((index, [responses.foreign_store(store.decode())]))
                    continue
                add(head, decoded.body, decoded.original)
                found.accepted += 1
            except ReceiptError as error:
                self._reject(found, index, error, decoded, received_us, own)
        if isinstance(only, Unreadable) and not only.source and not replayed(source):
            # Of a document that is none its decoder may have kept a part.
            found.batch = Batch()
            self.add_refusal(found.batch, found.rejected[0][1], payload, received_us, source)
        self._conclude(found, decoder, payload)
        return found

    def _reject(
        self, found: Sorted, index: int, error: ReceiptError, decoded: Record | Unreadable, received_us: int, own: str
    ) -> None:
        found.parseable = found.parseable or error.parseable
        told = list(error.faults[: _FAULTS_TOLD if found.faults < _FAULTS_OF_ALL else 1])
        found.faults += len(told)
        found.rejected.append((index, told))
        if not replayed(own):
            self.add_refusal(found.batch, told, came(decoded), received_us, own)

    def _conclude(self, found: Sorted, decoder: Decoder, payload: bytes) -> None:
        if not found.batch and not found.skipped and not found.rejected:
            fault = Fault("$", "there is no receipt in it", "send at least one")
            empty = ReceiptError([fault], parseable=bool(payload) and not payload.isspace())
            found.empty = self.advised(empty, decoder, payload)
            return
        if found.foreign and not found.accepted:
            # What came with a key that is for none of it is kept nowhere, lest it fill the quarantine.
            raise Refused(responses.batch(0, found.rejected, found.skipped, parseable=True, foreign=True))
        if found.rejected and not found.accepted:
            index, told = found.rejected[-1]
            advised = self.advised(ReceiptError(told, found.parseable), decoder, payload)
            found.rejected[-1] = index, advised.faults
        found.answer = responses.batch(found.accepted, found.rejected, found.skipped, parseable=found.parseable)

    def add_refusal(
        self, batch: Batch, faults: Sequence[Fault], original: bytes, received_us: int, source: str
    ) -> None:
        """A record for the quarantine, with as much of the original as a receipt may be large."""
        head, kept = self.validator.refusal(faults, original, received_us, source)
        batch.add(head, b"", kept)

    def advised(self, error: ReceiptError, decoder: Decoder, payload: bytes) -> ReceiptError:
        """The error, with what the payload seems to be where the header names something else."""
        advice = _packed(payload)
        likely = self._formats.recognised(payload)
        if likely is not None and likely is not decoder and likely.media_types:
            hint = f"send it as {likely.media_types[0]}"
            advice = Fault("$", f"it looks like {likely.title}, and was taken for {decoder.title}", hint)
        return error if advice is None else ReceiptError([*error.faults, advice], error.parseable)


class Apart:
    """A sorter in a thread of its own, for what takes long: one such payload is worked on at a time.

    So receipts that come one by one wait for no batch, and however many large bodies come, one is unpacked.
    """

    def __init__(self, settings: Settings, formats: Formats) -> None:
        self.sorter = Sorter(settings, formats.copy())
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "sort")

    async def run(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._executor, work)

    def close(self) -> None:
        """End what is under way as soon as may be, and begin nothing."""
        self.sorter.stopping = True
        self._executor.shutdown(wait=False, cancel_futures=True)


def came(decoded: Record | Unreadable) -> bytes:
    """The bytes that were sent for it."""
    return decoded.original or (decoded.body if isinstance(decoded, Record) else b"")


_STORE = HEAD_COLUMNS.index("store")


def store_of(head: bytes) -> bytes:
    """The store that a record's head names; a refusal's names none."""
    return head.split(b"\t", _STORE + 1)[_STORE]


def replayed(source: str) -> bool:
    """Whether it is in quarantine already: every try to replay it would leave another copy there."""
    return source.split("/")[1:2] == [REPLAY]


def _packed(payload: bytes) -> Fault | None:
    if payload.startswith(_ZIP):
        return Fault("$", "it looks like a zip archive", "send the files that are in it, or gzip with Content-Encoding")
    kind = compression.kind(payload[:8])
    return Fault("$", f"it looks like {kind} data", f"send it with Content-Encoding: {kind}") if kind else None
