"""Decoding and validation of decompressed request bodies.

The results are records for the log: accepted receipts, and refusals (rejected bytes with the reasons). Records that
are not sales are skipped, and only their number is kept.
"""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct

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

INLINE_BYTES = 64 * 1024
"""Payloads up to this size are decoded on the event loop, in at most about 20 ms. A thread decodes larger ones."""

# In a batch (a request to `/receipts`), at most this number of faults is reported for each receipt.
_FAULTS_PER_RECEIPT = 20
# If a batch already has at least this number of faults, only the first fault of each further receipt is reported.
_FAULTS_PER_BATCH = 2_000

_ZIP = b"PK\x03\x04"
_STORE = HEAD_COLUMNS.index("store")

T = TypeVar("T")


@dataclass(slots=True)
class DecodedRequest:
    """The result of decoding a batch: the records for the log, and the response.

    The response is sent when the records are durable, that is, safely on disk.
    """

    batch: Batch = field(default_factory=Batch)
    """The accepted receipts and the refusals."""
    rejected: list[tuple[int, Sequence[Fault]]] = field(default_factory=list)
    """For each rejected receipt: its index in the request, and its faults. Skipped records also have an index."""
    skipped: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    forbidden: int = 0
    """The number of receipts that were rejected because the API key is not valid for their store."""
    parseable: bool = False
    fault_count: int = 0
    response: Response = field(init=False)


class Content(Struct, frozen=True):
    """The decompressed body of a request.

    `source` says how the body arrived, such as `json/http`. It is not used for receipts that contain their own source.
    """

    decoder: Decoder
    payload: bytes
    source: str
    received_us: int


class SingleReceipt(Struct, frozen=True):
    """The result of decoding a request with one receipt.

    If `decoded` is a `Skip` (a record that is not a sale), neither `checked` nor `error` is set. Otherwise, one of them
    is set.
    """

    decoded: Decoded
    source: str
    checked: tuple[bytes, str, str] = (b"", "", "")
    """The head (the columns of the log record), the key and the business day of a valid receipt."""
    error: ReceiptError | None = None


