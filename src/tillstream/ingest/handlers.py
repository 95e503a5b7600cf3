"""Handlers of `POST /receipt` and `POST /receipts`: decode and validate the body, commit the receipts, and respond.

A group commit stores the records of many requests together. The response to valid receipts is sent after the commit:
202 if the receipts are durable, or 503 if the log accepts no records, for example because RabbitMQ is unavailable or
the disk is full.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.formats.base import Decoder, Record, Skip
from tillstream.formats.registry import Formats
from tillstream.http.memory import MemoryBudget, Reservation
from tillstream.http.messages import Headers, Reply, Request, Response, is_cross_site
from tillstream.ingest import responses
from tillstream.ingest.auth import Stores
from tillstream.ingest.content_encoding import ENCODINGS, decompress, unreadable
from tillstream.ingest.counters import Counters
from tillstream.ingest.decoding import (
    INLINE_BYTES,
    Content,
    DecodeWorker,
    RequestDecoder,
    SingleReceipt,
    is_replay,
    original_of,
    store_of,
)
from tillstream.ingest.group_commit import Committer, Outcome
from tillstream.ingest.responses import Refused
from tillstream.log.base import Batch
from tillstream.receipt.model import REPLAY, SIMULATED
from tillstream.receipt.validation import ReceiptError
from tillstream.token_bucket import TokenBuckets

IDENTITY = "identity"
SOURCE_HEADER = b"tillstream-source"
JSON_TYPE = "application/json"

STORES_LIMIT = 100_000
"""The maximum number of stores whose rate is measured at the same time."""

# A source is a format and an entry point, such as `json/http`. These are the entry points by the value of the header
# `Tillstream-Source`. Without the header, or with another value, the entry point is `http`.
_ENTRY_POINTS = {
    SIMULATED.encode(): f"http/{SIMULATED}",
    REPLAY.encode(): REPLAY,
    f"{REPLAY}/{SIMULATED}".encode(): f"{REPLAY}/{SIMULATED}",
}

T = TypeVar("T")


class ReceiptHandlers:
    """Accepts receipts from requests. Only the event loop may create and use it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        formats: Formats,
        committer: Committer,
        budget: MemoryBudget,
        counters: Counters,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._formats = formats
        self._committer = committer
        self._budget = budget
        self._counters = counters
        self._decoder = RequestDecoder(settings, formats)
        self._worker = DecodeWorker(settings, formats)
        # Each receipt takes a token from the bucket of its store. A bucket holds the tokens for one second. A batch may
        # take more tokens than the bucket holds. The number of tokens is then negative, and the store's next requests
        # are refused until the number has risen to zero.
        limit = settings.store_limit_receipts_per_s
        self._rates = TokenBuckets(limit, limit, STORES_LIMIT) if limit else None
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Stop decoding large payloads."""
        self._worker.close()

    def post_receipt(self, request: Request, reply: Reply, stores: Stores = None) -> None:
        """Accept the receipt of a small, uncompressed request. Raises `Refused`.

        The store of the receipt must be in `stores`. None means all stores. Calls `reply` after the group commit. This
        is not a coroutine, because a coroutine needs a task, and creating a task takes as long as validating the
        receipt.
        """
        payload, headers = request.body, request.headers
        decoder = self._select_decoder(headers)
        if len(payload) > self._settings.receipt_limit_bytes:
            raise Refused(responses.receipt_too_large(self._settings.receipt_limit_bytes))
        content = self._content(decoder, payload, headers)
        self._accept(self._decoder.decode_one(content), content, stores, reply)

    async def post_large_receipt(self, request: Request, stores: Stores = None) -> Response:
        """Like `post_receipt`, but the body may be large or compressed. Returns the response. Raises `Refused`."""
        limit_bytes = min(self._settings.receipt_limit_bytes, self._settings.body_limit_bytes)
        with self._reserve(request) as reservation:
            too_large = responses.receipt_too_large(limit_bytes)
            content = await self._decompress(request, reservation, limit_bytes, too_large)
            receipt = await self._decode(content, RequestDecoder.decode_one)
        response: asyncio.Future[Response] = self._loop.create_future()
        self._accept(receipt, content, stores, response.set_result)
        # The committer keeps the data that it needs, and has reserved memory for them. Free the rest before the wait.
        del request, content, receipt
        return await response

    async def post_receipts(self, request: Request, stores: Stores = None) -> Response:
        """Accept all receipts of a request that are valid and whose store is in `stores`. Raises `Refused`."""
        limit_bytes = self._settings.body_limit_bytes
        with self._reserve(request) as reservation:
            too_large = responses.body_too_large(limit_bytes)
            content = await self._decompress(request, reservation, limit_bytes, too_large)
            # The reservation now covers only the decompressed body, so free the compressed body.
            del request
            try:
                decoded = await self._decode(content, partial(RequestDecoder.decode_all, stores=stores))
            except ReceiptError as error:
                return await self._refuse_and_wait(error, content.payload, content.source)
            del content
        if self._rates is not None:
            self._check_rates(self._rates, decoded.batch.heads)
        if decoded.batch:
            outcome: asyncio.Future[Outcome] = self._loop.create_future()
            self._committer.add_all(decoded.batch, outcome.set_result)
            if (failure := await outcome) is not None:
                return responses.log_unavailable(failure)
        self._counters.accepted += decoded.accepted
        self._counters.refused += len(decoded.rejected)
        for kind, number in decoded.skipped.items():
            self._counters.count_skipped(kind, number)
        return decoded.response

    def _accept(self, receipt: SingleReceipt, content: Content, stores: Stores, reply: Reply) -> None:
        decoded = receipt.decoded
        if isinstance(decoded, Skip):
            self._counters.count_skipped(decoded.kind)
            reply(responses.batch(0, [], {decoded.kind: 1}, parseable=True))
            return
        if receipt.error is not None:
            original = original_of(decoded) or content.payload
            self._refuse(receipt.error, original, content.received_us, receipt.source, reply)
            return
        assert isinstance(decoded, Record)
        head, key, day = receipt.checked
        if stores is not None and (store := store_of(head)) not in stores:
            raise Refused(responses.forbidden(store.decode()))
        if self._rates is not None:
            self._check_rates(self._rates, [head])
        self._committer.add(head, decoded.body, decoded.original, partial(self._acknowledge, reply, key, day))

    def _acknowledge(self, reply: Reply, key: str, day: str, outcome: Outcome) -> None:
        """Reply with 202 if the receipt is durable, or with 503 if the commit failed."""
        if outcome is not None:
            reply(responses.log_unavailable(outcome))
            return
        self._counters.accepted += 1
        reply(responses.accepted(key, day))

    def _refuse(self, error: ReceiptError, original: bytes, received_us: int, source: str, reply: Reply) -> None:
        """Quarantine the original bytes with the faults, then reply with the faults.

        A receipt that was replayed from quarantine is not quarantined again. Raises `Refused` if memory is exhausted.
        """

        def on_durable(outcome: Outcome) -> None:
            if outcome is not None:
                reply(responses.log_unavailable(outcome))
                return
            self._counters.refused += 1
            reply(responses.refused(error.faults, parseable=error.parseable))

        if is_replay(source):
            on_durable(None)
            return
        batch = Batch()
        self._decoder.add_refusal(batch, error.faults, original, received_us, source)
        self._committer.add_all(batch, on_durable)

    async def _refuse_and_wait(self, error: ReceiptError, original: bytes, source: str) -> Response:
        response: asyncio.Future[Response] = self._loop.create_future()
        self._refuse(error, original, self._clock.now_us(), source, response.set_result)
        return await response

    async def _decode(self, content: Content, decode: Callable[[RequestDecoder, Content], T]) -> T:
        """Decode on the event loop if the payload is small. Otherwise, decode in the worker's thread."""
        if len(content.payload) <= INLINE_BYTES:
            return decode(self._decoder, content)
        return await self._worker.run(partial(decode, self._worker.decoder, content))

    def _reserve(self, request: Request) -> Reservation:
        """Reserve memory for the whole body of a request. Raises `Refused` if memory is exhausted."""
        reservation = request.reservation or Reservation(self._budget)
        if not reservation.resize(len(request.body)):
            raise Refused(responses.over_budget())
        return reservation

    async def _decompress(
        self, request: Request, reservation: Reservation, limit_bytes: int, too_large: Response
    ) -> Content:
        """Decompress the body of a request, and select its decoder. Raises `Refused`.

        If the body is truncated or damaged, it is quarantined before `Refused` is raised. If the decompressed body is
        longer than `limit_bytes`, the response is `too_large`.
        """
        headers, body = request.headers, request.body
        decoder = self._select_decoder(headers)
        encoding = _encoding(headers)
        payload: bytes | None = None
        try:
            if request.truncated:
                raise unreadable("the body broke off")
            if encoding == IDENTITY:
                payload = body
            elif len(body) <= INLINE_BYTES:
                payload = decompress(encoding, body, min(limit_bytes, INLINE_BYTES))
            if payload is None:
                payload = await self._worker.run(partial(decompress, encoding, body, limit_bytes))
        except ReceiptError as error:
            raise Refused(await self._refuse_and_wait(error, body, _source(decoder, headers))) from error
        if payload is None or len(payload) > limit_bytes:
            raise Refused(too_large)
        if not reservation.resize(len(payload)):
            raise Refused(responses.over_budget())
        return self._content(decoder, payload, headers)

    def _check_rates(self, rates: TokenBuckets, heads: Sequence[bytes]) -> None:
        """Take a token for each receipt. If any store exceeds its rate limit, raise `Refused` and take no tokens."""
        stores = Counter(store_of(head).decode() for head in heads)
        # Refusals have no store and do not count.
        del stores[""]
        now_s = self._loop.time()
        for store in stores:
            wait_s = rates.wait_s(store, now_s)
            if wait_s > 0:
                limit_per_s = self._settings.store_limit_receipts_per_s
                raise Refused(responses.rate_limited(store, limit_per_s, math.ceil(wait_s)))
        for store, receipts in stores.items():
            rates.take(store, now_s, receipts)

    def _select_decoder(self, headers: Headers) -> Decoder | None:
        """Return the decoder for the media type, or None if there is no media type.

        Raises `Refused` if the media type or the content encoding is unknown. Also raises `Refused` if another site's
        page sent the request in a format that any page can send.
        """
        if b"content-encoding" in headers and _encoding(headers) not in (IDENTITY, *ENCODINGS):
            raise Refused(responses.unsupported_encoding())
        content_type = headers.get(b"content-type")
        decoder = self._formats.decoder(content_type.decode("latin-1")) if content_type else None
        if content_type and decoder is None:
            raise Refused(responses.unsupported_type(self._formats.media_types))
        if (decoder is None or decoder.sent_by_pages) and is_cross_site(headers):
            raise Refused(responses.cross_site())
        return decoder

    def _content(self, decoder: Decoder | None, payload: bytes, headers: Headers) -> Content:
        """Return the content of a request. If `decoder` is None, the format is detected from the payload.

        Raises `Refused` if no format is detected.
        """
        decoder = decoder or self._formats.recognised(payload)
        if decoder is None and not payload:
            decoder = self._formats.decoder(JSON_TYPE)
        if decoder is None:
            raise Refused(responses.unsupported_type(self._formats.media_types))
        return Content(decoder, payload, _source(decoder, headers), self._clock.now_us())


def _encoding(headers: Headers) -> str:
    return headers.get(b"content-encoding", b"").lower().decode("latin-1") or IDENTITY


def _source(decoder: Decoder | None, headers: Headers) -> str:
    """Return the source of the receipts in a request, for example `json/http`."""
    entry_point = _ENTRY_POINTS.get(headers.get(SOURCE_HEADER, b""), "http")
    return f"{decoder.name if decoder else 'json'}/{entry_point}"
