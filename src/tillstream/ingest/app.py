"""The HTTP application of ingest: it reads, validates, commits, and only then says 202."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]

from tillstream.clock import Clock
from tillstream.errors import LogFull
from tillstream.formats.base import Decoder, Formats, Record, Unreadable
from tillstream.formats.json import JsonDecoder, looks_like_json
from tillstream.ingest import answers, openapi
from tillstream.ingest.answers import Answer, Refused
from tillstream.ingest.commit import Committer, Outcome
from tillstream.ingest.counters import Counters, Exposition
from tillstream.ingest.encoding import ENCODINGS, BrokenEncoding, TooLarge, undo
from tillstream.ingest.reading import BodyReader
from tillstream.log.base import Batch
from tillstream.receipt import SIMULATED, Fault
from tillstream.settings import Settings
from tillstream.validation import ReceiptError, Validator

IDENTITY = "identity"
SOURCE_HEADER = "tillstream-source"
JSON_TYPE = "application/json"

# A batch gives way to other requests after so many receipts.
_SLICE = 200
_PROBE_TIMEOUT_S = 2.0
# Of each receipt in a batch; alone it is told more of its faults.
_FAULTS_TOLD = 20

Handler = Callable[[Scope, HTTPProtocol], Awaitable[Answer]]
_NO_METHODS: dict[str, Handler] = {}

_logger = structlog.get_logger()


class IngestApp:
    """An RSGI application. `stopping` makes `/health/ready` say so before the port closes."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        formats: Formats,
        committer: Committer,
        counters: Counters,
        exposition: Exposition,
    ) -> None:
        self.stopping = False
        self.active = 0
        self._settings = settings
        self._clock = clock
        self._formats = formats
        self._committer = committer
        self._counters = counters
        self._exposition = exposition
        self._validator = Validator(settings)
        self._json = JsonDecoder()
        self.reader = BodyReader(settings, committer)
        self._handlers: dict[str, dict[str, Handler]] = {
            "/receipt": {"POST": self._take_one},
            "/receipts": {"POST": self._take_many},
            "/health/live": {"GET": self._live},
            "/health/ready": {"GET": self._ready},
            "/metrics": {"GET": self._metrics},
            **{path: {"GET": partial(self._document, page)} for path, page in openapi.pages(self._formats).items()},
        }

    def turn_away(self) -> None:
        """Say at `/health/ready` that it is stopping."""
        self.stopping = True

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        self.active += 1
        try:
            methods = self._handlers.get(scope.path, _NO_METHODS)
            handler = methods.get(scope.method) or self._without_handler
            status, headers, body = await handler(scope, protocol)
        except Refused as refusal:
            status, headers, body = refusal.answer
        except Exception:
            _logger.exception("request_failed")
            status, headers, body = answers.failed()
        finally:
            self.active -= 1
        self._counters.requests[status] += 1
        protocol.response_bytes(status, headers, body)

    async def _without_handler(self, scope: Scope, protocol: HTTPProtocol) -> Answer:
        methods = self._handlers.get(scope.path)
        if methods is None:
            return answers.not_found(scope.path)
        if scope.method == "HEAD" and "GET" in methods:
            return await methods["GET"](scope, protocol)
        return answers.method_not_allowed([*methods, "HEAD"] if "GET" in methods else list(methods))

    # -- receipts

    async def _take_one(self, scope: Scope, protocol: HTTPProtocol) -> Answer:
        headers = scope.headers
        decoder = self._decoder(headers)
        source = self._source(decoder, headers)
        try:
            payload = await self._payload(headers, protocol)
        except (ProtocolClosed, BrokenEncoding) as error:
            return await self._unreadable(error, source)
        if len(payload) > self._settings.receipt_limit_bytes:
            raise Refused(answers.body_too_large(self._settings.receipt_limit_bytes))
        received_us = self._clock.now_us()
        decoded = (decoder or self._guess(payload)).one(payload)
        if isinstance(decoded, Unreadable):
            return await self._refuse(decoded.faults, decoded.original, received_us, source, parseable=True)
        body, original = decoded
        try:
            head, key, day = self._validator.check(body, received_us, source)
        except ReceiptError as error:
            came = original or body
            return await self._refuse(error.faults, came, received_us, source, parseable=error.parseable)
        if not self._committer.has_room(len(payload)):
            return answers.unavailable("too much waits for the disk")
        outcome = await self._committer.add(head, body, original)
        if outcome is not None:
            return _unavailable(outcome)
        self._counters.accepted += 1
        return answers.accepted(key, day)

    async def _take_many(self, scope: Scope, protocol: HTTPProtocol) -> Answer:
        headers = scope.headers
        decoder = self._decoder(headers)
        source = self._source(decoder, headers)
        try:
            payload = await self._payload(headers, protocol)
        except (ProtocolClosed, BrokenEncoding) as error:
            return await self._unreadable(error, source)
        if not self._committer.has_room(len(payload)):
            return answers.unavailable("too much waits for the disk")
        batch, rejected, parseable = await self._sort(decoder or self._guess(payload), payload, source)
        if not batch:
            fault = Fault("$", "there is no receipt in it", "send at least one")
            return await self._refuse([fault], payload, self._clock.now_us(), source, parseable=bool(payload.strip()))
        if not self._committer.has_room(batch.size_bytes):
            return answers.unavailable("too much waits for the disk")
        outcome = await self._committer.add_all(batch)
        if outcome is not None:
            return _unavailable(outcome)
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
                rejected.append((index, list(error.faults[:_FAULTS_TOLD])))
                came = decoded.original or (decoded.body if isinstance(decoded, Record) else b"")
                self._add_refusal(batch, error.faults[:_FAULTS_TOLD], came, received_us, source)
        return batch, rejected, parseable

    async def _refuse(self, faults: Any, came: bytes, received_us: int, source: str, *, parseable: bool) -> Answer:
        """Keep what came with its faults, then say them."""
        batch = Batch()
        self._add_refusal(batch, faults, came, received_us, source)
        if not self._committer.has_room(batch.size_bytes):
            return answers.unavailable("too much waits for the disk")
        outcome = await self._committer.add_all(batch)
        if outcome is not None:
            return _unavailable(outcome)
        self._counters.refused += 1
        return answers.refused(faults, parseable=parseable)

    def _add_refusal(self, batch: Batch, faults: Any, came: bytes, received_us: int, source: str) -> None:
        limit = self._settings.receipt_limit_bytes
        if len(came) > limit:
            faults = [*faults, Fault("$", f"the first {limit} of {len(came)} bytes are kept")]
        batch.add(self._validator.refusal(faults, received_us, source), b"", came[:limit])

    async def _payload(self, headers: Any, protocol: HTTPProtocol) -> bytes:
        """The body, without its content encoding. Raises `Refused`, `ProtocolClosed` and `BrokenEncoding`."""
        payload = await self.reader.read(headers, protocol)
        encoding = headers.get("content-encoding")
        if not encoding or encoding.lower() == IDENTITY:
            return payload
        try:
            return await asyncio.to_thread(undo, encoding.lower(), payload, self._settings.body_limit_bytes)
        except TooLarge:
            raise Refused(answers.body_too_large(self._settings.body_limit_bytes)) from None

    async def _unreadable(self, error: Exception, source: str) -> Answer:
        reason = str(error) if isinstance(error, BrokenEncoding) else "the body broke off"
        fault = Fault("$", reason, "send it again")
        return await self._refuse([fault], b"", self._clock.now_us(), source, parseable=False)

    def _decoder(self, headers: Any) -> Decoder | None:
        """By the media type; None where there is none. Raises `Refused`."""
        encoding = headers.get("content-encoding")
        if encoding and encoding.lower() not in (IDENTITY, *ENCODINGS):
            raise Refused(answers.unsupported_encoding())
        content_type = headers.get("content-type")
        if not content_type:
            return None
        decoder = self._formats.decoder(content_type)
        if decoder is None:
            raise Refused(answers.unsupported_type(self._formats.media_types))
        return decoder

    def _guess(self, payload: bytes) -> Decoder:
        decoder = self._formats.decoder(JSON_TYPE) if looks_like_json(payload) or not payload else None
        if decoder is None:
            raise Refused(answers.unsupported_type(self._formats.media_types))
        return decoder

    def _source(self, decoder: Decoder | None, headers: Any) -> str:
        source = f"{decoder.name if decoder else 'json'}/http"
        return f"{source}/{SIMULATED}" if headers.get(SOURCE_HEADER) == SIMULATED else source

    # -- everything else

    async def _live(self, _scope: Scope, _protocol: HTTPProtocol) -> Answer:
        return answers.live()

    async def _ready(self, _scope: Scope, _protocol: HTTPProtocol) -> Answer:
        if self.stopping:
            return answers.ready("it is stopping")
        try:
            outcome = await asyncio.wait_for(self._committer.probe(), _PROBE_TIMEOUT_S)
        except TimeoutError:
            return answers.ready("the log does not answer")
        return answers.ready("" if outcome is None else _reason(outcome))

    async def _metrics(self, _scope: Scope, _protocol: HTTPProtocol) -> Answer:
        text = await asyncio.to_thread(self._exposition.text)
        return answers.found("text/plain; version=0.0.4; charset=utf-8", text)

    async def _document(self, page: openapi.Page, _scope: Scope, _protocol: HTTPProtocol) -> Answer:
        return answers.found(page.content_type, page.body())


def _reason(outcome: Outcome) -> str:
    return "the log is full" if isinstance(outcome, LogFull) else "the log cannot take records now"


def _unavailable(outcome: Outcome) -> Answer:
    return answers.unavailable(_reason(outcome))