class RequestDecoder:
    """Decodes and validates payloads. Only one thread may use it at a time, because decoders have state."""

    def __init__(self, settings: Settings, formats: Formats) -> None:
        self.stopping = False
        """If this is true, `decode_all` raises `Refused`. Any thread may set it."""
        self._settings = settings
        self._formats = formats
        self._validator = Validator(settings)
        # The decoders of this object by type. The decoder in a `Content` may belong to another thread. Therefore, only
        # its type is used, to find the decoder here.
        self._own = {type(decoder): decoder for decoder in formats}

    def decode_one(self, content: Content) -> SingleReceipt:
        """Decode and validate content with one receipt."""
        decoded = self._own[type(content.decoder)].one(content.payload)
        if isinstance(decoded, Skip):
            return SingleReceipt(decoded, content.source)
        source = decoded.source or content.source
        try:
            if isinstance(decoded, Unreadable):
                raise ReceiptError(decoded.faults, parseable=True)
            checked = self._validator.check(decoded.body, content.received_us, source, decoded.day)
            return SingleReceipt(decoded, source, checked)
        except ReceiptError as error:
            return SingleReceipt(decoded, source, error=self._with_advice(error, content))

    def decode_all(self, content: Content, stores: Stores = None) -> DecodedRequest:
        """Decode and validate content with any number of receipts.

        A receipt is rejected if its store is not in `stores`. None means all stores.

        Raises `ReceiptError` if the content has no records. Raises `Refused` if the content has too many records, or if
        `stopping` is set. Also raises `Refused` if a store is not in `stores` and no receipt is accepted.
        """
        payload, source, received_us = content.payload, content.source, content.received_us
        decoder, result, single = self._own[type(content.decoder)], DecodedRequest(), None
        limit, check, add = self._settings.batch_limit_receipts, self._validator.check, result.batch.add
        for index, decoded in enumerate(decoder.decode(io.BytesIO(payload))):
            if index >= limit:
                raise Refused(responses.too_many_receipts(limit))
            if self.stopping:
                raise Refused(responses.unavailable("ingest is stopping"))
            single = None if index else decoded
            if isinstance(decoded, Skip):
                result.skipped[decoded.kind] += 1
                continue
            own_source = decoded.source or source
            try:
                if isinstance(decoded, Unreadable):
                    raise ReceiptError(decoded.faults, parseable=False)
                head, _, _ = check(decoded.body, received_us, own_source, decoded.day)
                result.parseable = True
                if stores is not None and (store := store_of(head)) not in stores:
                    result.forbidden += 1
                    result.rejected.append((index, [responses.forbidden_store(store.decode())]))
                    continue
                add(head, decoded.body, decoded.original)
                result.accepted += 1
            except ReceiptError as error:
                result.parseable = result.parseable or error.parseable
                faults = error.faults[: _FAULTS_PER_RECEIPT if result.fault_count < _FAULTS_PER_BATCH else 1]
                result.fault_count += len(faults)
                result.rejected.append((index, faults))
                if not is_replay(own_source):
                    self.add_refusal(result.batch, faults, original_of(decoded), received_us, own_source)
        if isinstance(single, Unreadable) and not single.source and not is_replay(source):
            # The whole payload is unreadable. Quarantine all of it, because `decoded.original` may hold only a part.
            result.batch = Batch()
            self.add_refusal(result.batch, result.rejected[0][1], payload, received_us, source)
        self._conclude(result, content)
        return result

    def _conclude(self, result: DecodedRequest, content: Content) -> None:
        if not result.batch and not result.skipped and not result.rejected:
            fault = Fault("$", "there is no receipt in it", "send at least one")
            parseable = bool(content.payload) and not content.payload.isspace()
            raise self._with_advice(ReceiptError([fault], parseable), content)
        if result.forbidden and not result.accepted:
            # Do not store the refusals of this request. Otherwise, a key for another store could fill the quarantine.
            raise Refused(responses.batch(0, result.rejected, result.skipped, parseable=True, forbidden=True))
        if result.rejected and not result.accepted:
            index, faults = result.rejected[-1]
            result.rejected[-1] = index, self._with_advice(ReceiptError(faults, result.parseable), content).faults
        result.response = responses.batch(result.accepted, result.rejected, result.skipped, parseable=result.parseable)

    def add_refusal(
        self, batch: Batch, faults: Sequence[Fault], original: bytes, received_us: int, source: str
    ) -> None:
        """Add a refusal to the batch. `original` is truncated if it exceeds the size limit of receipts."""
        head, stored = self._validator.refusal(faults, original, received_us, source)
        batch.add(head, b"", stored)

    def _with_advice(self, error: ReceiptError, content: Content) -> ReceiptError:
        """Return the error. If the payload looks like another format or compressed data, a further fault says so."""
        payload, decoder = content.payload, content.decoder
        likely = self._formats.recognised(payload)
        if likely is not None and type(likely) is not type(decoder) and likely.media_types:
            format_error = f"it looks like {likely.title}, but was sent as {decoder.title}"
            advice = Fault("$", format_error, f"send it as {likely.media_types[0]}")
        elif payload.startswith(_ZIP):
            hint = "send the files that are in it, or gzip with Content-Encoding"
            advice = Fault("$", "it looks like a zip archive", hint)
        elif kind := compression.kind(payload):
            advice = Fault("$", f"it looks like {kind} data", f"send it with Content-Encoding: {kind}")
        else:
            return error
        return ReceiptError([*error.faults, advice], error.parseable)


class DecodeWorker:
    """A thread that decompresses and decodes large payloads, one at a time. The event loop decodes small payloads."""

    def __init__(self, settings: Settings, formats: Formats) -> None:
        self.decoder = RequestDecoder(settings, formats.copy())
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "decode")

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in the thread, and return its result."""
        return await self._loop.run_in_executor(self._executor, work)

    def close(self) -> None:
        """Stop decoding a batch at its next record, and cancel the work that has not begun."""
        self.decoder.stopping = True
        self._executor.shutdown(wait=False, cancel_futures=True)


def original_of(decoded: Record | Unreadable) -> bytes:
    """Return the bytes of the receipt as the client sent them. If the decoder does not know them, return no bytes."""
    return decoded.original or (decoded.body if isinstance(decoded, Record) else b"")


def store_of(head: bytes) -> bytes:
    """Return the store in the head of a record. A refusal has an empty store."""
    return head.split(b"\t", _STORE + 1)[_STORE]


def is_replay(source: str) -> bool:
    """Whether a source, such as `json/replay`, marks receipts that were sent again (replayed) from quarantine.

    Such receipts are never quarantined again.
    """
    return source.split("/")[1:2] == [REPLAY]
