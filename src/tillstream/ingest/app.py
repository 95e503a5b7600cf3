"""The application of ingest: which request is answered by what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import httptools
import structlog

from tillstream.formats.registry import Formats
from tillstream.http.memory import Reservation
from tillstream.http.messages import Exchange, Headers, Reply, Request, Response
from tillstream.ingest import form_page, openapi, responses
from tillstream.ingest.auth import Gate, Stores
from tillstream.ingest.counters import Exposition
from tillstream.ingest.decoding import AT_ONCE_BYTES
from tillstream.ingest.group_commit import Committer
from tillstream.ingest.handlers import Taker, reason
from tillstream.ingest.responses import Refused

_PROBE_TIMEOUT_S = 2.0

Handler = Callable[[Request, Reply], asyncio.Task[None] | None]
"""Answers; what it returns, if anything, needs the request until it is done."""

_NO_METHODS: dict[bytes, Handler] = {}

_logger = structlog.get_logger()


class IngestApp:
    """Answers the requests that `tillstream.http` hands over."""

    answers_half_closed = True

    def __init__(
        self, formats: Formats, taker: Taker, committer: Committer, exposition: Exposition, gate: Gate
    ) -> None:
        self._taker = taker
        self._gate = gate
        self._committer = committer
        self._exposition = exposition
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, dict[bytes, Handler]] = {
            "/receipt": {b"POST": self._receipt},
            "/receipts": {b"POST": self._receipts},
            "/health/live": {b"GET": self._live},
            "/health/ready": {b"GET": partial(self._later, self._ready)},
            "/metrics": {b"GET": self._metrics},
        }
        for path, page in (openapi.pages(formats) | form_page.pages()).items():
            self._handlers.setdefault(path, {})[b"GET"] = partial(self._document, page)
        # Nearly all requests name a path in these very bytes, which need no parsing.
        self._by_target = {path.encode(): methods for path, methods in self._handlers.items()}

    def turn_away(self) -> None:
        """Say at `/health/ready` that it is stopping."""
        self._stopping = True

    def reject(self, headers: Headers) -> Response | None:
        try:
            self._gate.stores(headers)
        except Refused as refusal:
            return refusal.answer
        return None

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer a request, at once or later."""
        task, reply = None, exchange.respond
        try:
            methods = self._by_target.get(request.target)
            handler = methods.get(request.method) if methods is not None else None
            task = (handler or self._find(request))(request, reply)
        except Refused as refusal:
            reply(refusal.answer)
        except Exception:
            _logger.exception("request_failed")
            reply(responses.failed())
        finally:
            if request.reservation is not None:
                _release(request.reservation, task)

    def _find(self, request: Request) -> Handler:
        """The handler of a target that is more than a path, or of HEAD. Raises `Refused`."""
        try:
            path = (httptools.parse_url(request.target).path or b"/").decode("latin-1")
        except httptools.HttpParserInvalidURLError:
            path = request.target.decode("latin-1")
        methods = self._handlers.get(path, _NO_METHODS)
        if not methods:
            raise Refused(responses.not_found(path))
        handler = methods.get(b"GET" if request.method == b"HEAD" else request.method)
        if handler is None:
            allowed = [method.decode() for method in methods]
            raise Refused(responses.method_not_allowed([*allowed, "HEAD"] if b"GET" in methods else allowed))
        return handler

    def _later(
        self, answering: Callable[[Request], Coroutine[Any, Any, Response]], request: Request, reply: Reply
    ) -> asyncio.Task[None]:
        """Answer in a task of its own."""
        task = self._loop.create_task(self._finish(answering(request), reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _finish(self, answering: Coroutine[Any, Any, Response], reply: Reply) -> None:
        try:
            answer = await answering
        except Refused as refusal:
            answer = refusal.answer
        except Exception:
            _logger.exception("request_failed")
            answer = responses.failed()
        reply(answer)

    def _receipt(self, request: Request, reply: Reply) -> asyncio.Task[None] | None:
        headers = request.headers
        stores = self._gate.stores(headers)
        if b"accept" in headers and form_page.reads(headers):
            return self._later(partial(self._typed, stores=stores), request, reply)
        if request.truncated or b"content-encoding" in headers or len(request.body) > AT_ONCE_BYTES:
            return self._later(partial(self._taker.one_later, stores=stores), request, reply)
        self._taker.one(request, reply, stores)
        return None

    def _receipts(self, request: Request, reply: Reply) -> asyncio.Task[None]:
        return self._later(partial(self._taker.many, stores=self._gate.stores(request.headers)), request, reply)

    async def _typed(self, request: Request, stores: Stores) -> Response:
        """What became of a form, as a page."""
        try:
            answer = await self._taker.one_later(request, stores)
        except Refused as refusal:
            answer = refusal.answer
        return form_page.shown(answer, request.body)

    def _live(self, _request: Request, reply: Reply) -> None:
        reply(responses.live())

    async def _ready(self, _request: Request) -> Response:
        if self._stopping:
            return responses.ready("it is stopping")
        try:
            outcome = await asyncio.wait_for(self._committer.probe(), _PROBE_TIMEOUT_S)
        except TimeoutError:
            return responses.ready("the log does not answer")
        return responses.ready("" if outcome is None else reason(outcome))

    def _metrics(self, request: Request, reply: Reply) -> asyncio.Task[None]:
        self._gate.check_reading(request.headers)
        return self._later(self._figures, request, reply)

    async def _figures(self, _request: Request) -> Response:
        text = await asyncio.to_thread(self._exposition.text)
        return responses.found("text/plain; version=0.0.4; charset=utf-8", text)

    def _document(self, page: openapi.Page, _request: Request, reply: Reply) -> None:
        reply(responses.found(page.content_type, page.body(), page.headers))


def _release(reservation: Reservation, task: asyncio.Task[None] | None) -> None:
    """Once the task is done, however it ends, or now."""
    if task is None:
        reservation.release()
    else:
        task.add_done_callback(lambda _task: reservation.release())
