"""How receipts are taken: decode, validate, hand to the group commit, and say what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import LogFull
from tillstream.formats.base import Decoder, Skip, Unreadable
from tillstream.formats.registry import Formats
from tillstream.http.memory import MemoryBudget, Reservation
from tillstream.http.messages import Headers, Reply, Request, Response
from tillstream.ingest import responses
from tillstream.ingest.auth import Stores
from tillstream.ingest.content_encoding import ENCODINGS, BrokenEncoding, TooLarge, undo
from tillstream.ingest.counters import Counters
from tillstream.ingest.decoding import AT_ONCE_BYTES, Apart, Single, Sorter, came, replayed, store_of
from tillstream.ingest.group_commit import Committer, Outcome
from tillstream.ingest.origin import foreign
from tillstream.ingest.rate_limits import StoreRates
from tillstream.ingest.responses import Refused
from tillstream.log.base import Batch
from tillstream.receipt.model import REPLAY, SIMULATED, Fault
from tillstream.receipt.validation import ReceiptError

IDENTITY = "identity"
SOURCE_HEADER = b"tillstream-source"
JSON_TYPE = "application/json"

_NO_ROOM = "too much waits for the disk"

T = TypeVar("T")


class Taker:
    """Takes receipts from requests; made and used on the event loop."""

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
        self._sorter = Sorter(settings, formats)
        self._apart = Apart(settings, formats)
        self._rates = StoreRates(settings.store_limit_receipts_per_s)
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Begin nothing more that takes long."""
        self._apart.close()

    def one(self, request: Request, reply: Reply, stores: Stores = None) -> None:
        """Take the request's receipt, of one of these stores; `reply` comes with the group commit. Raises `Refused`.

        No task and no future stand for it: they would cost as much as all of its validation.
        """
        payload, decoder = request.body, self._decoder(request.headers)
        if len(payload) > self._settings.receipt_limit_bytes:
            raise Refused(responses.receipt_too_large(self._settings.receipt_limit_bytes))
        decoder = decoder or self._guess(payload)
        received_us = self._clock.now_us()
        single = self._sorter.one(decoder, payload, _source(decoder, request.headers), received_us)
        self._take(single, payload, received_us, reply, stores)

    async def one_later(self, request: Request, stores: Stores = None) -> Response:
        """The same where the body is encoded, is more than `AT_ONCE_BYTES`, or broke off."""
        headers = request.headers
        decoder = self._decoder(headers)
        limit_bytes = min(self._settings.receipt_limit_bytes, self._settings.body_limit_bytes)
        too_large = responses.receipt_too_large(limit_bytes)
        with self._reserve(request) as reservation:
            try:
                payload = await self._payload(request, reservation, limit_bytes, too_large)
            except ReceiptError as error:
                return await self._keep(error, request.body, _source(decoder, headers))
            if len(payload) > limit_bytes:
                raise Refused(too_large)
            decoder = decoder or self._guess(payload)
            source, received_us = _source(decoder, headers), self._clock.now_us()
            single = await self._sorted(
                payload, lambda sorter, payload: sorter.one(sorter.like(decoder), payload, source, received_us)
            )
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._take(single, payload, received_us, answer.set_result, stores)
        # The commit has counted what it needs of them; the rest may go.
        del request, payload, single
        return await answer

    def _take(self, single: Single, payload: bytes, received_us: int, reply: Reply, stores: Stores) -> None:
        decoded, source, checked, error = single
        if isinstance(decoded, Skip):
            self._counters.skip(decoded.kind)
            reply(responses.batch(0, [], {decoded.kind: 1}, parseable=True))
            return
        if checked is None or isinstance(decoded, Unreadable):
            assert error is not None
            self._refuse(error, came(decoded) or payload, received_us, source, reply)
            return
        head, key, day = checked
        if stores is not None and (store := store_of(head)) not in stores:
            raise Refused(responses.foreign(store.decode()))
        if self._rates.limit_per_s:
            self._keep_pace([head])
        if not self._committer.add(head, decoded.body, decoded.original, partial(self._acknowledge, reply, key, day)):
            raise Refused(responses.unavailable(_NO_ROOM))

    def _acknowledge(self, reply: Reply, key: str, day: str, outcome: Outcome) -> None:
        if outcome is not None:
            reply(unavailable(outcome))
            return
        self._counters.accepted += 1
        reply(responses.accepted(key, day))

    async def many(self, request: Request, stores: Stores = None) -> Response:
        """Take all the receipts of the request that are right, and of one of these stores. Raises `Refused`."""
        decoder = self._decoder(request.headers)
        limit_bytes = self._settings.body_limit_bytes
        with self._reserve(request) as reservation:
            try:
                payload = await self._payload(request, reservation, limit_bytes, responses.body_too_large(limit_bytes))
            except ReceiptError as error:
                return await self._keep(error, request.body, _source(decoder, request.headers))
            decoder = decoder or self._guess(payload)
            source, received_us = _source(decoder, request.headers), self._clock.now_us()
            # What it was unpacked from is not counted any more.
            del request
            found = await self._sorted(
                payload, lambda sorter, payload: sorter.all(decoder, payload, source, received_us, stores)
            )
            if found.empty is not None:
                return await self._keep(found.empty, payload, source)
            del payload
        if self._rates.limit_per_s:
            self._keep_pace(found.batch.heads)
        outcome = await self._commit(found.batch) if found.batch else None
        if outcome is not None:
            return unavailable(outcome)
        self._counters.accepted += found.accepted
        self._counters.refused += len(found.rejected)
        for kind, number in found.skipped.items():
            self._counters.skip(kind, number)
        assert found.answer is not None
        return found.answer

    async def _sorted(self, payload: bytes, work: Callable[[Sorter, bytes], T]) -> T:
        """What a sorter makes of the payload: here, or apart where that may take long."""
        if len(payload) <= AT_ONCE_BYTES:
            return work(self._sorter, payload)
        return await self._apart.run(partial(work, self._apart.sorter, payload))

    # -- what is refused

    async def _keep(self, error: ReceiptError, original: bytes, source: str) -> Response:
        """What `_refuse` does, for those who can wait."""
        answer: asyncio.Future[Response] = self._loop.create_future()
        self._refuse(error, original, self._clock.now_us(), source, answer.set_result)
        return await answer

    def _refuse(self, error: ReceiptError, original: bytes, received_us: int, source: str, reply: Reply) -> None:
        """Keep what came with its faults, then say them. Raises `Refused`."""
        if replayed(source):
            self._counters.refused += 1
            reply(responses.refused(error.faults, parseable=error.parseable))
            return
        batch = Batch()
        self._sorter.add_refusal(batch, error.faults, original, received_us, source)

        def told(outcome: Outcome) -> None:
            if outcome is not None:
                reply(unavailable(outcome))
                return
            self._counters.refused += 1
            reply(responses.refused(error.faults, parseable=error.parseable))

        if not self._committer.add_all(batch, told):
            raise Refused(responses.unavailable(_NO_ROOM))

    # -- on the way

    async def _commit(self, batch: Batch) -> Outcome:
        """Raises `Refused`."""
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        if not self._committer.add_all(batch, outcome.set_result):
            raise Refused(responses.unavailable(_NO_ROOM))
        return await outcome

    def _reserve(self, request: Request) -> Reservation:
        """What the request holds of the room, now with all of its body. Raises `Refused`."""
        reservation = request.reservation or Reservation(self._budget)
        if not reservation.resize(len(request.body)):
            raise Refused(responses.unavailable(_NO_ROOM))
        return reservation

    async def _payload(
        self, request: Request, reservation: Reservation, limit_bytes: int, too_large: Response
    ) -> bytes:
        """The body without its encoding, in its share. Raises `Refused`, and `ReceiptError` where it is broken."""
        body = request.body
        if request.truncated:
            raise ReceiptError([Fault("$", "the body broke off", "send it again")], parseable=False)
        encoding = request.headers.get(b"content-encoding", b"").lower().decode("latin-1")
        if encoding in ("", IDENTITY):
            return body
        payload = None
        try:
            if len(body) <= AT_ONCE_BYTES:
                with suppress(TooLarge):
                    payload = undo(encoding, body, min(limit_bytes, AT_ONCE_BYTES))
            if payload is None:
                payload = await self._apart.run(partial(undo, encoding, body, limit_bytes))
        except TooLarge:
            raise Refused(too_large) from None
        except BrokenEncoding as error:
            raise ReceiptError([Fault("$", str(error), "send it again")], parseable=False) from error
        if not reservation.resize(len(payload)):
            raise Refused(responses.unavailable(_NO_ROOM))
        return payload

    def _keep_pace(self, heads: Sequence[bytes]) -> None:
        """Raises `Refused` where a store sends more than it may."""
        stores = Counter(store_of(head).decode() for head in heads)
        # A refusal names no store; whoever sends them is not held back by a store's rate.
        del stores[""]
        over = self._rates.over(stores, self._loop.time())
        if over is not None:
            raise Refused(responses.too_fast(over.store, self._rates.limit_per_s, over.wait_s))

    def _decoder(self, headers: Headers) -> Decoder | None:
        """By the media type; None where there is none. Raises `Refused`."""
        encoding = headers.get(b"content-encoding")
        if encoding and encoding.lower().decode("latin-1") not in (IDENTITY, *ENCODINGS):
            raise Refused(responses.unsupported_encoding())
        content_type = headers.get(b"content-type")
        if not content_type:
            if foreign(headers):
                raise Refused(responses.foreign_page())
            return None
        decoder = self._formats.decoder(content_type.decode("latin-1"))
        if decoder is None:
            raise Refused(responses.unsupported_type(self._formats.media_types))
        if decoder.sent_by_pages and foreign(headers):
            raise Refused(responses.foreign_page())
        return decoder

    def _guess(self, payload: bytes) -> Decoder:
        """By what the payload begins with. Raises `Refused`."""
        decoder = self._formats.recognised(payload) or (None if payload else self._formats.decoder(JSON_TYPE))
        if decoder is None:
            raise Refused(responses.unsupported_type(self._formats.media_types))
        return decoder


def _source(decoder: Decoder | None, headers: Headers) -> str:
    name, said = decoder.name if decoder else "json", headers.get(SOURCE_HEADER)
    if said in _REPLAYS:
        return f"{name}/{_REPLAYS[said]}"
    source = f"{name}/http"
    return f"{source}/{SIMULATED}" if said == SIMULATED.encode() else source


_REPLAYS = {name.encode(): name for name in (REPLAY, f"{REPLAY}/{SIMULATED}")}


def reason(outcome: Exception) -> str:
    """Why the log takes nothing, for those who ask."""
    return "the log is full" if isinstance(outcome, LogFull) else "the log cannot take records now"


def unavailable(outcome: Exception) -> Response:
    return responses.unavailable(reason(outcome))
