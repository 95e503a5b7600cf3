"""The ingest application: its routes, and the server that runs it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import httptools
import structlog

from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.registry import Formats
from tillstream.http import server
from tillstream.http.html import Document
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import Headers, Reply, Request, Response
from tillstream.http.protocol import Connection
from tillstream.http.server import Connections
from tillstream.ingest import form_page, openapi, responses
from tillstream.ingest.auth import Authorizer, Stores
from tillstream.ingest.counters import Counters, Exposition
from tillstream.ingest.decoding import INLINE_BYTES
from tillstream.ingest.group_commit import Backpressure, Committer
from tillstream.ingest.handlers import ReceiptHandlers
from tillstream.ingest.responses import Refused
from tillstream.log.base import Log

STOP_LIMIT_S = 4.0
"""The maximum time that a stopping server waits for open requests."""

COMMIT_LIMIT_S = 0.5
"""The maximum time that a stopping server waits for the last commit, after it has closed all connections."""

_PROBE_TIMEOUT_S = 2.0

Handler = Callable[[Request, Reply], asyncio.Task[None] | None]
"""A function that responds to a request. It returns the task that still needs the request body, or None."""

_logger = structlog.get_logger()


class IngestApp:
    """Routes requests to their handlers. It implements `tillstream.http.server.Application`."""

    answers_half_closed = True

    def __init__(
        self,
        formats: Formats,
        handlers: ReceiptHandlers,
        committer: Committer,
        exposition: Exposition,
        authorizer: Authorizer,
    ) -> None:
        self._handlers = handlers
        self._authorizer = authorizer
        self._committer = committer
        self._exposition = exposition
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._routes: dict[bytes, dict[bytes, Handler]] = {
            b"/receipt": {b"POST": self._post_receipt},
            b"/receipts": {b"POST": self._post_receipts},
            b"/health/live": {b"GET": lambda _request, reply: reply(responses.live())},
            b"/health/ready": {b"GET": partial(self._start, self._ready)},
            b"/metrics": {b"GET": partial(self._start, self._metrics)},
        }
        for path, document in (openapi.documents(formats) | form_page.documents()).items():
            self._routes.setdefault(path.encode(), {})[b"GET"] = partial(self._document, document)

    def mark_stopping(self) -> None:
        """Make `/health/ready` respond that the server is stopping."""
        self._stopping = True

    def reject(self, headers: Headers) -> Response | None:
        """Return an error response if the client has no permission to post receipts.

        None means that the server reads the body of the request.
        """
        try:
            self._authorizer.allowed_stores(headers)
        except Refused as refusal:
            return refusal.response
        return None

    def handle(self, request: Request, connection: Connection) -> None:
        """Respond to a request.

        The memory reserved for the request body is released as soon as the body is not needed any more.
        """
        task, reply = None, connection.respond
        try:
            # Most request targets are exactly the path of a route. Only the others are parsed, because that is slower.
            methods = self._routes.get(request.target)
            handler = methods.get(request.method) if methods is not None else None
            task = (handler or self._find_handler(request))(request, reply)
        except Exception as error:  # noqa: BLE001 - every error gets a response
            reply(_response_to(error))
        finally:
            if (reservation := request.reservation) is not None:
                if task is None:
                    reservation.release()
                else:
                    task.add_done_callback(lambda _task: reservation.release())

    def _find_handler(self, request: Request) -> Handler:
        """Find the handler if the direct lookup failed, for example because the target has a query string.

        Raises `Refused` if there is no handler.
        """
        try:
            path = httptools.parse_url(request.target).path or b"/"
        except httptools.HttpParserInvalidURLError:
            path = request.target
        methods = self._routes.get(path)
        if methods is None:
            raise Refused(responses.not_found(path.decode("latin-1")))
        handler = methods.get(b"GET" if request.method == b"HEAD" else request.method)
        if handler is None:
            allowed = [method.decode() for method in methods]
            raise Refused(responses.method_not_allowed([*allowed, "HEAD"] if b"GET" in methods else allowed))
        return handler

    def _start(
        self, respond: Callable[[Request], Coroutine[Any, Any, Response]], request: Request, reply: Reply
    ) -> asyncio.Task[None]:
        """Respond in a new task."""
        task = self._loop.create_task(self._finish(respond(request), reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _finish(self, respond: Coroutine[Any, Any, Response], reply: Reply) -> None:
        try:
            response = await respond
        except Exception as error:  # noqa: BLE001 - every error gets a response
            response = _response_to(error)
        reply(response)

    def _post_receipt(self, request: Request, reply: Reply) -> asyncio.Task[None] | None:
        headers = request.headers
        stores = self._authorizer.allowed_stores(headers)
        if b"accept" in headers and form_page.wants_page(headers):
            return self._start(partial(self._post_form, stores=stores), request, reply)
        if request.truncated or b"content-encoding" in headers or len(request.body) > INLINE_BYTES:
            return self._start(partial(self._handlers.post_large_receipt, stores=stores), request, reply)
        self._handlers.post_receipt(request, reply, stores)
        return None

    def _post_receipts(self, request: Request, reply: Reply) -> asyncio.Task[None]:
        stores = self._authorizer.allowed_stores(request.headers)
        return self._start(partial(self._handlers.post_receipts, stores=stores), request, reply)

    async def _post_form(self, request: Request, stores: Stores) -> Response:
        """Accept a receipt from a form, and respond with a page."""
        try:
            response = await self._handlers.post_large_receipt(request, stores)
        except Refused as refusal:
            response = refusal.response
        return form_page.as_page(response, request.body)

    async def _ready(self, _request: Request) -> Response:
        if self._stopping:
            return responses.ready("ingest is stopping")
        try:
            outcome = await asyncio.wait_for(self._committer.probe(), _PROBE_TIMEOUT_S)
        except TimeoutError:
            return responses.ready("the log does not respond")
        return responses.ready("" if outcome is None else responses.log_problem(outcome))

    async def _metrics(self, request: Request) -> Response:
        self._authorizer.check_read(request.headers)
        text = await asyncio.to_thread(self._exposition.text)
        return responses.document("text/plain; version=0.0.4; charset=utf-8", text)

    def _document(self, document: Document, _request: Request, reply: Reply) -> None:
        reply(responses.document(document.content_type, document.body(), document.headers))


def _response_to(error: Exception) -> Response:
    if isinstance(error, Refused):
        return error.response
    _logger.error("ingest.request_failed", exc_info=error)
    return responses.internal_error()


async def serve(
    log: Log,
    settings: Settings,
    clock: Clock,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    authorizer: Authorizer | None = None,
) -> None:
    """Accept receipts and append them to the log until `stop` is set. Then finish the open requests.

    `ready` is called with the port when the server accepts connections. If `authorizer` is None, requests need no key.
    Raises `PortTaken` if another program uses the port, `AccessError` if the TLS files cannot be used, and
    `OperationalError` if the server fails.
    """
    authorizer = authorizer or Authorizer()
    listener = ports.listen(settings.host, settings.ingest_port, "--ingest-port", server.BACKLOG)
    counters = Counters()
    budget = MemoryBudget(settings.pending_limit_bytes)
    committer = Committer(log, settings, counters, budget)
    formats = registry.load(settings)
    handlers = ReceiptHandlers(settings, clock, formats, committer, budget, counters)
    exposition = Exposition(counters, budget, log.lag, settings.data_path)
    app = IngestApp(formats, handlers, committer, exposition, authorizer)
    connections = Connections(app, settings, budget, clock, counters.count_response)
    # The objects created so far live as long as the process. Exclude them from later garbage collections.
    gc.collect()
    gc.freeze()
    try:
        await server.serve(
            connections,
            listener,
            settings,
            name="ingest",
            stop=stop,
            ready=ready,
            stopping=app.mark_stopping,
            limit_s=STOP_LIMIT_S,
            background=(Backpressure(log, committer).run, authorizer.run),
        )
    finally:
        handlers.close()
        await committer.close(COMMIT_LIMIT_S)
