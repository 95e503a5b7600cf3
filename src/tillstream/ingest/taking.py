"""How receipts are taken: decode, validate, hand to the group commit, and say what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial

from tillstream.clock import Clock
from tillstream.errors import LogFull
from tillstream.formats.base import Decoder, Formats, Record, Unreadable
from tillstream.formats.json import looks_like_json
from tillstream.ingest import answers
from tillstream.ingest.answers import Answer, Refused
from tillstream.ingest.commit import Committer, Outcome
from tillstream.ingest.counters import Counters
from tillstream.ingest.encoding import ENCODINGS, BrokenEncoding, TooLarge, undo
from tillstream.ingest.rates import StoreRates
from tillstream.ingest.request import Headers, Reply, Request
from tillstream.ingest.room import Room
from tillstream.log.base import Batch
from tillstream.receipt import HEAD_COLUMNS, SIMULATED, Fault
from tillstream.settings import Settings
from tillstream.validation import ReceiptError, Validator

IDENTITY = b"identity"
SOURCE_HEADER = b"tillstream-source"
JSON_TYPE = "application/json"

# A batch gives way to other requests after so many receipts.
_SLICE = 200
# Of each receipt in a batch; alone it is told more of its faults.
_FAULTS_TOLD = 20
_STORE = HEAD_COLUMNS.index("store")
_NO_ROOM = "too much waits for the disk"


class Taker:
    """Takes receipts from requests; made and used on the event loop."""

    def __init__(
        self, settings: Settings, clock: Clock, formats: Formats, committer: Committer, room: Room, counters: Counters
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._formats = formats
        self._committer = committer
        self._room = room
        self._counters = counters
        self._validator = Validator(settings)
        self._rates = StoreRates(settings.store_limit_receipts_per_s)
        self._loop = asyncio.get_running_loop()

    def one(self, request: Request, reply: Reply) -> None:
        """Take the request's receipt; `reply` comes with the group commit. Raises `Refused`.

        No task and no future stand for it: they would cost as much as all of its validation.
        """
        self._one(request.body, self._decoder(request.headers), request.headers, reply)

    async def one_later(self, request: Request) -> Answer:
        """The same where the body is encoded, or broke off."""
        decoder = self._decoder(request.headers)
        try:
            payload = await self._payload(request)
        except ReceiptError as error:
            return await self._keep(error, request.body, _source(decoder, request.headers))
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._one(payload, decoder, request.headers, answer.set_result)
        return await answer

    def _one(self, payload: bytes, decoder: Decoder | None, headers: Headers, reply: Reply) -> None:
        if len(payload) > self._settings.receipt_limit_bytes:
            raise Refused(answers.receipt_too_large(self._settings.receipt_limit_bytes))
        source = _source(decoder, headers)
        received_us = self._clock.now_us()
        decoded = (decoder or self._guess(payload)).one(payload)
        try:
            if isinstance(decoded, Unreadable):
                raise ReceiptError(decoded.faults, parseable=True)
            head, key, day = self._validator.check(decoded.body, received_us, source)
        except ReceiptError as error:
            came = decoded.original or (decoded.body if isinstance(decoded, Record) else b"")
            self._refuse(error, came, received_us, source, reply)
            return
        if self._rates.limit_per_s:
            self._keep_pace([head])
        if not self._committer.add(head, decoded.body, decoded.original, partial(self._acknowledge, reply, key, day)):
            raise Refused(answers.unavailable(_NO_ROOM))

    def _acknowledge(self, reply: Reply, key: str, day: str, outcome: Outcome) -> None:
        if outcome is not None:
            reply(unavailable(outcome))
            return
        self._counters.accepted += 1
        reply(answers.accepted(key, day))

    async def many(self, request: Request) -> Answer:
        """Take all the receipts of the request that are right. Raises `Refused`."""
        decoder = self._decoder(request.headers)
        source = _source(decoder, request.headers)
        try:
            payload = await self._payload(request)
        except ReceiptError as error:
            return await self._keep(error, request.body, source)
        if not self._room.take(len(payload)):
            raise Refused(answers.unavailable(_NO_ROOM))
        try:
            batch, rejected, parseable = await self._sort(decoder or self._guess(payload), payload, source)
        finally:
            self._room.give(len(payload))
        if not batch:
            fault = Fault("$", "there is no receipt in it", "send at least one")
            return await self._keep(ReceiptError([fault], parseable=bool(payload.strip())), payload, source)
        if self._rates.limit_per_s:
            self._keep_pace(batch.heads)
        outcome = await self._commit(batch)
        if outcome is not None:
            return unavailable(outcome)
        accepted = len(batch) - len(rejected)
        self._counters.accepted += accepted
        self._counters.refused += len(rejected)
        return answers.batch(accepted, rejected, parseable=parseable)

    async def _sort(
        self, decoder: Decoder, payload: bytes, source: str
    ) -> tuple[Batch, list[tuple[int, list[Fault]]], bool]:
        """Everything of the payload as records of the log, the refused ones, and whether any could be parsed."""
        batch = Batch()
        rejected: list[tuple[int, list[Fault]]] = []
        parseable = False
        received_us = self._clock.now_us()
        for index, decoded in enumerate(decoder.many(payload)):
            if index >= self._settings.batch_limit_receipts:
                raise Refused(answers.too_many(self._settings.batch_limit_receipts))
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            try:
                if isinstance(decoded, Unreadable):
                    raise ReceiptError(decoded.faults, parseable=False)
                head, _, _ = self._validator.check(decoded.body, received_us, source)
                batch.add(head, decoded.body, decoded.original)
                parseable = True
            except ReceiptError as error:
                parseable = parseable or error.parseable
                told = list(error.faults[:_FAULTS_TOLD])
                rejected.append((index, told))
                came = decoded.original or (decoded.body if isinstance(decoded, Record) else b"")
                self._add_refusal(batch, told, came, received_us, source)
        return batch, rejected, parseable

    # -- what is refused

    async def _keep(self, error: ReceiptError, came: bytes, source: str) -> Answer:
        """What `_refuse` does, for those who can wait."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._refuse(error, came, self._clock.now_us(), source, answer.set_result)
        return await answer

    def _refuse(self, error: ReceiptError, came: bytes, received_us: int, source: str, reply: Reply) -> None:
        """Keep what came with its faults, then say them. Raises `Refused`."""
        batch = Batch()
        self._add_refusal(batch, error.faults, came, received_us, source)

        def told(outcome: Outcome) -> None:
            if outcome is not None:
                reply(unavailable(outcome))
                return
            self._counters.refused += 1
            reply(answers.refused(error.faults, parseable=error.parseable))

        if not self._committer.add_all(batch, told):
            raise Refused(answers.unavailable(_NO_ROOM))

    def _add_refusal(self, batch: Batch, faults: Sequence[Fault], came: bytes, received_us: int, source: str) -> None:
        limit = self._settings.receipt_limit_bytes
        if len(came) > limit:
            faults = [*faults, Fault("$", f"the first {limit} of {len(came)} bytes are kept")]
        batch.add(self._validator.refusal(faults, received_us, source), b"", came[:limit])

    # -- on the way

    async def _commit(self, batch: Batch) -> Outcome:
        """Raises `Refused`."""
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        if not self._committer.add_all(batch, outcome.set_result):
            raise Refused(answers.unavailable(_NO_ROOM))
        return await outcome

    async def _payload(self, request: Request) -> bytes:
        """The body without its content encoding. Raises `Refused`, and `ReceiptError` where it is broken."""
        if request.broken:
            raise ReceiptError([Fault("$", "the body broke off", "send it again")], parseable=False)
        encoding = request.headers.get(b"content-encoding", b"").lower()
        if encoding in (b"", IDENTITY):
            return request.body
        try:
            return await asyncio.to_thread(undo, encoding.decode(), request.body, self._settings.body_limit_bytes)
        except TooLarge:
            raise Refused(answers.body_too_large(self._settings.body_limit_bytes)) from None
        except BrokenEncoding as error:
            raise ReceiptError([Fault("$", str(error), "send it again")], parseable=False) from error

    def _keep_pace(self, heads: Sequence[bytes]) -> None:
        """Raises `Refused` where a store sends more than it may."""
        stores = Counter(head.split(b"\t", _STORE + 1)[_STORE].decode() for head in heads)
        # A refusal names no store; whoever sends them is not held back by a store's rate.
        del stores[""]
        over = self._rates.over(stores, self._loop.time())
        if over is not None:
            raise Refused(answers.too_fast(over.store, self._rates.limit_per_s, over.wait_s))

    def _decoder(self, headers: Headers) -> Decoder | None:
        """By the media type; None where there is none. Raises `Refused`."""
        encoding = headers.get(b"content-encoding")
        if encoding and encoding.lower() not in (IDENTITY, *_ENCODINGS):
            raise Refused(answers.unsupported_encoding())
        content_type = headers.get(b"content-type")
        if not content_type:
            return None
        decoder = self._formats.decoder(content_type.decode("latin-1"))
        if decoder is None:
            raise Refused(answers.unsupported_type(self._formats.media_types))
        return decoder

    def _guess(self, payload: bytes) -> Decoder:
        decoder = self._formats.decoder(JSON_TYPE) if looks_like_json(payload) or not payload else None
        if decoder is None:
            raise Refused(answers.unsupported_type(self._formats.media_types))
        return decoder


_ENCODINGS = frozenset(name.encode() for name in ENCODINGS)


def _source(decoder: Decoder | None, headers: Headers) -> str:
    source = f"{decoder.name if decoder else 'json'}/http"
    return f"{source}/{SIMULATED}" if headers.get(SOURCE_HEADER) == SIMULATED.encode() else source


def reason(outcome: Exception) -> str:
    """Why the log takes nothing, for those who ask."""
    return "the log is full" if isinstance(outcome, LogFull) else "the log cannot take records now"


def unavailable(outcome: Exception) -> Answer:
    return answers.unavailable(reason(outcome))
